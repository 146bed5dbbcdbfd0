#include "statistics/moments.hpp"

#include <cmath>

#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

/// Mean of ((x - mean) / s)^power with s^2 the variance of divisor n.
std::optional<double> standardised_moment(std::span<double const> values, int power) {
    auto const summary = summarize(values);
    if (summary.count < 2 || !(summary.sum_squared_deviations > 0)) return std::nullopt;
    auto const n = static_cast<double>(summary.count);
    double const deviation = std::sqrt(summary.sum_squared_deviations / n);
    double sum = 0;
    for (double const x : values) sum += std::pow((x - summary.mean) / deviation, power);
    return sum / n;
}

}  // namespace

std::vector<double> standardised(std::span<double const> values) {
    auto const summary = summarize(values);
    double const deviation = std::sqrt(summary.variance().value_or(0));
    std::vector<double> result;
    for (double const x : values) {
        result.push_back(deviation > 0 ? (x - summary.mean) / deviation : 0);
    }
    return result;
}

std::optional<double> skewness(std::span<double const> values) {
    return standardised_moment(values, 3);
}

std::optional<double> excess_kurtosis(std::span<double const> values) {
    auto const moment = standardised_moment(values, 4);
    if (!moment) return std::nullopt;
    return *moment - 3;
}

std::optional<double> lag_one_autocorrelation(std::span<double const> values) {
    auto const summary = summarize(values);
    if (summary.count < 2 || !(summary.sum_squared_deviations > 0)) return std::nullopt;
    double sum = 0;
    for (std::size_t i = 0; i + 1 < values.size(); ++i) {
        sum += (values[i] - summary.mean) * (values[i + 1] - summary.mean);
    }
    return sum / summary.sum_squared_deviations;
}

}  // namespace derate
