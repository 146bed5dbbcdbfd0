// The rule that compares a calibration with the one it replaces. Formulas: docs/statistics.md.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "gate/gate.hpp"
#include "statistics/distributions.hpp"
#include "statistics/interval_of_mean.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/quantiles.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

/// A mean of kernels' log ratios with the spread that models share.
struct PairedMean {
    double mean = 0;
    double standard_error = 0;
    double degrees_of_freedom = 1;

    /// P-value of "mean <= bound".
    [[nodiscard]] double above(double bound) const {
        return student_t_survival((mean - bound) / standard_error, degrees_of_freedom);
    }
    /// P-value of "|mean| <= bound".
    [[nodiscard]] double beyond(double bound) const {
        return std::min(1.0, 2 * student_t_survival((std::abs(mean) - bound) / standard_error,
                                                    degrees_of_freedom));
    }
};

struct Observation {
    double value = 0;
    std::string_view model;
};

/// Pairing removes what a kernel's two predictions have in common, its family's error included, so
/// models are the only level that is left above kernels.
std::optional<PairedMean> paired_mean(std::vector<Observation> const& observations) {
    std::map<std::string_view, SampleSummary> by_model;
    for (auto const& o : observations) {
        auto& summary = by_model[o.model];
        summary = merge(summary, SampleSummary{.count = 1, .mean = o.value});
    }
    std::vector<SampleSummary> groups;
    for (auto const& [model, summary] : by_model) groups.push_back(summary);
    auto const mean = interval_of_grouped_mean(groups);
    if (!mean) return std::nullopt;
    // Identical ratios (nothing was measured anew) leave no spread; a tiny one keeps tests defined.
    return PairedMean{mean->mean, std::max(mean->standard_error, 1e-9), mean->degrees_of_freedom};
}

/// Middle of the shortest interval that holds half of the values: where most of them lie, even when
/// nearly half were moved elsewhere, which would drag a mean or a median along.
double densest_half(std::vector<double> values) {
    std::ranges::sort(values);
    std::size_t const half = values.size() / 2 + 1;
    std::size_t best = 0;
    for (std::size_t i = 0; i + half <= values.size(); ++i) {
        if (values[i + half - 1] - values[i] < values[best + half - 1] - values[best]) best = i;
    }
    return median(std::span{values}.subspan(best, half));
}

std::optional<double> campaign_ratio(PairedKernel const& kernel) {
    if (!kernel.measured_new_ms || !kernel.measured_old_ms) return std::nullopt;
    return std::log(*kernel.measured_new_ms / *kernel.measured_old_ms);
}

/// Times of a model's common kernels, summed, new over old, as logarithm.
std::map<std::string, double> model_shifts(std::span<PairedKernel const> kernels) {
    std::map<std::string, std::pair<double, double>> totals;
    for (auto const& kernel : kernels) {
        if (!campaign_ratio(kernel)) continue;
        auto& [now, before] = totals[kernel.model];
        now += *kernel.measured_new_ms;
        before += *kernel.measured_old_ms;
    }
    std::map<std::string, double> shifts;
    for (auto const& [model, times] : totals) shifts[model] = std::log(times.first / times.second);
    return shifts;
}

double percent(double log_ratio) { return 100 * std::expm1(log_ratio); }

/// What one operation type's kernels say.
struct TypeComparison {
    OperationType type;
    double share = 0;                     ///< of all models' time
    std::optional<PairedMean> moved;      ///< log(new / old prediction), less what was measured
    std::optional<PairedMean> error_gap;  ///< |log error| of the new less that of the old
};

/// |log(measured / predicted)| against all measurements there are of the kernel, so that neither
/// calibration is judged by its own campaign alone.
double absolute_error(PairedKernel const& kernel, double predicted_ms) {
    double sum = 0;
    int count = 0;
    for (auto const& measured : {kernel.measured_new_ms, kernel.measured_old_ms}) {
        if (!measured) continue;
        sum += std::abs(std::log(*measured / predicted_ms));
        ++count;
    }
    return count == 0 ? 0 : sum / count;
}

