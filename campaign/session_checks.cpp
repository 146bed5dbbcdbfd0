#include "campaign/session_checks.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "statistics/mean_tests.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

constexpr std::size_t fewest_repetitions = 10;
constexpr std::size_t fewest_repetitions_with_fences = 8;
constexpr double least_share = 0.2;
constexpr double least_distance = 0.03;
constexpr double least_ashman_d = 5;

}  // namespace

SelfComparison compare_with_itself(std::map<std::string, Repetitions> const& cases) {
    SelfComparison result;
    std::vector<double> shifts;
    for (auto const& [key, repetitions] : cases) {
        std::vector<double> even;
        std::vector<double> odd;
        for (auto const& [number, launch] : repetitions) {
            if (launch.times_ms.empty()) continue;
            (number % 2 == 0 ? even : odd).push_back(median(launch.times_ms));
        }
        auto const test = two_sample_t_test(even, odd);
        if (!test) continue;
        ++result.cases;
        result.alarms += test->p_value < 0.05 ? 1 : 0;
        shifts.push_back(std::abs(std::log(summarize(odd).mean / summarize(even).mean)));
    }
    if (!shifts.empty()) result.median_shift = median(shifts);
    return result;
}

std::string to_string(SelfComparison const& comparison) {
    if (comparison.cases == 0) {
        return "fewer than four launches: even and odd ones cannot be compared";
    }
    return fmt::format(
        "{} of {} cases differ between even and odd launches at the 5 % level ({:.1f} %), "
        "by {:.1f} % in the median",
        comparison.alarms, comparison.cases, 100 * comparison.false_alarm_rate(),
        100 * comparison.median_shift);
}

std::optional<TwoPeaks> find_two_peaks(Repetitions const& repetitions) {
    std::vector<double> logs;
    for (auto const& [number, launch] : repetitions) {
        for (double const ms : launch.times_ms) logs.push_back(std::log(ms));
    }
    if (logs.size() < fewest_repetitions) return std::nullopt;
    std::ranges::sort(logs);
    auto const all = summarize(logs);
    auto const count = static_cast<double>(logs.size());

    // One pass: the upper group is what is left of the sums when the lower one grows.
    SampleSummary lower;
    SampleSummary best_lower;
    double least_inside = all.sum_squared_deviations;
    auto const upper_of = [&all](SampleSummary const& low) {
        auto const n = static_cast<double>(all.count - low.count);
        double const mean = (all.mean * static_cast<double>(all.count) -
                             low.mean * static_cast<double>(low.count)) /
                            n;
        double const shift = mean - low.mean;
        double const between =
            shift * shift * n * static_cast<double>(low.count) / static_cast<double>(all.count);
        return SampleSummary{
            .count = all.count - low.count,
            .mean = mean,
            .sum_squared_deviations =
                std::max(0.0, all.sum_squared_deviations - low.sum_squared_deviations - between)};
    };
    for (std::size_t i = 0; i + 1 < logs.size(); ++i) {
        lower = merge(lower, {.count = 1, .mean = logs[i]});
        double const inside = lower.sum_squared_deviations + upper_of(lower).sum_squared_deviations;
        if (inside >= least_inside) continue;
        least_inside = inside;
        best_lower = lower;
    }
    if (best_lower.count == 0) return std::nullopt;
    auto const upper = upper_of(best_lower);
    double const share = static_cast<double>(upper.count) / count;
    double const distance = upper.mean - best_lower.mean;
    double const spread =
        std::sqrt(best_lower.variance().value_or(0) + upper.variance().value_or(0));
    if (share < least_share || share > 1 - least_share || distance < least_distance ||
        std::sqrt(2) * distance < least_ashman_d * spread) {
        return std::nullopt;
    }
    return TwoPeaks{.lower_ms = std::exp(best_lower.mean),
                    .upper_ms = std::exp(upper.mean),
                    .upper_share = share};
}

OutlierCounts classify_outliers(std::map<std::string, Repetitions> const& cases) {
    OutlierCounts counts;
    for (auto const& [key, repetitions] : cases) {
        std::vector<double> logs;
        for (auto const& [number, launch] : repetitions) {
            for (double const ms : launch.times_ms) logs.push_back(std::log(ms));
        }
        if (logs.size() < fewest_repetitions_with_fences) continue;
        counts.repetitions += static_cast<int>(logs.size());
        double const lower = quantile(logs, 0.25);
        double const upper = quantile(logs, 0.75);
        double const range = upper - lower;
        for (double const value : logs) {
            if (value > upper + 3 * range) {
                ++counts.severe_slow;
            } else if (value > upper + 1.5 * range) {
                ++counts.mild_slow;
            } else if (value < lower - 3 * range) {
                ++counts.severe_fast;
            } else if (value < lower - 1.5 * range) {
                ++counts.mild_fast;
            }
        }
    }
    return counts;
}

std::string to_string(OutlierCounts const& outliers) {
    if (outliers.repetitions == 0) return "too few repetitions of any case to tell outliers";
    return fmt::format("{} of {} repetitions are slow outliers ({} severe), {} fast ({} severe)",
                       outliers.mild_slow + outliers.severe_slow, outliers.repetitions,
                       outliers.severe_slow, outliers.mild_fast + outliers.severe_fast,
                       outliers.severe_fast);
}

}  // namespace derate
