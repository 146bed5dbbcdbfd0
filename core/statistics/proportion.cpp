#include "core/statistics/proportion.hpp"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <stdexcept>

#include "core/statistics/distributions.hpp"

namespace derate {
namespace {

void require_counts(std::int64_t successes, std::int64_t trials) {
    if (trials < 1 || successes < 0 || successes > trials) {
        throw std::invalid_argument{"a proportion needs 0 <= successes <= trials and a trial"};
    }
}

}  // namespace

Interval clopper_pearson_interval(std::int64_t successes, std::int64_t trials, double confidence) {
    require_counts(successes, trials);
    double const tail = (1 - confidence) / 2;
    auto const k = static_cast<double>(successes);
    auto const n = static_cast<double>(trials);
    return {
        .lower = successes == 0 ? 0.0 : beta_quantile(tail, k, n - k + 1),
        .upper = successes == trials ? 1.0 : beta_quantile(1 - tail, k + 1, n - k),
    };
}

Interval wilson_interval(std::int64_t successes, std::int64_t trials, double confidence) {
    require_counts(successes, trials);
    auto const n = static_cast<double>(trials);
    double const p = static_cast<double>(successes) / n;
    double const z = normal_quantile((1 + confidence) / 2);
    double const center = (p + z * z / (2 * n)) / (1 + z * z / n);
    double const reach = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return {.lower = std::max(0.0, center - reach), .upper = std::min(1.0, center + reach)};
}

double binomial_cdf(std::int64_t successes, std::int64_t trials, double probability) {
    require_counts(successes, trials);
    return boost::math::cdf(
        boost::math::binomial_distribution<>{static_cast<double>(trials), probability},
        static_cast<double>(successes));
}

}  // namespace derate
