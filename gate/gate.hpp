#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "calibration/model_outcome.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "statistics/bootstrap.hpp"

namespace derate {

/// FAIL needs an effect that matters (beyond the tolerance) and is real (its interval excludes the
/// tolerance); PASS needs the interval to lie inside; INCONCLUSIVE is all the rest: too few models
/// or launches, not steady, power too low.
enum class Verdict { pass, fail, inconclusive };

[[nodiscard]] std::string_view to_string(Verdict verdict);  ///< "PASS", "FAIL", "INCONCLUSIVE"

/// FAIL beats INCONCLUSIVE beats PASS.
[[nodiscard]] Verdict worse(Verdict a, Verdict b);

/// The gate's rules; docs/validation.md says what each asks and why.
enum class GateRule {
    schema,               ///< the file obeys its schema
    evidence_intact,      ///< evidence files are there, with the recorded hashes
    evidence_recomputes,  ///< refitting the evidence gives predictions, peaks and efficiencies
    claims_recompute,     ///< recorded accuracy claims are what the evidence gives
    held_out_unseen,      ///< no held-out model took part in the fit
    independent_truth,    ///< whole models were timed, not summed from their parts
    measurement_quality,  ///< launches, steadiness, drift
    noise_floor,          ///< measurements repeat better than the claim made of them
    accuracy,             ///< whole-model MAPE, leaving models out
    bias,                 ///< mean log ratio equivalent to zero
    variance,             ///< served variance not understated
    coverage,             ///< 95 % intervals cover
    not_worse,            ///< than the calibration it replaces, kernel by kernel
};

[[nodiscard]] std::string_view to_string(GateRule rule);    ///< "schema", "evidence_intact", ...
[[nodiscard]] std::string_view question_of(GateRule rule);  ///< what the rule asks, one sentence
[[nodiscard]] std::string_view remedy_of(GateRule rule);    ///< what would make it pass

/// A number a verdict rests on; its name carries the unit.
struct Figure {
    std::string name;
    double value = 0;
};

struct RuleResult {
    GateRule rule = GateRule::schema;
    Verdict verdict = Verdict::pass;
    std::vector<Figure> figures;
    std::string reason;  ///< one or two sentences with the deciding numbers

    [[nodiscard]] std::optional<double> figure(std::string_view name) const;
};

struct GateReport {
    std::vector<RuleResult> results;  ///< one for each of rules_for(source), in their order

