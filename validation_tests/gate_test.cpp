// The gate itself is tested: what it says of calibrations of known quality.
#include "gate/gate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "validation_tests/simulated_models.hpp"

namespace derate {

std::ostream& operator<<(std::ostream& out, Verdict verdict) { return out << to_string(verdict); }
std::ostream& operator<<(std::ostream& out, GateRule rule) { return out << to_string(rule); }

namespace {

constexpr int launches = 5;

/// A timing whose launches differ from `center_ms` by about `spread` of it.
Timing timed(double center_ms, double spread, int number_of_launches = launches) {
    Timing timing{.center_ms = center_ms, .mean_ms = center_ms};
    for (int k = 0; k < number_of_launches; ++k) {
        double const median = center_ms * (1 + spread * (k - (number_of_launches - 1) / 2.0));
        timing.launches.push_back({.times_ms = {.count = 10, .mean = median},
                                   .lower_quartile_ms = median,
                                   .median_ms = median,
                                   .upper_quartile_ms = median,
                                   .min_ms = median,
                                   .max_ms = median,
                                   .steady = true});
        timing.samples += 10;
    }
    return timing;
}

/// All that judge() looks at.
struct Registry {
    GateSubject subject;
    GateComputation computation;
    std::vector<PairedKernel> replaced;

    [[nodiscard]] GateReport judged() const { return judge(subject, computation, replaced); }
    [[nodiscard]] Evidence& evidence() { return *subject.evidence; }
};

Registry registry_of(std::vector<ModelOutcome> const& outcomes) {
    Registry registry;
    auto& calibration = registry.subject.calibration;
    calibration.source = CurveSource::measured;
    Evidence evidence;
    evidence.campaigns = {{.id = "first", .trust_grade = "B"}};
    for (auto const& outcome : outcomes) {
        EvidenceModel model{.name = outcome.model, .family = outcome.family};
        // The last family is held out, the others are fitted on.
        if (outcome.family == outcomes.back().family) {
            model.role = ModelRole::held_out;
        } else {
            calibration.provenance.models_used.push_back(model.name);
        }
        CrossValidatedModel predicted{.model_index = static_cast<int>(evidence.models.size()),
                                      .model = outcome.model,
                                      .family = outcome.family,
                                      .measured_ms = outcome.measured_ms,
                                      .independent_truth = true};
        predicted.predicted.latency_ms = outcome.predicted_ms;
        predicted.predicted.ci_95_lower_ms = outcome.interval.lower;
        predicted.predicted.ci_95_upper_ms = outcome.interval.upper;
        predicted.predicted.log_variance = outcome.log_variance;
        for (auto const& kernel : outcome.kernels) {
            int const index = static_cast<int>(evidence.cases.size());
            EvidenceCase timed_case;
            timed_case.subgraph.type = kernel.type;
            timed_case.timing = timed(kernel.measured_ms, 0.01);
            evidence.cases.push_back(timed_case);
            model.cases.push_back(index);
            predicted.kernels.push_back({.case_index = index,
                                         .measured_ms = kernel.measured_ms,
                                         .predicted_ms = kernel.predicted_ms,
                                         .log_variance = kernel.log_variance});
        }
        model.whole_model = timed(1.013 * outcome.measured_ms, 0.005);  // more than its parts
        evidence.models.push_back(std::move(model));
        registry.computation.left_out.models.push_back(predicted);
    }
    registry.computation.served = registry.computation.left_out;
    registry.computation.refitted = registry.computation.left_out;
    calibration.provenance.evidence = {{.file = "evidence.json.gz", .sha256 = "aa"}};
    registry.subject.evidence_files = {{calibration.provenance.evidence.front(), "aa"}};
    calibration.claims = {{.leave_out = "model",
                           .models = static_cast<int>(outcomes.size()),
                           .mape_percent = mape_percent(outcomes),
                           .bias_percent = bias_percent(outcomes),
                           .coverage_95 = coverage(outcomes)}};
    registry.subject.evidence = std::move(evidence);
    registry.replaced = simulate_replacement({.seed = 3});
    return registry;
}

/// Errors of about 4 %, 48 models in 16 families: enough to pass every rule.
constexpr SimulatedCalibration good{.models = 48, .seed = 2, .error_scale = 1.0 / 3};

Registry clean_registry() { return registry_of(simulate_outcomes(good)); }

/// Rules that say FAIL.
std::vector<GateRule> caught_by(Registry const& registry) {
    std::vector<GateRule> rules;
    for (auto const& result : registry.judged().results) {
        if (result.verdict == Verdict::fail) rules.push_back(result.rule);
    }
    return rules;
}

using Rules = std::vector<GateRule>;

TEST(Gate, CleanRegistryPassesEveryRule) {
    auto const report = clean_registry().judged();
    EXPECT_EQ(report.results.size(), rules_for(CurveSource::measured).size());
    for (auto const& result : report.results) {
        EXPECT_EQ(result.verdict, Verdict::pass) << to_string(result.rule) << ": " << result.reason;
    }
    EXPECT_EQ(report.verdict(), Verdict::pass);
}

TEST(Gate, FailBeatsInconclusiveBeatsPass) {
    EXPECT_EQ(worse(Verdict::pass, Verdict::inconclusive), Verdict::inconclusive);
    EXPECT_EQ(worse(Verdict::inconclusive, Verdict::fail), Verdict::fail);
    EXPECT_EQ(worse(Verdict::pass, Verdict::pass), Verdict::pass);
}

TEST(Gate, LegacyValuesHaveNoEvidenceToJudgeBy) {
    Registry registry;
    registry.subject.calibration.source = CurveSource::legacy_hardcoded;
    auto const report = judge(registry.subject, std::nullopt, {});
    EXPECT_EQ(report.results.size(), 1U);
    EXPECT_EQ(report.verdict(), Verdict::pass);
}

TEST(Gate, MeasuredCalibrationWithoutEvidenceFails) {
    Registry registry;
    registry.subject.calibration.source = CurveSource::measured;
    EXPECT_EQ(judge(registry.subject, std::nullopt, {}).verdict(), Verdict::fail);
}

TEST(Gate, OneModelAloneIsInconclusive) {
    auto registry = clean_registry();
    auto const report = judge(registry.subject, std::nullopt, {});
    EXPECT_EQ(report.verdict(), Verdict::inconclusive);
    EXPECT_EQ(report.find(GateRule::held_out_unseen)->verdict, Verdict::pass);
}

// Each rule has a planted violation that it alone catches.

TEST(Planted, SchemaViolation) {
    auto registry = clean_registry();
    registry.subject.schema_violations = {"/precision: got 3 (a name)"};
    EXPECT_EQ(caught_by(registry), Rules{GateRule::schema});
}

TEST(Planted, EvidenceFileChangedOrMissing) {
    auto registry = clean_registry();
    registry.subject.evidence_files.front().actual_sha256 = "bb";
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_intact});
    registry.subject.evidence_files.front().actual_sha256.reset();
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_intact});
}

