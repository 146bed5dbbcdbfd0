#include "gate/comparison.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "statistics/distributions.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/quantiles.hpp"
#include "statistics/rank_tests.hpp"
#include "statistics/sample_summary.hpp"

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
    } else if (times.std_ms && times.repetitions > 1) {
        // The mean alone is known. Of a log-normal with it and that deviation log x has variance
        // log(1 + cv^2), and a mean less by half of that.
        double const relative = *times.std_ms / times.times_ms.front();
        double const variance_of_log = std::log1p(relative * relative);
        result.mean -= variance_of_log / 2;
        result.variance = variance_of_log / times.repetitions;
        result.degrees_of_freedom = times.repetitions - 1;
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
    constexpr std::array<std::string_view, 7> keys{
        "hardware_id", "precision", "threads", "num_cpus", "cache_state", "allocator", "partition"};
    return std::ranges::find(keys, key) != keys.end();
}

std::string shift_words(double ratio) { return fmt::format("{:+.1f} %", 100 * (ratio - 1)); }

/// Cases of both files, paired.
struct Pair {
    CaseTimes const* before;
    CaseTimes const* after;
    LogRatio ratio;
};

bool is_drift_probe(std::string const& name) { return name.starts_with(drift_probe_prefix); }

/// Cases whose effects lie close together and apart from the others'.
struct Cluster {
    double center = 0;  ///< median of the effects
    int cases = 0;
};

/// Sorted effects, cut where two neighbours lie further apart than `gap`, or the first and the last
/// than twice that: effects spread evenly are no cluster.
std::vector<Cluster> clusters_of(std::vector<double> effects, double gap) {
    std::ranges::sort(effects);
    std::vector<Cluster> clusters;
    for (std::size_t begin = 0; begin < effects.size();) {
        auto end = begin + 1;
        while (end < effects.size() && effects[end] - effects[end - 1] <= gap &&
               effects[end] - effects[begin] <= 2 * gap) {
            ++end;
        }
        clusters.push_back({.center = median(std::span{effects}.subspan(begin, end - begin)),
                            .cases = static_cast<int>(end - begin)});
        begin = end;
    }
    return clusters;
}

CommonShift shift_of(std::vector<Pair> const& pairs, std::vector<Pair> const& probes,
                     ComparisonLimits const& limits) {
    if (limits.absolute) return {};
    if (!probes.empty()) {
        // Cases wait for arithmetic or for memory: the probe that slowed most excuses most.
        auto const [least, most] =
            std::ranges::minmax(probes, {}, [](Pair const& probe) { return probe.ratio.ratio; });
        return {.basis = ShiftBasis::drift_probes,
                .ratio = std::exp(most.ratio.ratio),
                .least_ratio = std::exp(least.ratio.ratio),
                .standard_error = most.ratio.standard_error.value_or(0),
                .cases = static_cast<int>(probes.size())};
    }
    if (pairs.empty()) return {};
    double const half_threshold = std::log1p(limits.threshold_percent / 100) / 2;
    std::vector<double> effects;
    std::vector<double> errors;
    for (auto const& pair : pairs) {
        effects.push_back(pair.ratio.ratio);
        errors.push_back(pair.ratio.standard_error.value_or(0));
    }
    constexpr double errors_apart = 3;
    auto const clusters =
        clusters_of(effects, std::max(half_threshold, errors_apart * median(errors)));
    auto const cases = static_cast<double>(pairs.size());
    auto const as_shift = [](ShiftBasis basis, Cluster const& cluster) {
        return CommonShift{
            .basis = basis, .ratio = std::exp(cluster.center), .cases = cluster.cases};
    };
    constexpr double nearly_all = 0.8;
    auto const largest_of = [&](auto const& wanted) {
        Cluster const* largest = nullptr;
        for (auto const& cluster : clusters) {
            if (wanted(cluster) && (largest == nullptr || cluster.cases > largest->cases)) {
                largest = &cluster;
            }
        }
        return largest;
    };
    auto const is_still = [&](Cluster const& cluster) {
        return std::abs(cluster.center) <= half_threshold;
    };
    if (auto const* unchanged = largest_of(is_still)) {
        auto const* moved = largest_of([&](Cluster const& cluster) { return !is_still(cluster); });
        // Had the host moved all, these would stand still by as many coincidences.
        double const coincidence =
            moved == nullptr ? 0
                             : std::pow(half_threshold / std::abs(moved->center), unchanged->cases);
        if (coincidence < limits.alpha) return as_shift(ShiftBasis::unchanged_cases, *unchanged);
    }
    auto const* most = largest_of([](Cluster const&) { return true; });
    if (most->cases >= nearly_all * cases) return as_shift(ShiftBasis::most_cases, *most);
    return {.basis = ShiftBasis::undecided};
}