std::vector<TypeComparison> compare_types(std::span<PairedKernel const> kernels) {
    std::map<OperationType, std::vector<PairedKernel const*>> by_type;
    double total_share = 0;
    for (auto const& kernel : kernels) {
        by_type[kernel.type].push_back(&kernel);
        total_share += kernel.share;
    }
    std::vector<TypeComparison> comparisons;
    for (auto const& [type, members] : by_type) {
        std::vector<Observation> moved;
        std::vector<Observation> gaps;
        double share = 0;
        for (auto const* kernel : members) {
            share += kernel->share;
            double const prediction = std::log(kernel->predicted_new_ms / kernel->predicted_old_ms);
            double const measurement = campaign_ratio(*kernel).value_or(0);
            moved.push_back({prediction - measurement, kernel->model});
            gaps.push_back({absolute_error(*kernel, kernel->predicted_new_ms) -
                                absolute_error(*kernel, kernel->predicted_old_ms),
                            kernel->model});
        }
        comparisons.push_back({type, total_share > 0 ? share / total_share : 0, paired_mean(moved),
                               paired_mean(gaps)});
    }
    return comparisons;
}

std::string join(std::vector<std::string> const& parts) {
    std::string line;
    for (auto const& part : parts) line += (line.empty() ? "" : "; ") + part;
    return line;
}

struct Findings {
    std::vector<Figure> figures;
    std::vector<std::string> failures;
    std::vector<std::string> doubts;
};

/// Share of time in kernels whose campaigns differ from `common` by more than `tolerance`.
double share_apart(std::span<PairedKernel const> kernels, double common, double tolerance) {
    double apart = 0;
    double all = 0;
    for (auto const& kernel : kernels) {
        auto const ratio = campaign_ratio(kernel);
        if (!ratio) continue;
        all += kernel.share;
        if (std::abs(*ratio - common) > tolerance) apart += kernel.share;
    }
    return all > 0 ? apart / all : 0;
}

/// Two campaigns of one machine differ by a common shift and by noise. Models or kernels in numbers
/// that stand apart from the others were measured under other conditions than they were before.
Findings compare_campaigns(std::span<PairedKernel const> kernels,
                           std::map<std::string, double> const& shifts, GateLimits const& limits) {
    constexpr double failing_model_share = 0.1;
    constexpr double failing_kernel_share = 1.0 / 3;
    constexpr double doubtful_kernel_share = 0.2;
    std::vector<double> ratios;
    for (auto const& kernel : kernels) {
        if (auto const ratio = campaign_ratio(kernel)) ratios.push_back(*ratio);
    }
    double const common = densest_half(ratios);
    double const tolerance = std::log1p(limits.campaign_shift_percent / 100);
    std::vector<std::string> apart;
    for (auto const& [model, shift] : shifts) {
        if (std::abs(shift - common) > tolerance) apart.push_back(model);
    }
    double const models_share =
        static_cast<double>(apart.size()) / static_cast<double>(shifts.size());
    double const kernels_share =
        share_apart(kernels, common, std::log1p(limits.kernel_shift_percent / 100));

    Findings findings;
    findings.figures = {{"common_shift_percent", percent(common)},
                        {"models_apart", static_cast<double>(apart.size())},
                        {"models_compared", static_cast<double>(shifts.size())},
                        {"time_share_of_kernels_apart", kernels_share}};
    if (apart.size() >= 2 && models_share >= failing_model_share) {
        findings.failures.push_back(fmt::format(
            "the kernels of {} of {} models ({}) moved by more than {:.0f} % against the "
            "others since the replaced calibration was measured",
            apart.size(), shifts.size(), apart.front(), limits.campaign_shift_percent));
    } else if (models_share >= failing_model_share) {
        findings.doubts.push_back(
            fmt::format("the kernels of {} moved by more than {:.0f} % against the others",
                        apart.front(), limits.campaign_shift_percent));
    }
    if (kernels_share > doubtful_kernel_share) {
        auto& list = kernels_share > failing_kernel_share ? findings.failures : findings.doubts;
        list.push_back(
            fmt::format("kernels with {:.0f} % of the time moved by more than {:.0f} % against "
                        "the others",
                        100 * kernels_share, limits.kernel_shift_percent));
    }
    if (std::abs(common) > tolerance) {
        findings.doubts.push_back(fmt::format(
            "all models moved by {:+.0f} %: is the environment the same?", percent(common)));
    }
    return findings;
}

}  // namespace

