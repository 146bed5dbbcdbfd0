#include "calibration/comparison.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "calibration/gate_text.hpp"
#include "core/statistics/distributions.hpp"
#include "core/statistics/multiple_testing.hpp"
#include "core/statistics/quantiles.hpp"
#include "core/statistics/rank_tests.hpp"
#include "core/statistics/sample_summary.hpp"

namespace derate {
namespace {

/// Mean of a case's log times; the variance of that mean is empty when the file does not tell.
struct LogMean {
    double mean = 0;
    std::optional<double> variance;
    double degrees_of_freedom = 0;
};

std::vector<double> logs(std::vector<double> const& times_ms) {
    std::vector<double> values;
    for (double const t : times_ms) values.push_back(std::log(t));
    return values;
}

LogMean log_mean(CaseTimes const& times) {
    auto const summary = summarize(logs(times.times_ms));
    auto const n = static_cast<double>(summary.count);
    LogMean result{.mean = summary.mean};
    if (auto const variance = summary.variance()) {
        result.variance = *variance / n;
        result.degrees_of_freedom = n - 1;
    } else if (times.ci_95_lower_ms && times.ci_95_upper_ms && *times.ci_95_lower_ms > 0) {
        // Where the file does not say how many launches: two, the fewest that give an interval.
        result.degrees_of_freedom = std::max(1, times.launches - 1);
        double const half_width = std::log(*times.ci_95_upper_ms / *times.ci_95_lower_ms) / 2;
        double const error = half_width / student_t_quantile(0.975, result.degrees_of_freedom);
        result.variance = error * error;
    }
    return result;
}

/// Difference of two log means, Welch.
struct LogRatio {
    double ratio = 0;
    std::optional<double> standard_error;
    double degrees_of_freedom = 1;
};

LogRatio log_ratio(CaseTimes const& before, CaseTimes const& after) {
    auto const a = log_mean(before);
    auto const b = log_mean(after);
    LogRatio result{.ratio = b.mean - a.mean};
    if (!a.variance || !b.variance) return result;
    double const variance = *a.variance + *b.variance;
    // The same file twice has no difference and no doubt about it.
    result.standard_error = std::max(std::sqrt(variance), 1e-9);
    if (variance > 0) {
        result.degrees_of_freedom = variance * variance /
                                    (*a.variance * *a.variance / a.degrees_of_freedom +
                                     *b.variance * *b.variance / b.degrees_of_freedom);
    }
    return result;
}

std::vector<EnvironmentDifference> differences(std::map<std::string, std::string> const& before,
                                               std::map<std::string, std::string> const& after) {
    std::vector<EnvironmentDifference> all;
    auto const value = [](auto const& map, std::string const& key) {
        auto const found = map.find(key);
        return found == map.end() ? std::string{"unknown"} : found->second;
    };
    std::map<std::string, std::string> keys = before;
    keys.insert(after.begin(), after.end());
    for (auto const& [key, unused] : keys) {
        auto const was = value(before, key);
        auto const is = value(after, key);
        if (was != is) all.push_back({key, was, is});
    }
    return all;
}

/// Keys whose difference means that the files are not of one machine and setting.
bool forbids_comparison(std::string const& key) {
    constexpr std::array<std::string_view, 6> keys{"hardware_id", "precision",   "threads",
                                                   "num_cpus",    "cache_state", "partition"};
    return std::ranges::find(keys, key) != keys.end();
}

std::string shift_words(double ratio) { return text("%+.1f %%", 100 * (ratio - 1)); }

void judge(Comparison& comparison, ComparisonLimits const& limits, int doubtful) {
    auto const slower =
        std::ranges::count_if(comparison.cases, [](auto const& c) { return c.slower; });
    bool const same_setting = std::ranges::none_of(
        comparison.environment, [](auto const& d) { return forbids_comparison(d.key); });
    double const limit = std::log1p(limits.threshold_percent / 100);
    auto& verdict = comparison.verdict;
    auto& reason = comparison.reason;
    verdict = Verdict::inconclusive;
    if (comparison.cases.empty()) {
        reason = "The files have no case in common.";
    } else if (!same_setting) {
        reason = "The files are not of one machine and setting; see the environment.";
    } else if (slower > 0) {
        verdict = Verdict::fail;
        reason = text(
            "%lld of %zu cases are slower by more than %.0f %% (Holm over cases, alpha "
            "%.2g); most of all %s, %s.",
            static_cast<long long>(slower), comparison.cases.size(), limits.threshold_percent,
            limits.alpha, comparison.cases.front().name.c_str(),
            shift_words(comparison.cases.front().ratio).c_str());
    } else if (std::abs(std::log(comparison.common_ratio)) > limit) {
        reason = text("All cases moved together by %s: host or program, the files cannot tell.",
                      shift_words(comparison.common_ratio).c_str());
    } else if (!comparison.failed.empty() || !comparison.only_before.empty()) {
        reason = text("%zu cases failed and %zu are missing in the new file.",
                      comparison.failed.size(), comparison.only_before.size());
    } else if (doubtful > 0) {
        reason = text(
            "Nothing is slower for sure, but %d of %zu cases repeat too badly to exclude "
            "%.0f %%.",
            doubtful, comparison.cases.size(), 2 * limits.threshold_percent);
    } else {
        verdict = Verdict::pass;
        reason = text("No case of %zu is slower by more than %.0f %%.", comparison.cases.size(),
                      limits.threshold_percent);
    }
}

}  // namespace

Comparison compare(TimingTable const& before, TimingTable const& after,
                   ComparisonLimits const& limits) {
    Comparison comparison;
    comparison.environment = differences(before.environment, after.environment);
    std::map<std::string, CaseTimes const*> old_cases;
    for (auto const& one : before.cases) {
        if (!one.failure) old_cases[one.name] = &one;
    }
    struct Pair {
        CaseTimes const* before;
        CaseTimes const* after;
        LogRatio ratio;
    };
    std::vector<Pair> pairs;
    for (auto const& one : after.cases) {
        auto const found = old_cases.find(one.name);
        if (found == old_cases.end()) {
            if (!one.failure) comparison.only_after.push_back(one.name);
            continue;
        }
        if (one.failure) {
            comparison.failed.push_back(one.name);
        } else {
            pairs.push_back({found->second, &one, log_ratio(*found->second, one)});
        }
        old_cases.erase(found);
    }
    for (auto const& [name, unused] : old_cases) comparison.only_before.push_back(name);

    double common = 0;
    if (!limits.absolute && std::ssize(pairs) >= limits.fewest_cases_for_shift) {
        std::vector<double> ratios;
        for (auto const& pair : pairs) ratios.push_back(pair.ratio.ratio);
        common = median(ratios);
    }
    comparison.common_ratio = std::exp(common);

    // Two visits of a machine move each case by more than its launches show. How much, most cases
    // tell: the scatter of their effects (median absolute deviation) beyond their own errors.
    double visit_variance = 0;
    constexpr std::ptrdiff_t fewest_cases_for_scatter = 20;
    if (!limits.absolute && std::ssize(pairs) >= fewest_cases_for_scatter) {
        std::vector<double> deviations;
        std::vector<double> own_variances;
        for (auto const& pair : pairs) {
            deviations.push_back(std::abs(pair.ratio.ratio - common));
            double const error = pair.ratio.standard_error.value_or(0);
            own_variances.push_back(error * error);
        }
        constexpr double normal_deviation_over_median = 1.4826;
        double const scatter = normal_deviation_over_median * median(deviations);
        visit_variance = std::max(0.0, scatter * scatter - median(own_variances));
    }

    double const threshold = std::log1p(limits.threshold_percent / 100);
    std::vector<double> slower_p;
    std::vector<double> faster_p;
    std::vector<std::size_t> tested;
    int doubtful = 0;
    for (auto const& [old_times, new_times, raw] : pairs) {
        double const effect = raw.ratio - common;
        CaseComparison one{.name = new_times->name,
                           .old_ms = std::exp(log_mean(*old_times).mean),
                           .new_ms = std::exp(log_mean(*new_times).mean),
                           .ratio = std::exp(effect)};
        if (raw.standard_error) {
            double const error =
                std::sqrt(*raw.standard_error * *raw.standard_error + visit_variance);
            double const reach = student_t_quantile(0.975, raw.degrees_of_freedom) * error;
            one.interval =
                Interval{.lower = std::exp(effect - reach), .upper = std::exp(effect + reach)};
            double const t = effect / error;
            slower_p.push_back(student_t_survival(t, raw.degrees_of_freedom));
            faster_p.push_back(student_t_cdf(t, raw.degrees_of_freedom));
            tested.push_back(comparison.cases.size());
            doubtful += effect + reach > std::log1p(2 * limits.threshold_percent / 100) ? 1 : 0;
        } else {
            ++doubtful;
        }
        auto shifted = logs(new_times->times_ms);
        for (double& x : shifted) x -= common;
        if (shifted.size() > 1) {
            if (auto const test = mann_whitney_u(shifted, logs(old_times->times_ms))) {
                one.mann_whitney_p_value = test->p_value;
            }
        }
        comparison.cases.push_back(std::move(one));
    }
    auto const slower_holm = holm_adjusted(slower_p);
    auto const faster_holm = holm_adjusted(faster_p);
    for (std::size_t i = 0; i < tested.size(); ++i) {
        auto& one = comparison.cases[tested[i]];
        one.p_value = slower_holm[i];
        one.faster_p_value = faster_holm[i];
        one.slower = slower_holm[i] < limits.alpha && std::log(one.ratio) > threshold;
        one.faster = faster_holm[i] < limits.alpha && std::log(one.ratio) < -threshold;
    }
    std::ranges::stable_sort(comparison.cases, [](auto const& a, auto const& b) {
        if (a.slower != b.slower) return a.slower;
        return a.ratio > b.ratio;
    });
    judge(comparison, limits, doubtful);
    return comparison;
}

}  // namespace derate
