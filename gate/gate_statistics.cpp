// The gate's statistical rules: accuracy, bias, variance, coverage. Formulas and their limits:
// docs/statistics.md.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "gate/gate.hpp"
#include "statistics/bootstrap.hpp"
#include "statistics/distributions.hpp"
#include "statistics/mean_tests.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/proportion.hpp"
#include "statistics/quantiles.hpp"
#include "statistics/variance_test.hpp"

namespace derate {
namespace {

std::vector<int> family_labels(std::span<ModelOutcome const> outcomes) {
    std::vector<std::string_view> families;
    for (auto const& outcome : outcomes) families.push_back(outcome.family);
    return cluster_labels(families);
}

template <class Property>
std::vector<double> each(std::span<ModelOutcome const> outcomes, Property const& property) {
    std::vector<double> values;
    for (auto const& outcome : outcomes) values.push_back(property(outcome));
    return values;
}

int count_models(std::span<ModelOutcome const> outcomes) {
    std::set<std::string_view> names;
    for (auto const& outcome : outcomes) names.insert(outcome.model);
    return static_cast<int>(names.size());
}

int count_families(std::span<ModelOutcome const> outcomes) {
    std::set<std::string_view> names;
    for (auto const& outcome : outcomes) names.insert(outcome.family);
    return static_cast<int>(names.size());
}

/// What every statistical rule needs before it may say PASS.
std::optional<std::string> too_few(std::span<ModelOutcome const> outcomes,
                                   GateLimits const& limits) {
    int const models = count_models(outcomes);
    int const families = count_families(outcomes);
    if (models >= limits.fewest_models && families >= limits.fewest_families) return std::nullopt;
    return fmt::format(
        "{} model{} of {} famil{}: too few to claim it (at least {} models of {} families).",
        models, models == 1 ? "" : "s", families, families == 1 ? "y" : "ies", limits.fewest_models,
        limits.fewest_families);
}

/// Interval of a ratio of true to served variance, from standardised squares s_j (one a model)
/// whose mean is `ratio` = mean s: ratio over quantiles of the resampled mean / ratio. Resampling
/// about the observed ratio is a test of every null ratio at once.
Interval variance_ratio_interval(std::vector<double> const& squares,
                                 std::vector<int> const& families, double ratio, double confidence,
                                 BootstrapPlan const& plan) {
    auto const relative_mean = [&](std::span<std::size_t const> drawn) {
        double sum = 0;
        for (auto const i : drawn) sum += squares[i];
        return std::log(std::max(sum / static_cast<double>(drawn.size()) / ratio, 1e-12));
    };
    auto const replicates = cluster_bootstrap(families, relative_mean, plan);
    auto const percentiles = percentile_interval(replicates, confidence);
    int const clusters = static_cast<int>(std::set<int>(families.begin(), families.end()).size());
    double const widening = widening_for_few_clusters(clusters, confidence);
    return {.lower = ratio * std::exp(-widening * percentiles.upper),
            .upper = ratio * std::exp(-widening * percentiles.lower)};
}

}  // namespace

RuleResult judge_accuracy(std::span<ModelOutcome const> outcomes, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::accuracy, .verdict = Verdict::inconclusive};
    auto const errors = each(outcomes, [](auto const& o) { return std::abs(o.error_percent()); });
    if (errors.empty()) {
        result.reason = "No model could be left out and predicted.";
        return result;
    }
    double const mape = mape_percent(outcomes);
    result.figures = {{"mape_percent", mape},
                      {"median_percent", median(errors)},
                      {"p90_percent", quantile(errors, 0.9)},
                      {"limit_percent", limits.mape_percent},
                      {"models", static_cast<double>(count_models(outcomes))}};
    auto const interval = cluster_interval_of_mean(errors, family_labels(outcomes),
                                                   1 - 2 * limits.alpha, limits.bootstrap);
    if (!interval) {
        result.reason =
            fmt::format("MAPE {:.1f} % over one family: its interval is unknown.", mape);
        return result;
    }
    result.figures.push_back({"mape_lower_percent", interval->interval.lower});
    result.figures.push_back({"mape_upper_percent", interval->interval.upper});
    auto const figures =
        fmt::format("MAPE {:.1f} % ({:.0f} % interval over families {:.1f} to {:.1f})", mape,
                    100 * (1 - 2 * limits.alpha), std::max(0.0, interval->interval.lower),
                    interval->interval.upper);
    if (interval->interval.lower > limits.mape_percent) {
        result.verdict = Verdict::fail;
        result.reason =
            figures + fmt::format(" is above the limit of {:.0f} %.", limits.mape_percent);
    } else if (auto const few = too_few(outcomes, limits)) {
        result.reason = figures + ". " + *few;
    } else if (interval->interval.upper < limits.mape_percent) {
        result.verdict = Verdict::pass;
        result.reason =
            figures + fmt::format(" is below the limit of {:.0f} %.", limits.mape_percent);
    } else {
        result.reason =
            figures + fmt::format(": the limit of {:.0f} % lies inside; more models would tell.",
                                  limits.mape_percent);
    }
    return result;
}

