// The gate's rules that look at facts: files, roles, claims, how it was measured.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "gate/gate.hpp"

namespace derate {
namespace {

/// "a, b, c and 4 more": a person reads the first few.
std::string listed(std::vector<std::string> const& names) {
    constexpr std::size_t shown = 3;
    std::string line;
    for (std::size_t i = 0; i < std::min(shown, names.size()); ++i) {
        line += (i == 0 ? "" : ", ") + names[i];
    }
    if (names.size() > shown) line += " and " + std::to_string(names.size() - shown) + " more";
    return line;
}

double relative_difference(double a, double b) {
    return std::abs(a - b) / std::max(std::abs(a), std::abs(b));
}

std::string name_of(EvidenceModel const& model) {
    return model.name + " (batch " + batch_text(model.batch) + ")";
}

struct LargestDifference {
    double relative = 0;
    std::string what;  ///< a model, or a part of the file
};

LargestDifference largest_difference(CrossValidation const& a, CrossValidation const& b) {
    LargestDifference largest;
    for (std::size_t i = 0; i < a.models.size(); ++i) {
        auto const& x = a.models[i].predicted;
        auto const& y = b.models[i].predicted;
        for (double const difference : {relative_difference(x.latency_ms, y.latency_ms),
                                        relative_difference(x.ci_95_lower_ms, y.ci_95_lower_ms),
                                        relative_difference(x.ci_95_upper_ms, y.ci_95_upper_ms)}) {
            // A NaN must not pass for a small difference.
            if (!(difference <= largest.relative)) largest = {difference, a.models[i].model};
            if (std::isnan(difference)) return largest;
        }
    }
    return largest;
}

/// What people read in the file beside what is served: peaks, and the points of its curves.
LargestDifference largest_difference(Calibration const& stored, Calibration const& refit) {
    LargestDifference largest;
    auto const note = [&largest](double difference, std::string const& name) {
        if (!(difference <= largest.relative)) largest = {difference, name};
    };
    constexpr double missing = std::numeric_limits<double>::infinity();
    auto const compare_peaks = [&](std::optional<PeakRate> const& a,
                                   std::optional<PeakRate> const& b, char const* name) {
        if (a.has_value() != b.has_value()) note(missing, name);
        if (a && b) note(relative_difference(a->per_second, b->per_second), name);
    };
    compare_peaks(stored.peak_flops, refit.peak_flops, "the peak FLOP rate");
    compare_peaks(stored.peak_bandwidth, refit.peak_bandwidth, "the peak bandwidth");
    for (auto const& curve : refit.curves) {
        auto const name = "the curve of " + std::string{to_string(curve.type)};
        auto const found = std::ranges::find_if(stored.curves, [&](EfficiencyCurve const& other) {
            return other.type == curve.type && other.zero_flop == curve.zero_flop;
        });
        if (found == stored.curves.end() || found->data_points.size() != curve.data_points.size()) {
            note(missing, name);
            continue;
        }
        for (std::size_t i = 0; i < curve.data_points.size(); ++i) {
            auto const& a = found->data_points[i];
            auto const& b = curve.data_points[i];
            note(relative_difference(a.work, b.work), name);
            note(relative_difference(a.efficiency_mean, b.efficiency_mean), name);
        }
    }
    return largest;
}

}  // namespace

RuleResult judge_schema(std::span<std::string const> violations) {
    RuleResult result{.rule = GateRule::schema};
    result.figures = {{"violations", static_cast<double>(violations.size())}};
    if (violations.empty()) {
        result.reason = "The file obeys its schema.";
    } else {
        result.verdict = Verdict::fail;
        result.reason = "Violations: " + listed({violations.begin(), violations.end()}) + ".";
    }
    return result;
}

RuleResult judge_evidence_intact(std::span<EvidenceFileState const> files) {
    RuleResult result{.rule = GateRule::evidence_intact};
    std::vector<std::string> broken;
    for (auto const& file : files) {
        if (!file.actual_sha256) {
            broken.push_back(file.recorded.file + " is missing");
        } else if (*file.actual_sha256 != file.recorded.sha256) {
            broken.push_back(file.recorded.file + " has another SHA-256 than recorded");
        }
    }
    if (files.empty()) broken.emplace_back("no evidence file is recorded");
    result.figures = {{"files", static_cast<double>(files.size())},
                      {"broken", static_cast<double>(broken.size())}};
    if (broken.empty()) {
        result.reason = "All evidence files have their recorded SHA-256.";
    } else {
        result.verdict = Verdict::fail;
        result.reason = "Evidence: " + listed(broken) + ".";
    }
    return result;
}

RuleResult judge_recomputes(Calibration const& stored, GateComputation const& computation,
                            GateLimits const& limits) {
    RuleResult result{.rule = GateRule::evidence_recomputes};
    auto const& served = computation.served;
    auto const& refitted = computation.refitted;
    if (served.models.size() != refitted.models.size() || served.models.empty()) {
        result.verdict = Verdict::fail;
        result.reason = fmt::format(
            "The stored calibration prices {} models of the evidence, its refit {}.",
            served.models.size(), refitted.models.size());
        return result;
    }
    auto largest = largest_difference(served, refitted);
    if (auto const shown = largest_difference(stored, computation.refit);
        std::isnan(shown.relative) || shown.relative > largest.relative) {
        largest = shown;
    }
    result.figures = {{"largest_relative_difference", largest.relative},
                      {"limit", limits.recompute_relative}};
    if (largest.relative <= limits.recompute_relative) {
        result.reason = fmt::format(
            "Refitting the evidence gives the served predictions, peaks and efficiencies "
            "within {:.1e}.",
            largest.relative);
    } else {
        result.verdict = Verdict::fail;
        result.reason = fmt::format(
            "Refitting the evidence moves {} by {:.2g} relative (limit {:.0e}): the file does not "
            "come from this evidence, or not from this version's fit.",
            largest.what, largest.relative, limits.recompute_relative);
    }
    return result;
}

RuleResult judge_claims(Calibration const& calibration, std::span<ModelOutcome const> outcomes,
                        LeaveOut what, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::claims_recompute};
    int compared = 0;
    for (auto const& claim : calibration.claims) {
        if (claim.leave_out != to_string(what) || outcomes.empty()) continue;
        ++compared;
        double difference = std::max(std::abs(claim.mape_percent - mape_percent(outcomes)),
                                     std::abs(claim.bias_percent - bias_percent(outcomes)));
        if (claim.coverage_95) {
            difference =
                std::max(difference, 100 * std::abs(*claim.coverage_95 - coverage(outcomes)));
        }
        result.figures = {{"largest_difference_points", difference}};
        if (!(difference <= limits.claim_points)) {
            result.verdict = Verdict::fail;
            result.reason = fmt::format(
                "The file claims MAPE {:.1f} %, bias {:+.1f} %; the evidence gives {:.1f} % and "
                "{:+.1f} %, coverage {:.0f} %.",
                claim.mape_percent, claim.bias_percent, mape_percent(outcomes),
                bias_percent(outcomes), 100 * coverage(outcomes));
            return result;
        }
    }
    result.reason = compared > 0 ? "The recorded claims are what the evidence gives."
                                 : "The file makes no claim that could be false.";
    return result;
}