RuleResult judge_not_worse(std::span<PairedKernel const> kernels, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::not_worse};
    if (kernels.empty()) {
        result.reason = "It replaces no calibration with evidence.";
        return result;
    }
    std::vector<std::string> failures;
    std::vector<std::string> doubts;

    // Do the two campaigns tell the same of the same kernels?
    if (auto const shifts = model_shifts(kernels); !shifts.empty()) {
        auto const findings = compare_campaigns(kernels, shifts, limits);
        result.figures = findings.figures;
        failures = findings.failures;
        doubts = findings.doubts;
    }

    // Did predictions move although measurements did not, or errors grow?
    auto const comparisons = compare_types(kernels);
    double const tolerance = std::log1p(limits.shift_percent / 100);
    std::vector<double> moved_p;
    std::vector<double> worse_p;
    for (auto const& c : comparisons) {
        moved_p.push_back(c.moved ? c.moved->beyond(tolerance) : 1);
        worse_p.push_back(c.error_gap ? c.error_gap->above(tolerance) : 1);
    }
    auto const moved_holm = holm_adjusted(moved_p);
    auto const worse_holm = holm_adjusted(worse_p);
    double largest_move = 0;
    for (std::size_t i = 0; i < comparisons.size(); ++i) {
        auto const& c = comparisons[i];
        if (!c.moved || !c.error_gap) continue;
        auto const name = std::string{to_string(c.type)};
        if (std::abs(c.moved->mean) > std::abs(largest_move)) largest_move = c.moved->mean;
        // A move that lowers the error is what a better fit does.
        bool const better = c.error_gap->mean < 0 && 1 - c.error_gap->above(0) < limits.alpha;
        if (worse_holm[i] < limits.alpha) {
            failures.push_back(
                fmt::format("errors of {} grew by {:.0f} points", name, 100 * c.error_gap->mean));
        } else if (moved_holm[i] < limits.alpha && !better) {
            failures.push_back(
                fmt::format("predictions of {} moved by {:+.0f} % although its measured "
                            "times did not",
                            name, percent(c.moved->mean)));
        } else if (c.share > 0.1 && std::abs(c.moved->mean) > tolerance && !better) {
            doubts.push_back(
                fmt::format("predictions of {} moved by {:+.0f} %, too few kernels to tell "
                            "whether by chance",
                            name, percent(c.moved->mean)));
        }
    }
    result.figures.push_back({"largest_type_move_percent", percent(largest_move)});
    result.figures.push_back({"kernels_compared", static_cast<double>(kernels.size())});

    if (!failures.empty()) {
        result.verdict = Verdict::fail;
        result.reason =
            "Against the replaced calibration " + join(failures) + " (Holm over types).";
    } else if (!doubts.empty()) {
        result.verdict = Verdict::inconclusive;
        result.reason = "Against the replaced calibration " + join(doubts) + ".";
    } else {
        result.reason = fmt::format(
            "{} kernels compared with the replaced calibration; no type moved by more than "
            "{:.0f} % without being measured so (Holm over types).",
            kernels.size(), limits.shift_percent);
    }
    return result;
}

}  // namespace derate