/// Two visits of a machine move each case by more than its launches show. How much, most cases
/// tell: the scatter of their effects beyond their own errors. Of the shortest half of the effects,
/// so that as many may have been moved by the program.
///
/// \return of log time; 0 below 20 cases
double variance_between_visits(std::vector<Pair> const& pairs) {
    constexpr std::size_t fewest_cases = 20;
    if (pairs.size() < fewest_cases) return 0;
    std::vector<double> effects;
    std::vector<double> own_variances;
    for (auto const& pair : pairs) {
        effects.push_back(pair.ratio.ratio);
        double const error = pair.ratio.standard_error.value_or(0);
        own_variances.push_back(error * error);
    }
    std::ranges::sort(effects);
    auto const half = effects.size() / 2;
    double shortest = effects.back() - effects.front();
    for (std::size_t i = 0; i + half <= effects.size(); ++i) {
        shortest = std::min(shortest, effects[i + half - 1] - effects[i]);
    }
    constexpr double half_of_normal = 2 * 0.6744897501960817;  // its width in standard deviations
    double const scatter = shortest / half_of_normal;
    return std::max(0.0, scatter * scatter - median(own_variances));
}

/// " beyond the shift of +8.1 % that ..."; empty where there is none to speak of.
std::string shift_clause(CommonShift const& shift) {
    if (shift.basis == ShiftBasis::not_sought || std::abs(std::log(shift.ratio)) < 0.0005)
        return "";
    auto const by = " beyond the shift of " + shift_words(shift.ratio);
    if (shift.basis == ShiftBasis::drift_probes) return by + " that the drift probes show";
    return by + fmt::format(" that {} cases share", shift.cases);
}

std::string names_of(std::vector<CaseComparison const*> const& cases) {
    constexpr std::size_t shown = 10;
    std::string names;
    for (std::size_t i = 0; i < std::min(shown, cases.size()); ++i) {
        names += (i > 0 ? ", " : "") + cases[i]->name;
    }
    if (cases.size() > shown) names += fmt::format(" and {} more", cases.size() - shown);
    return names;
}

/// What the old file times and the new one does not; empty if there is nothing.
std::string left_out_since(Comparison const& comparison) {
    auto const counted = [](std::size_t count, char const* what) {
        return fmt::format("{} {} {}", count, count == 1 ? "case" : "cases", what);
    };
    std::string words;
    for (auto const& [count, what] :
         {std::pair{comparison.failed.size(), "failed"},
          std::pair{comparison.only_before.size(), "missing"},
          std::pair{comparison.left_out_after.size(), "without a time"}}) {
        if (count > 0) words += (words.empty() ? "" : ", ") + counted(count, what);
    }
    return words.empty() ? words : words + " in the new file.";
}