RuleResult judge_bias(std::span<ModelOutcome const> outcomes, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::bias, .verdict = Verdict::inconclusive};
    bool const independent = std::ranges::all_of(outcomes, &ModelOutcome::independent_truth);
    double const margin_percent =
        independent ? limits.bias_margin_percent : limits.bias_margin_of_summed_percent;
    double const margin = std::log1p(margin_percent / 100);
    auto const ratios = each(outcomes, [](auto const& o) { return -o.log_error(); });
    auto const families = family_labels(outcomes);
    auto const interval =
        ratios.empty()
            ? std::nullopt
            : cluster_interval_of_mean(ratios, families, 1 - 2 * limits.alpha, limits.bootstrap);
    if (!interval) {
        result.reason = "Too few families to give the mean error an interval.";
        return result;
    }
    auto const in_percent = [](double log_ratio) { return 100 * std::expm1(log_ratio); };
    result.figures = {{"bias_percent", in_percent(interval->mean)},
                      {"bias_lower_percent", in_percent(interval->interval.lower)},
                      {"bias_upper_percent", in_percent(interval->interval.upper)},
                      {"margin_percent", margin_percent}};
    if (auto const tost = equivalence_test(ratios, -margin, margin, limits.alpha)) {
        result.figures.push_back({"tost_p_value", tost->p_value});
        result.figures.push_back({"t_test_p_value", one_sample_t_test(ratios)->p_value});
    }
    auto const figures =
        fmt::format("Bias {:+.1f} % ({:.0f} % interval over families {:+.1f} to {:+.1f})",
                    in_percent(interval->mean), 100 * (1 - 2 * limits.alpha),
                    in_percent(interval->interval.lower), in_percent(interval->interval.upper));
    auto const& [lower, upper] = interval->interval;
    if (lower > margin || upper < -margin) {
        result.verdict = Verdict::fail;
        result.reason =
            figures + fmt::format(" lies outside the margin of {:.0f} %.", margin_percent);
    } else if (auto const few = too_few(outcomes, limits)) {
        result.reason = figures + ". " + *few;
    } else if (lower > -margin && upper < margin) {
        result.verdict = Verdict::pass;
        result.reason = figures + fmt::format(" is inside the margin of {:.0f} %.", margin_percent);
    } else {
        result.reason =
            figures +
            fmt::format(" crosses the margin of {:.0f} %; more models would tell.", margin_percent);
    }
    return result;
}