    [[nodiscard]] Verdict verdict() const;
    [[nodiscard]] RuleResult const* find(GateRule rule) const;  ///< nullptr if it did not run
};

/// Tolerances of the rules, defaults as documented in docs/validation.md.
struct GateLimits {
    double mape_percent = 20;
    double bias_margin_percent = 5;             ///< where whole models were timed
    double bias_margin_of_summed_percent = 10;  ///< where truth is a sum of parts
    double variance_ratio = 2;  ///< PASS shows that the variance is understated by less
    double kernel_variance_ratio =
        1.25;                          ///< FAIL shows that kernels' variance is understated by more
    double coverage_fail_below = 0.9;  ///< FAIL shows that coverage is below
    double coverage_pass_above = 0.8;  ///< PASS shows that coverage is above
    double recompute_relative = 1e-6;
    double claim_points = 0.1;  ///< recorded and recomputed claim may differ by (percent points)
    double shift_percent = 5;   ///< a type's predictions may move by, against the replaced ones
    double campaign_shift_percent =
        10;                            ///< a type's or model's times may move by, between campaigns
    double kernel_shift_percent = 15;  ///< a kernel that moved by more between campaigns is apart
    int fewest_models = 5;
    int fewest_families = 3;
    int fewest_launches = 3;
    double alpha = 0.05;  ///< of every one-sided claim
    BootstrapPlan bootstrap;
};

/// The rules that judge a calibration of this source, in order: all of them for measured and
/// imported ones; schema alone where there is no evidence to judge by (legacy, default).
[[nodiscard]] std::vector<GateRule> rules_for(CurveSource source);

/// A stored calibration with what was found of it on disk.
struct GateSubject {
    Calibration calibration;
    std::optional<Evidence> evidence;            ///< empty: none there
    std::vector<std::string> schema_violations;  ///< as `derate check` reports them
    std::vector<EvidenceFileState> evidence_files;
};

/// How a stored calibration was fitted.
[[nodiscard]] FitOptions fit_options_of(Calibration const& calibration);

/// What takes time to compute: fits on parts of the evidence.
struct GateComputation {
    CrossValidation left_out;  ///< leaving models out; families with LeaveOut::family
    CrossValidation served;    ///< every model of the evidence by the calibration as stored
    CrossValidation refitted;  ///< ... by a fit of the evidence
    Calibration refit;         ///< that fit
};

/// \throws InputError  the evidence cannot be fitted (violations, fewer than two models)
[[nodiscard]] GateComputation compute_for_gate(Calibration const& calibration,
                                               Evidence const& evidence,
                                               LeaveOut what = LeaveOut::model);

/// One kernel that both calibrations can be compared on.
struct PairedKernel {
    OperationType type = OperationType::meta;
    std::string model;  ///< one that contains it
    std::string family;
    double predicted_new_ms = 0;
    double predicted_old_ms = 0;
    std::optional<double> measured_new_ms;  ///< by the evidence of the new calibration
    std::optional<double> measured_old_ms;  ///< by the evidence of the replaced one
    double share = 0;                       ///< of its model's time
};

/// The kernels of both evidences, paired by model, batch and position; measured times are paired
/// where both campaigns timed the same kernel.
[[nodiscard]] std::vector<PairedKernel> pair_kernels(Calibration const& current,
                                                     Evidence const& current_evidence,
                                                     Calibration const& replaced,
                                                     Evidence const& replaced_evidence);

/// Runs every rule of rules_for(). Deterministic: the bootstrap's seed is in `limits`.
///
/// \param computation  empty where the subject has no evidence, or too few models to leave one out
/// \param replaced     paired kernels; empty when nothing is replaced (the rule then passes)
[[nodiscard]] GateReport judge(GateSubject const& subject,
                               std::optional<GateComputation> const& computation,
                               std::span<PairedKernel const> replaced,
                               GateLimits const& limits = {});

// The rules one by one; judge() calls them.

[[nodiscard]] RuleResult judge_schema(std::span<std::string const> violations);
[[nodiscard]] RuleResult judge_evidence_intact(std::span<EvidenceFileState const> files);
[[nodiscard]] RuleResult judge_recomputes(Calibration const& stored,
                                          GateComputation const& computation,
                                          GateLimits const& limits);
[[nodiscard]] RuleResult judge_claims(Calibration const& calibration,
                                      std::span<ModelOutcome const> outcomes, LeaveOut what,
                                      GateLimits const& limits);
[[nodiscard]] RuleResult judge_held_out(Calibration const& calibration, Evidence const& evidence);
[[nodiscard]] RuleResult judge_independent_truth(CurveSource source, Evidence const& evidence);
[[nodiscard]] RuleResult judge_measurement_quality(Evidence const& evidence,
                                                   GateLimits const& limits);
[[nodiscard]] RuleResult judge_noise_floor(std::optional<NoiseFloor> const& floor,
                                           std::span<ModelOutcome const> outcomes,
                                           GateLimits const& limits);
[[nodiscard]] RuleResult judge_accuracy(std::span<ModelOutcome const> outcomes,
                                        GateLimits const& limits);
[[nodiscard]] RuleResult judge_bias(std::span<ModelOutcome const> outcomes,
                                    GateLimits const& limits);
[[nodiscard]] RuleResult judge_variance(std::span<ModelOutcome const> outcomes,
                                        GateLimits const& limits);
[[nodiscard]] RuleResult judge_coverage(std::span<ModelOutcome const> outcomes,
                                        GateLimits const& limits);
[[nodiscard]] RuleResult judge_not_worse(std::span<PairedKernel const> kernels,
                                         GateLimits const& limits);

}  // namespace derate