void judge(Comparison& comparison, ComparisonLimits const& limits, int doubtful) {
    std::vector<CaseComparison const*> slower;
    std::vector<CaseComparison const*> slower_as_measured;
    std::vector<CaseComparison const*> slower_than_shift;
    for (auto const& one : comparison.cases) {
        if (one.slower) slower.push_back(&one);
        if (one.slower_than_shift) slower_than_shift.push_back(&one);
        if (one.slower_as_measured) slower_as_measured.push_back(&one);
    }
    auto const& shift = comparison.shift;
    bool const same_setting = std::ranges::none_of(
        comparison.environment, [](auto const& d) { return forbids_comparison(d.key); });
    double const limit = std::log1p(limits.threshold_percent / 100);
    auto const all = comparison.cases.size();
    auto const inconclusive = [&](Doubt doubt, std::string reason) {
        comparison.verdict = Verdict::inconclusive;
        comparison.doubt = doubt;
        comparison.reason = std::move(reason);
    };
    bool const told_by_probes = shift.basis == ShiftBasis::drift_probes;
    if (comparison.cases.empty()) {
        inconclusive(Doubt::no_common_case, "The files have no case in common that both time.");
    } else if (!same_setting) {
        inconclusive(Doubt::other_setting,
                     "The files are not of one machine and setting; see the environment.");
    } else if (!slower.empty()) {
        comparison.verdict = Verdict::fail;
        auto const& worst = *slower.front();
        comparison.reason = fmt::format(
            "{} of {} cases are slower by more than {:g} %{} (Holm over cases, alpha {:.2g}): {}; "
            "most of all {}, {}.",
            slower.size(), all, limits.threshold_percent, shift_clause(shift), limits.alpha,
            names_of(slower), worst.name, shift_words(worst.adjusted_ratio));
    } else if (!slower_as_measured.empty() && slower_as_measured.size() < all) {
        inconclusive(
            Doubt::common_shift,
            fmt::format("{} of {} cases took longer by more than {:g} % as measured, and the files "
                        "cannot tell host from program: {}.",
                        slower_as_measured.size(), all, limits.threshold_percent,
                        names_of(slower_as_measured)));
    } else if (!slower_than_shift.empty()) {
        inconclusive(
            Doubt::common_shift,
            fmt::format("{} of {} cases did not get faster{}: the host did, or the program did "
                        "elsewhere, the files cannot tell: {}.",
                        slower_than_shift.size(), all, shift_clause(shift),
                        names_of(slower_than_shift)));
    } else if (!slower_as_measured.empty() && told_by_probes) {
        inconclusive(Doubt::common_shift,
                     fmt::format("All cases are slower beyond one drift probe ({}) and none beyond "
                                 "another ({}): the files cannot tell host from program.",
                                 shift_words(shift.least_ratio), shift_words(shift.ratio)));
    } else if (!slower_as_measured.empty() ||
               (!told_by_probes && std::abs(std::log(shift.ratio)) > limit)) {
        inconclusive(
            Doubt::common_shift,
            fmt::format("All cases moved together by {}: host or program, the files cannot tell.",
                        shift_words(shift.ratio)));
    } else if (auto const lost = left_out_since(comparison); !lost.empty()) {
        inconclusive(Doubt::missing_cases, lost);
    } else if (doubtful > 0) {
        inconclusive(
            Doubt::imprecise,
            fmt::format("No case is slower beyond doubt, but {} of {} repeat too badly, or "
                        "moved too unlike each other, to exclude {:g} %.",
                        doubtful, all, 2 * limits.threshold_percent));
    } else {
        comparison.verdict = Verdict::pass;
        comparison.reason = fmt::format("No case of {} is slower by more than {:g} %{}.", all,
                                        limits.threshold_percent, shift_clause(shift));
    }
}

}  // namespace