RuleResult judge_variance(std::span<ModelOutcome const> outcomes, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::variance, .verdict = Verdict::inconclusive};
    if (!std::ranges::all_of(outcomes, [](auto const& o) { return o.log_variance > 0; })) {
        result.verdict = Verdict::fail;
        result.reason = "A prediction was served without a variance.";
        return result;
    }
    auto const z = each(outcomes, [](auto const& o) { return o.standardised(); });
    if (count_families(outcomes) < 2) {
        result.reason = "Too few families to judge the variance by.";
        return result;
    }
    auto const textbook = *unit_variance_test(z);
    double const ratio = textbook.statistic / textbook.degrees_of_freedom;
    std::vector<double> squares;
    for (double const one : z) squares.push_back(one * one);
    auto const families = family_labels(outcomes);
    // Two looks at one claim, whole models and their kernels: each at half of alpha (Bonferroni).
    double const confidence = 1 - limits.alpha;
    auto const bootstrap =
        variance_ratio_interval(squares, families, ratio, confidence, limits.bootstrap);
    auto const passing =
        variance_ratio_interval(squares, families, ratio, 1 - 2 * limits.alpha, limits.bootstrap);
    double const n = textbook.degrees_of_freedom;
    // With few models the bootstrap sees no tail; chi-squared knows one, so the wider holds.
    double const upper =
        std::max(passing.upper, textbook.statistic / chi_squared_quantile(limits.alpha, n));
    double const lower = std::min(
        bootstrap.lower, textbook.statistic / chi_squared_quantile(1 - limits.alpha / 2, n));
    result.figures = {{"statistic", textbook.statistic},
                      {"degrees_of_freedom", n},
                      {"textbook_p_value", textbook.p_value},
                      {"ratio", ratio},
                      {"ratio_lower", lower},
                      {"ratio_upper", upper}};

    std::vector<double> kernel_squares;
    std::vector<int> kernel_families;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        if (auto const square = outcomes[i].kernel_square()) {
            kernel_squares.push_back(*square);
            kernel_families.push_back(families[i]);
        }
    }
    double kernel_lower = 0;
    if (std::set<int>(kernel_families.begin(), kernel_families.end()).size() >= 2) {
        double kernel_ratio = 0;
        for (double const s : kernel_squares) {
            kernel_ratio += s / static_cast<double>(kernel_squares.size());
        }
        kernel_lower = variance_ratio_interval(kernel_squares, kernel_families, kernel_ratio,
                                               confidence, limits.bootstrap)
                           .lower;
        result.figures.push_back({"kernel_ratio", kernel_ratio});
        result.figures.push_back({"kernel_ratio_lower", kernel_lower});
    }

    auto const figures = fmt::format(
        "Squared errors are {:.2f} times the served variance (interval over families {:.2f} to "
        "{:.2f}; chi-squared {:.1f} on {:.0f})",
        ratio, lower, upper, textbook.statistic, n);
    if (lower > 1) {
        result.verdict = Verdict::fail;
        result.reason = figures + ": it is understated.";
    } else if (kernel_lower > limits.kernel_variance_ratio) {
        result.verdict = Verdict::fail;
        result.reason =
            figures +
            fmt::format("; those of kernels {:.2f} times (at least {:.2f}): it is understated.",
                        *result.figure("kernel_ratio"), kernel_lower);
    } else if (auto const few = too_few(outcomes, limits)) {
        result.reason = figures + ". " + *few;
    } else if (upper < limits.variance_ratio) {
        result.verdict = Verdict::pass;
        result.reason = figures + fmt::format(": not understated by {:.0f} times or more.",
                                              limits.variance_ratio);
        if (upper < 0.5) result.reason += " Intervals are wider than they need to be.";
    } else {
        result.reason =
            figures +
            fmt::format(": too few models to exclude that it is understated {:.0f} times.",
                        limits.variance_ratio);
    }
    return result;
}

RuleResult judge_coverage(std::span<ModelOutcome const> outcomes, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::coverage, .verdict = Verdict::inconclusive};
    if (outcomes.empty()) {
        result.reason = "No model could be left out and predicted.";
        return result;
    }
    double const covered = coverage(outcomes);
    auto const families = family_labels(outcomes);
    int const clusters = count_families(outcomes);
    // Batches of a model and models of a family are off together. Where all lie inside, as a good
    // calibration's do, only how far they are off tells how much.
    auto const trials = static_cast<double>(outcomes.size());
    double const effect = std::max(
        design_effect(each(outcomes, [](auto const& o) { return o.standardised(); }), families),
        design_effect(each(outcomes, [](auto const& o) { return o.inside_interval() ? 1.0 : 0.0; }),
                      families));
    double const confidence = 1 - 2 * limits.alpha;
    double const worth =
        clusters < 2 ? 1 : effective_trials(trials, effect, clusters, confidence);
    auto const exact = clopper_pearson_interval(covered * worth, worth, confidence);
    auto const score = wilson_interval(covered * worth, worth);
    result.figures = {{"coverage_95", covered},
                      {"coverage_lower", exact.lower},
                      {"coverage_upper", exact.upper},
                      {"wilson_95_lower", score.lower},
                      {"wilson_95_upper", score.upper},
                      {"design_effect", effect},
                      {"effective_trials", worth},
                      {"median_half_width_percent", median_half_width_percent(outcomes)}};
    auto const figures = fmt::format(
        "{:.0f} of {:.0f} models lie in their 95 % interval ({:.0f} % interval {:.0f} to {:.0f} %: "
        "models of a family count as {:.1f} independent ones in all)",
        std::round(covered * trials), trials, 100 * confidence, 100 * exact.lower,
        100 * exact.upper, worth);
    if (exact.upper < limits.coverage_fail_below) {
        result.verdict = Verdict::fail;
        result.reason =
            figures + fmt::format(": below {:.0f} %.", 100 * limits.coverage_fail_below);
    } else if (auto const few = too_few(outcomes, limits)) {
        result.reason = figures + ". " + *few;
    } else if (exact.lower > limits.coverage_pass_above) {
        result.verdict = Verdict::pass;
        result.reason =
            figures + fmt::format(": above {:.0f} %.", 100 * limits.coverage_pass_above);
    } else {
        result.reason = figures + fmt::format(": too few models to show more than {:.0f} %.",
                                              100 * limits.coverage_pass_above);
    }
    return result;
}

}  // namespace derate