TEST(Planted, StaleEvidenceNoLongerGivesTheServedPredictions) {
    auto registry = clean_registry();
    registry.computation.refitted.models[7].predicted.latency_ms *= 1 + 1e-5;
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_recomputes});
    registry.computation.refitted.models[7].predicted.latency_ms = std::nan("");
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_recomputes});
}

TEST(Planted, PeakOrEfficiencyThatIsNotTheEvidences) {
    auto registry = clean_registry();
    registry.subject.calibration.peak_flops = PeakRate{.per_second = 200e9};
    registry.computation.refit.peak_flops = PeakRate{.per_second = 100e9};
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_recomputes});
    registry.subject.calibration.peak_flops = registry.computation.refit.peak_flops;
    EXPECT_EQ(caught_by(registry), Rules{});

    EfficiencyCurve curve{.type = OperationType::conv2d};
    curve.data_points = {{.work = 1e6, .efficiency_mean = 0.3}};
    registry.computation.refit.curves = {curve};
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_recomputes});  // no such curve
    curve.data_points.front().efficiency_mean = 0.6;
    registry.subject.calibration.curves = {curve};
    EXPECT_EQ(caught_by(registry), Rules{GateRule::evidence_recomputes});
}

TEST(Planted, ClaimBetterThanTheEvidence) {
    auto registry = clean_registry();
    registry.subject.calibration.claims.front().mape_percent -= 1;
    EXPECT_EQ(caught_by(registry), Rules{GateRule::claims_recompute});
}