RuleResult judge_held_out(Calibration const& calibration, Evidence const& evidence) {
    RuleResult result{.rule = GateRule::held_out_unseen};
    std::set<std::string> used(calibration.provenance.models_used.begin(),
                               calibration.provenance.models_used.end());
    std::set<std::string> fitted;
    std::set<std::vector<int>> fitted_cases;
    for (auto const& model : evidence.models) {
        if (model.role != ModelRole::calibration) continue;
        fitted.insert(model.name);
        fitted_cases.insert(model.cases);
    }
    std::set<std::string> leaked;
    std::set<std::string> held_out;
    for (auto const& model : evidence.models) {
        if (model.role != ModelRole::held_out) continue;
        held_out.insert(model.name);
        if (used.contains(model.name) || fitted.contains(model.name) ||
            fitted_cases.contains(model.cases)) {
            leaked.insert(model.name);
        }
    }
    result.figures = {{"held_out_models", static_cast<double>(held_out.size())},
                      {"leaked_models", static_cast<double>(leaked.size())}};
    if (leaked.empty()) {
        result.reason = held_out.empty()
                            ? "No model is held out; models are left out in turn."
                            : fmt::format("None of the {} held-out models took part in the fit.",
                                          held_out.size());
    } else {
        result.verdict = Verdict::fail;
        result.reason = "Held out, but fitted on (by name or by the same kernels): " +
                        listed({leaked.begin(), leaked.end()}) + ".";
    }
    return result;
}

