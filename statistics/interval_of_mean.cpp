#include "statistics/interval_of_mean.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "statistics/distributions.hpp"

namespace derate {
namespace {

MeanEstimate around(double mean, double standard_error, double degrees_of_freedom,
                    double quantile) {
    return {
        .mean = mean,
        .standard_error = standard_error,
        .degrees_of_freedom = degrees_of_freedom,
        .interval = {.lower = mean - quantile * standard_error,
                     .upper = mean + quantile * standard_error},
    };
}

}  // namespace

double MeanEstimate::relative_half_width() const {
    return (interval.upper - interval.lower) / (2 * std::abs(mean));
}

std::optional<MeanEstimate> confidence_interval_of_mean(std::span<double const> independent_values,
                                                        double confidence) {
    auto const summary = summarize(independent_values);
    auto const variance = summary.variance();
    if (!variance) return std::nullopt;
    auto const k = static_cast<double>(summary.count);
    return around(summary.mean, std::sqrt(*variance / k), k - 1,
                  student_t_quantile((1 + confidence) / 2, k - 1));
}

std::optional<MeanEstimate> naive_interval_of_mean(SampleSummary const& pooled) {
    auto const variance = pooled.variance();
    if (!variance) return std::nullopt;
    double const standard_error = std::sqrt(*variance / static_cast<double>(pooled.count));
    return around(pooled.mean, standard_error, std::numeric_limits<double>::infinity(), 1.96);
}

double VarianceSplit::variance_of_mean(double groups, double repetitions_each) const {
    return between / groups + within / (groups * repetitions_each);
}

namespace {

/// sum (n_j / N)^2: 1 / k for k groups of one size, near 1 where one group holds nearly all.
double sum_of_squared_shares(std::span<SampleSummary const> groups) {
    double total = 0;
    double squares = 0;
    for (auto const& group : groups) {
        auto const size = static_cast<double>(group.count);
        total += size;
        squares += size * size;
    }
    return squares / (total * total);
}

}  // namespace

double VarianceSplit::variance_of_mean(std::span<SampleSummary const> groups) const {
    double total = 0;
    for (auto const& group : groups) total += static_cast<double>(group.count);
    return between * sum_of_squared_shares(groups) + within / total;
}

std::optional<MeanEstimate> interval_of_grouped_mean(std::span<SampleSummary const> groups,
                                                     double confidence) {
    SampleSummary all;
    for (auto const& group : groups) all = merge(all, group);
    auto const variance_of_one = all.variance();
    if (!variance_of_one) return std::nullopt;
    auto const n = static_cast<double>(all.count);
    double variance = *variance_of_one / n;
    double degrees_of_freedom = n - 1;
    if (auto const split = split_variance(groups); split && split->between > 0) {
        auto const k = static_cast<double>(groups.size());
        variance = split->variance_of_mean(groups);
        double const from_within = split->within / n;
        double const from_between = variance - from_within;
        degrees_of_freedom =
            variance * variance /
            (from_between * from_between / (k - 1) + from_within * from_within / (n - k));
    }
    return around(all.mean, std::sqrt(variance), degrees_of_freedom,
                  student_t_quantile((1 + confidence) / 2, degrees_of_freedom));
}

std::optional<VarianceSplit> split_variance(std::span<SampleSummary const> groups) {
    SampleSummary all;
    double squares_within = 0;
    double sum_of_squared_sizes = 0;
    for (auto const& group : groups) {
        all = merge(all, group);
        squares_within += group.sum_squared_deviations;
        auto const size = static_cast<double>(group.count);
        sum_of_squared_sizes += size * size;
    }
    auto const k = static_cast<double>(groups.size());
    auto const n = static_cast<double>(all.count);
    if (groups.size() < 2 || n <= k) return std::nullopt;

    double const mean_square_within = squares_within / (n - k);
    double const mean_square_between = (all.sum_squared_deviations - squares_within) / (k - 1);
    double const group_size = (n - sum_of_squared_sizes / n) / (k - 1);
    double const between = (mean_square_between - mean_square_within) / group_size;
    return VarianceSplit{
        .between = std::max(0.0, between),
        .within = mean_square_within,
        .effective_group_size = group_size,
        .truncated = between < 0,
    };
}

}  // namespace derate