TEST(Planted, HeldOutModelThatWasFittedOn) {
    auto registry = clean_registry();
    auto const held_out = registry.evidence().models.back();
    registry.subject.calibration.provenance.models_used.push_back(held_out.name);
    EXPECT_EQ(caught_by(registry), Rules{GateRule::held_out_unseen});
}

TEST(Planted, HeldOutModelFittedOnUnderAnotherName) {
    auto registry = clean_registry();
    registry.evidence().models.back().cases = registry.evidence().models.front().cases;
    EXPECT_EQ(caught_by(registry), Rules{GateRule::held_out_unseen});
}

TEST(Planted, SumOfPartsThatPassesForATimedModel) {
    auto registry = clean_registry();
    auto& model = registry.evidence().models[3];
    model.whole_model->center_ms = *sum_of_parts_ms(registry.evidence(), model);
    EXPECT_EQ(caught_by(registry), Rules{GateRule::independent_truth});
}

TEST(Planted, NoiseAboveAnyClaim) {
    auto registry = clean_registry();
    for (auto& model : registry.evidence().models) {
        model.whole_model = timed(model.whole_model->center_ms, 0.2);
    }
    EXPECT_EQ(caught_by(registry), Rules{GateRule::noise_floor});
}

TEST(Planted, ErrorsTooLargeThoughUnbiasedAndCovered) {
    auto what = good;
    what.error_scale = 3;
    auto outcomes = simulate_outcomes(what);
    double const bias = 1 + bias_percent(outcomes) / 100;
    for (auto& outcome : outcomes) {
        outcome.predicted_ms /= bias;
        outcome.interval.lower /= bias;
        outcome.interval.upper /= bias;
    }
    EXPECT_EQ(caught_by(registry_of(outcomes)), Rules{GateRule::accuracy});
}

TEST(Planted, BiasWithinWideIntervals) {
    auto what = good;
    what.error_scale = 1;
    what.bias_percent = 15;
    what.variance_understatement = 0.4;  // overstated, so that the bias fits into the variance
    EXPECT_EQ(caught_by(registry_of(simulate_outcomes(what))), Rules{GateRule::bias});
}

TEST(Planted, UnderstatedVariance) {
    auto what = good;
    what.variance_understatement = 1.7;  // at 2 the coverage of 48 models tells as well
    EXPECT_EQ(caught_by(registry_of(simulate_outcomes(what))), Rules{GateRule::variance});
}

TEST(Planted, IntervalsNarrowerThanTheVarianceTheyClaim) {
    auto outcomes = simulate_outcomes(good);
    for (auto& outcome : outcomes) {
        double const reach = 0.5 * std::sqrt(outcome.log_variance);
        outcome.interval = {.lower = outcome.predicted_ms * std::exp(-reach),
                            .upper = outcome.predicted_ms * std::exp(reach)};
    }
    EXPECT_EQ(caught_by(registry_of(outcomes)), Rules{GateRule::coverage});
}

TEST(Planted, OneTypeMovedAgainstTheReplacedCalibration) {
    auto registry = clean_registry();
    registry.replaced = simulate_replacement({.seed = 3, .type_bias_percent = 10});
    EXPECT_EQ(caught_by(registry), Rules{GateRule::not_worse});
}

TEST(Planted, HalfOfTheModelsSlowedAgainstTheReplacedCalibration) {
    auto registry = clean_registry();
    registry.replaced = simulate_replacement({.seed = 3, .slowed_percent = 25});
    EXPECT_EQ(caught_by(registry), Rules{GateRule::not_worse});
}

// Rules that never say FAIL say INCONCLUSIVE, and they alone.

std::vector<GateRule> doubted_by(Registry const& registry) {
    std::vector<GateRule> rules;
    for (auto const& result : registry.judged().results) {
        if (result.verdict != Verdict::pass) rules.push_back(result.rule);
    }
    return rules;
}

TEST(Planted, DriftDuringTheCampaign) {
    auto registry = clean_registry();
    registry.evidence().campaigns.front().trust_grade = "D";
    EXPECT_EQ(doubted_by(registry), Rules{GateRule::measurement_quality});
}