Comparison compare(TimingTable const& before, TimingTable const& after,
                   ComparisonLimits const& limits) {
    Comparison comparison;
    comparison.environment = differences(before.environment, after.environment);
    std::map<std::string, CaseTimes const*> old_cases;
    for (auto const& one : before.cases) {
        if (one.failure) {
            comparison.failed_before.push_back(one.name);
        } else {
            old_cases[one.name] = &one;
        }
    }
    std::vector<Pair> pairs;
    std::vector<Pair> probes;
    for (auto const& one : after.cases) {
        auto const found = old_cases.find(one.name);
        if (found == old_cases.end()) {
            if (!one.failure) comparison.only_after.push_back(one.name);
            continue;
        }
        if (one.failure) {
            comparison.failed.push_back(one.name);
        } else {
            (is_drift_probe(one.name) ? probes : pairs)
                .push_back({found->second, &one, log_ratio(*found->second, one)});
        }
        old_cases.erase(found);
    }
    for (auto const& [name, unused] : old_cases) {
        bool const is_there = std::ranges::count(after.left_out, name, &CaseLeftOut::name) > 0;
        (is_there ? comparison.left_out_after : comparison.only_before).push_back(name);
    }

    for (auto const* table : {&before, &after}) {
        for (auto const& one : table->left_out) {
            auto const known = std::ranges::find(comparison.left_out, one.name, &CaseLeftOut::name);
            if (known == comparison.left_out.end()) comparison.left_out.push_back(one);
        }
    }

    comparison.shift = shift_of(pairs, probes, limits);
    double const common = std::log(comparison.shift.ratio);

    double const visit_variance = limits.absolute ? 0 : variance_between_visits(pairs);
    // Against what a case is slower as measured: where it was, or the probe that slowed least.
    double const least = std::log(comparison.shift.least_ratio);

    double const threshold = std::log1p(limits.threshold_percent / 100);
    std::vector<double> slower_p;
    std::vector<double> faster_p;
    std::vector<double> slower_as_measured_p;
    std::vector<std::size_t> tested;
    int doubtful = 0;
    for (auto const& [old_times, new_times, raw] : pairs) {
        double const effect = raw.ratio - common;
        CaseComparison one{.name = new_times->name,
                           .old_ms = std::exp(log_mean(*old_times).mean),
                           .new_ms = std::exp(log_mean(*new_times).mean),
                           .ratio = std::exp(raw.ratio),
                           .adjusted_ratio = std::exp(effect)};
        if (raw.standard_error) {
            double const raw_error =
                std::sqrt(*raw.standard_error * *raw.standard_error + visit_variance);
            double const error = std::hypot(raw_error, comparison.shift.standard_error);
            double const quantile = student_t_quantile(0.975, raw.degrees_of_freedom);
            double const reach = quantile * raw_error;
            one.interval = Interval{.lower = std::exp(raw.ratio - reach),
                                    .upper = std::exp(raw.ratio + reach)};
            double const t = effect / error;
            slower_p.push_back(student_t_survival(t, raw.degrees_of_freedom));
            faster_p.push_back(student_t_cdf(t, raw.degrees_of_freedom));
            slower_as_measured_p.push_back(
                student_t_survival((raw.ratio - least) / raw_error, raw.degrees_of_freedom));
            tested.push_back(comparison.cases.size());
            doubtful += effect + quantile * error > std::log1p(2 * limits.threshold_percent / 100);
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
    auto const as_measured_holm = holm_adjusted(slower_as_measured_p);
    for (std::size_t i = 0; i < tested.size(); ++i) {
        auto& one = comparison.cases[tested[i]];
        one.p_value = slower_holm[i];
        one.faster_p_value = faster_holm[i];
        if (comparison.shift.basis != ShiftBasis::undecided) {
            bool const adjusted =
                slower_holm[i] < limits.alpha && std::log(one.adjusted_ratio) > threshold;
            one.slower = adjusted && std::log(one.ratio) > threshold;
            one.slower_than_shift = adjusted && !one.slower;
            one.faster = faster_holm[i] < limits.alpha &&
                         std::log(one.adjusted_ratio) < -threshold &&
                         std::log(one.ratio) < -threshold;
        }
        one.slower_as_measured =
            as_measured_holm[i] < limits.alpha && std::log(one.ratio) - least > threshold;
    }
    std::ranges::stable_sort(comparison.cases, [](auto const& a, auto const& b) {
        if (a.slower != b.slower) return a.slower;
        if (a.slower_than_shift != b.slower_than_shift) return a.slower_than_shift;
        return a.ratio > b.ratio;
    });
    judge(comparison, limits, doubtful);
    return comparison;
}

std::string_view to_string(ShiftBasis basis) {
    switch (basis) {
        case ShiftBasis::drift_probes:
            return "drift_probes";
        case ShiftBasis::unchanged_cases:
            return "unchanged_cases";
        case ShiftBasis::most_cases:
            return "most_cases";
        case ShiftBasis::undecided:
            return "undecided";
        case ShiftBasis::not_sought:
            break;
    }
    return "not_sought";
}

std::string_view to_string(Doubt doubt) {
    switch (doubt) {
        case Doubt::no_common_case:
            return "no_common_case";
        case Doubt::other_setting:
            return "other_setting";
        case Doubt::common_shift:
            return "common_shift";
        case Doubt::missing_cases:
            return "missing_cases";
        case Doubt::imprecise:
            return "imprecise";
        case Doubt::none:
            break;
    }
    return "none";
}

}  // namespace derate
