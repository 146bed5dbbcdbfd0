#include "statistics/variance_test.hpp"

#include <algorithm>
#include <stdexcept>

#include "statistics/distributions.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

ChiSquaredTest judge(double statistic, double degrees_of_freedom) {
    double const greater = chi_squared_survival(statistic, degrees_of_freedom);
    double const less = chi_squared_cdf(statistic, degrees_of_freedom);
    return {
        .statistic = statistic,
        .degrees_of_freedom = degrees_of_freedom,
        .p_greater = greater,
        .p_less = less,
        .p_value = std::min(1.0, 2 * std::min(greater, less)),
    };
}

}  // namespace

std::optional<ChiSquaredTest> unit_variance_test(std::span<double const> standardised_residuals) {
    if (standardised_residuals.empty()) return std::nullopt;
    double sum_of_squares = 0;
    for (double const z : standardised_residuals) sum_of_squares += z * z;
    return judge(sum_of_squares, static_cast<double>(standardised_residuals.size()));
}

std::optional<ChiSquaredTest> variance_test(std::span<double const> values,
                                            double hypothesised_variance) {
    if (!(hypothesised_variance > 0)) {
        throw std::invalid_argument{"hypothesised variance must be positive"};
    }
    auto const summary = summarize(values);
    if (summary.count < 2) return std::nullopt;
    return judge(summary.sum_squared_deviations / hypothesised_variance,
                 static_cast<double>(summary.count - 1));
}

}  // namespace derate