RuleResult judge_independent_truth(CurveSource source, Evidence const& evidence) {
    RuleResult result{.rule = GateRule::independent_truth};
    std::vector<std::string> disguised;
    int timed = 0;
    int models = 0;
    for (auto const& model : evidence.models) {
        models += model.is_partial() ? 0 : 1;  // some kernels are no truth of a model
        if (!model.whole_model) continue;
        ++timed;
        auto const parts = sum_of_parts_ms(evidence, model);
        // Two measurements never agree to nine digits; a sum taken for a measurement does.
        if (parts && model.cases.size() > 1 &&
            relative_difference(*parts, model.whole_model->center_ms) < 1e-9) {
            disguised.push_back(name_of(model));
        }
    }
    result.figures = {{"models", static_cast<double>(models)},
                      {"timed_as_a_whole", static_cast<double>(timed)}};
    if (!disguised.empty()) {
        result.verdict = Verdict::fail;
        result.reason =
            "The whole-model time is exactly the sum of its parts: " + listed(disguised) + ".";
    } else if (timed == models && models > 0) {
        result.reason = fmt::format("All {} models were timed as a whole.", models);
    } else {
        result.verdict = Verdict::inconclusive;
        result.reason = fmt::format(
            "{} of {} models have only a sum of parts for truth{}; at best provisional.",
            models - timed, models, source == CurveSource::imported ? " (imported data)" : "");
    }
    return result;
}

RuleResult judge_measurement_quality(Evidence const& evidence, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::measurement_quality};
    double total_ms = 0;
    double few_launches_ms = 0;
    double unsteady_ms = 0;
    for (auto const& one : evidence.cases) {
        if (!one.timing || one.probe) continue;
        auto const& launches = one.timing->launches;
        total_ms += one.timing->center_ms;
        if (static_cast<int>(launches.size()) < limits.fewest_launches) {
            few_launches_ms += one.timing->center_ms;
        }
        auto const unsteady =
            std::ranges::count_if(launches, [](auto const& launch) { return !launch.steady; });
        if (2 * unsteady > std::ssize(launches)) unsteady_ms += one.timing->center_ms;
    }
    std::vector<std::string> drifted;
    for (auto const& campaign : evidence.campaigns) {
        if (campaign.trust_grade == "D") drifted.push_back(campaign.id);
    }
    double const few_share = total_ms > 0 ? few_launches_ms / total_ms : 1;
    double const unsteady_share = total_ms > 0 ? unsteady_ms / total_ms : 1;
    result.figures = {{"share_with_few_launches", few_share},
                      {"share_unsteady", unsteady_share},
                      {"campaigns_graded_d", static_cast<double>(drifted.size())}};
    constexpr double tolerated_share = 0.2;
    if (!drifted.empty()) {
        result.verdict = Verdict::inconclusive;
        result.reason = "Measured with drift, foreign load or a reference BLAS (trust grade D): " +
                        listed(drifted) + ".";
    } else if (few_share > tolerated_share) {
        result.verdict = Verdict::inconclusive;
        result.reason = fmt::format("{:.0f} % of the time rests on fewer than {} launches.",
                                    100 * few_share, limits.fewest_launches);
    } else if (unsteady_share > tolerated_share) {
        result.verdict = Verdict::inconclusive;
        result.reason =
            fmt::format("{:.0f} % of the time never became steady.", 100 * unsteady_share);
    } else {
        result.reason =
            fmt::format("At least {} launches and steady for {:.0f} % of the time.",
                        limits.fewest_launches, 100 * (1 - std::max(few_share, unsteady_share)));
    }
    return result;
}

RuleResult judge_noise_floor(std::optional<NoiseFloor> const& floor,
                             std::span<ModelOutcome const> outcomes, GateLimits const& limits) {
    RuleResult result{.rule = GateRule::noise_floor, .verdict = Verdict::inconclusive};
    if (!floor || outcomes.empty()) {
        result.reason = "No model was timed twice: how well measurements repeat is unknown.";
        return result;
    }
    double const mape = mape_percent(outcomes);
    auto const basis = basis_of(*floor);
    result.figures = {{"noise_floor_percent", floor->percent},
                      {"mape_percent", mape},
                      {"models", static_cast<double>(floor->models)}};
    if (floor->basis == NoiseFloor::Basis::stated) {
        result.reason = fmt::format(
            "Measurements repeat within {:.1f} % ({}); nothing in the evidence was timed twice to "
            "show it. The error claimed is {:.1f} %.",
            floor->percent, basis, mape);
        return result;
    }
    auto const figures = fmt::format("Measurements repeat within {:.1f} % ({}, {} models)",
                                     floor->percent, basis, floor->models);
    if (floor->percent >= limits.mape_percent) {
        result.verdict = Verdict::fail;
        result.reason =
            figures + fmt::format(": an error below {:.0f} % cannot be shown with them.",
                                  limits.mape_percent);
    } else if (floor->percent > std::max(mape, limits.bias_margin_percent)) {
        result.reason =
            figures + fmt::format(", worse than the {:.1f} % error that is claimed by them.", mape);
    } else {
        result.verdict = Verdict::pass;
        result.reason = figures + fmt::format("; the error claimed is {:.1f} %.", mape);
    }
    return result;
}

}  // namespace derate