TEST(Planted, TooFewLaunchesOrNeverSteady) {
    auto registry = clean_registry();
    for (auto& one : registry.evidence().cases) one.timing = timed(one.timing->center_ms, 0.01, 2);
    EXPECT_EQ(doubted_by(registry), Rules{GateRule::measurement_quality});
    for (auto& one : registry.evidence().cases) {
        one.timing = timed(one.timing->center_ms, 0.01);
        for (auto& launch : one.timing->launches) launch.steady = false;
    }
    EXPECT_EQ(doubted_by(registry), Rules{GateRule::measurement_quality});
}

TEST(Planted, TruthThatIsOnlyASumOfPartsIsGradedLower) {
    auto registry = clean_registry();
    for (auto& model : registry.computation.left_out.models) model.independent_truth = false;
    for (auto& model : registry.evidence().models) model.whole_model.reset();
    auto const report = registry.judged();
    EXPECT_EQ(report.find(GateRule::independent_truth)->verdict, Verdict::inconclusive);
    EXPECT_EQ(report.find(GateRule::bias)->figure("margin_percent"), 10.0);
    EXPECT_EQ(report.find(GateRule::noise_floor)->verdict, Verdict::inconclusive);
}

TEST(Gate, FewModelsAreInconclusiveNeverPass) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        auto const outcomes = simulate_outcomes({.models = 4, .seed = seed, .error_scale = 0.1});
        for (auto const& result : {judge_accuracy(outcomes, {}), judge_bias(outcomes, {}),
                                   judge_variance(outcomes, {}), judge_coverage(outcomes, {})}) {
            EXPECT_NE(result.verdict, Verdict::pass) << result.reason;
        }
    }
}

TEST(Gate, OneFamilyIsInconclusiveNotAnError) {
    auto outcomes = simulate_outcomes({.models = 3, .seed = 1});
    for (auto& outcome : outcomes) outcome.family = "resnet";
    for (auto const& result : {judge_accuracy(outcomes, {}), judge_bias(outcomes, {}),
                               judge_variance(outcomes, {}), judge_coverage(outcomes, {})}) {
        EXPECT_EQ(result.verdict, Verdict::inconclusive) << result.reason;
    }
}

// A small version of gate_power, whose full table stands in docs/statistics.md.

double share_failing(SimulatedCalibration what, int runs) {
    GateLimits limits;
    limits.bootstrap.replicates = 500;
    int failing = 0;
    for (int run = 0; run < runs; ++run) {
        what.seed = 100 + static_cast<std::uint64_t>(run);
        auto const outcomes = simulate_outcomes(what);
        auto verdict = judge_accuracy(outcomes, limits).verdict;
        verdict = worse(verdict, judge_bias(outcomes, limits).verdict);
        verdict = worse(verdict, judge_variance(outcomes, limits).verdict);
        verdict = worse(verdict, judge_coverage(outcomes, limits).verdict);
        failing += verdict == Verdict::fail;
    }
    return static_cast<double>(failing) / runs;
}

TEST(GatePower, FalseAlarmsAreRareAtAnyNumberOfModels) {
    for (int const models : {5, 10, 15, 33}) {
        EXPECT_LE(share_failing({.models = models}, 100), 0.10) << models;  // 5 % and 2 deviations
    }
}

TEST(GatePower, FindsUnderstatedVarianceAtFiftyModelsAndLargeBiasAtFifteen) {
    EXPECT_GE(share_failing({.models = 50, .variance_understatement = 2}, 60), 0.95);
    EXPECT_GE(share_failing({.models = 15, .bias_percent = 25}, 60),
              0.88);  // 0.95 less 2 deviations
}

TEST(GatePower, PairedComparisonFindsABiasedTypeAndSparesAnHonestRemeasurement) {
    int found = 0;
    int alarms = 0;
    constexpr int runs = 100;
    for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        found += judge_not_worse(simulate_replacement({.seed = seed, .type_bias_percent = 10}), {})
                     .verdict == Verdict::fail;
        alarms +=
            judge_not_worse(simulate_replacement({.seed = seed}), {}).verdict == Verdict::fail;
    }
    EXPECT_GE(found, 95);
    EXPECT_LE(alarms, 5);
}

}  // namespace
}  // namespace derate
