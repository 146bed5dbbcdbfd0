#include "statistics/proportion.hpp"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <map>
#include <stdexcept>

#include "statistics/distributions.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

void require_counts(double successes, double trials) {
    if (!(trials >= 1) || successes < 0 || successes > trials) {
        throw std::invalid_argument{"a proportion needs 0 <= successes <= trials and a trial"};
    }
}

}  // namespace

Interval clopper_pearson_interval(double successes, double trials, double confidence) {
    require_counts(successes, trials);
    double const tail = (1 - confidence) / 2;
    double const failures = trials - successes;
    return {
        .lower = successes == 0 ? 0.0 : beta_quantile(tail, successes, failures + 1),
        .upper = failures == 0 ? 1.0 : beta_quantile(1 - tail, successes + 1, failures),
    };
}

Interval wilson_interval(double successes, double trials, double confidence) {
    require_counts(successes, trials);
    double const n = trials;
    double const p = successes / n;
    double const z = normal_quantile((1 + confidence) / 2);
    double const center = (p + z * z / (2 * n)) / (1 + z * z / n);
    double const reach = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return {.lower = std::max(0.0, center - reach), .upper = std::min(1.0, center + reach)};
}

double design_effect(std::span<double const> values, std::span<int const> cluster_of) {
    if (values.empty() || values.size() != cluster_of.size()) {
        throw std::invalid_argument{"one cluster label per value, one value or more"};
    }
    auto const summary = summarize(values);
    if (!(summary.sum_squared_deviations > 0)) return 1;
    std::map<int, double> sums;
    for (std::size_t i = 0; i < values.size(); ++i) sums[cluster_of[i]] += values[i] - summary.mean;
    auto const n = static_cast<double>(values.size());
    auto const g = static_cast<double>(sums.size());
    if (sums.size() < 2) return n;
    double squares = 0;
    for (auto const& [label, sum] : sums) squares += sum * sum;
    return std::max(1.0, g / (g - 1) * squares / (n / (n - 1) * summary.sum_squared_deviations));
}

double effective_trials(double trials, double design_effect, int clusters, double confidence) {
    if (clusters < 2) throw std::invalid_argument{"one cluster shows no spread of clusters"};
    double const probability = (1 + confidence) / 2;
    double const ratio =
        student_t_quantile(probability, trials - 1) / student_t_quantile(probability, clusters - 1);
    return std::max(1.0, trials / design_effect * ratio * ratio);
}

double binomial_cdf(std::int64_t successes, std::int64_t trials, double probability) {
    require_counts(static_cast<double>(successes), static_cast<double>(trials));
    return boost::math::cdf(
        boost::math::binomial_distribution<>{static_cast<double>(trials), probability},
        static_cast<double>(successes));
}

}  // namespace derate
