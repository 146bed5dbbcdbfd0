#include "reports/audit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "calibration/fit_calibration.hpp"
#include "ctest/timings.hpp"
#include "reports/report_text.hpp"
#include "storage/calibration_files.hpp"
#include "storage/environment_json.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr double byte_size = 1000;

/// A kernel with this work; without FLOPs its bytes are the work.
Subgraph kernel(OperationType type, double work, bool zero_flop = false) {
    Subgraph subgraph;
    subgraph.fusion_pattern = "Pattern";
    subgraph.type = type;
    subgraph.nodes = {{.name = "n", .op = "conv2d", .input_shape = {1}, .output_shape = {1}}};
    subgraph.work = Flops{zero_flop ? 0 : work};
    subgraph.traffic = {Bytes{zero_flop ? work : byte_size}, Bytes{0}, Bytes{0}};
    return subgraph;
}

Timing launched_time(std::vector<double> const& leasts_ms, bool steady = true) {
    std::vector<LaunchTimes> launches;
    for (double const ms : leasts_ms) {
        launches.push_back({.times_ms = {.count = 10, .mean = ms},
                            .lower_quartile_ms = ms,
                            .median_ms = ms,
                            .upper_quartile_ms = ms,
                            .min_ms = ms,
                            .max_ms = ms,
                            .steady = steady});
    }
    return timing_of(std::move(launches));
}

EvidenceCase timed(Subgraph subgraph, Timing timing, bool probe = false) {
    return {.subgraph = std::move(subgraph),
            .timing = std::move(timing),
            .failure = std::nullopt,
            .campaign = 0,
            .probe = probe};
}

EvidenceModel model(std::string name, std::vector<int> cases,
                    ModelRole role = ModelRole::calibration) {
    return {.name = name,
            .family = name,
            .role = role,
            .cases = std::move(cases),
            .whole_model = std::nullopt};
}

Evidence evidence_with(std::vector<EvidenceCase> cases, std::vector<EvidenceModel> models) {
    Evidence evidence;
    evidence.hardware.id = "machine";
    evidence.condition.partition = evidence.condition.flop_rule = "derate_1";
    evidence.campaigns = {{.id = "visit",
                           .date = "2026-01-01T12:00:00Z",
                           .origin = "test",
                           .environment_hash = std::nullopt,
                           .samples_sha256 = std::nullopt,
                           .trust_grade = std::nullopt}};
    evidence.cases = std::move(cases);
    evidence.models = std::move(models);
    return evidence;
}

/// Every kernel of the type takes this long, whatever its size.
EfficiencyCurve constant_curve(OperationType type, double ms, bool zero_flop = false) {
    EfficiencyCurve curve{.type = type, .zero_flop = zero_flop};
    curve.fitted_curve =
        FittedCurve{AdditiveRoofline{.kernel_seconds = ms / 1e3, .byte_coefficient = 1e-30}};
    curve.log_variance = 0.01;
    return curve;
}

Calibration calibration_with(std::vector<EfficiencyCurve> curves) {
    Calibration calibration{.hardware_id = "machine", .condition = {.partition = "derate_1"}};
    calibration.peak_flops = PeakRate{.per_second = 2e9, .source = "test"};
    calibration.curves = std::move(curves);
    return calibration;
}

AuditedModel wanted(std::string name, std::vector<Subgraph> subgraphs) {
    return {.name = std::move(name),
            .family = "family",
            .partition = "derate_1",
            .subgraphs = std::move(subgraphs)};
}

// ---------------------------------------------------------------------------------------------

TEST(AuditDates, CountsWholeDays) {
    EXPECT_EQ(days_between("2026-02-28T23:59:00Z", "2026-03-01"), 1);
    EXPECT_EQ(days_between("2024-02-28", "2024-03-01"), 2);  // a leap year
    EXPECT_EQ(days_between("2026-03-01", "2026-02-28"), -1);
    EXPECT_EQ(days_between("yesterday", "2026-03-01"), std::nullopt);
    EXPECT_EQ(days_between("2026-02-30", "2026-03-01"), std::nullopt);
}

TEST(AuditCoverage, AGapIsASizeThatIsNeededAndWasNotFittedOn) {
    auto failed = timed(kernel(OperationType::conv2d, 2e8), imported_time(1, 50));
    failed.timing.reset();
    failed.failure = "no kernel";
    auto const evidence =
        evidence_with({timed(kernel(OperationType::conv2d, 2e6), imported_time(1, 50)),
                       timed(kernel(OperationType::conv2d, 2.5e6), imported_time(1, 50)),
                       timed(kernel(OperationType::conv2d, 2e7), imported_time(1, 50)),
                       timed(kernel(OperationType::conv2d, 5e8), imported_time(1, 50), true), failed},
                      {model("fitted", {0, 1, 4}), model("unseen", {2}, ModelRole::held_out)});
    auto const calibration = calibration_with(
        {constant_curve(OperationType::conv2d, 1), constant_curve(OperationType::pool, 3, true)});
    std::vector const models{
        wanted("a", {kernel(OperationType::conv2d, 2e6), kernel(OperationType::conv2d, 2e7),
                     kernel(OperationType::pool, 5000, true)})};

    auto const cells = audit_coverage(calibration, evidence, models, std::nullopt);

    // conv2d 1M to 3M, 10M to 30M, 300M to 1G, then pool by bytes.
    ASSERT_EQ(cells.size(), 4U);
    EXPECT_EQ(cells[0].kernels, 2);
    EXPECT_EQ(cells[0].samples, 100);
    EXPECT_EQ(cells[0].needed, 1);
    EXPECT_FALSE(cells[0].is_gap());
    EXPECT_EQ(cells[1].bin.lower, 1e7);
    EXPECT_EQ(cells[1].kernels, 0) << "a held-out model's kernel is not fitted on";
    EXPECT_TRUE(cells[1].is_gap());
    EXPECT_EQ(cells[2].kernels, 1) << "a probe is fitted on";
    EXPECT_FALSE(cells[2].is_gap()) << "nobody needs it";
    EXPECT_TRUE(cells[3].zero_flop);
    EXPECT_TRUE(cells[3].is_gap());
    // 1 ms, 1 ms and 3 ms of 5 ms.
    EXPECT_NEAR(cells[0].time_share, 0.2, 1e-12);
    EXPECT_NEAR(cells[1].time_share, 0.2, 1e-12);
    EXPECT_NEAR(cells[3].time_share, 0.6, 1e-12);
    EXPECT_THAT(cells[3].models, ElementsAre("a"));
}

TEST(AuditCoverage, WithoutEvidenceDataPointsCount) {
    auto curve = constant_curve(OperationType::conv2d, 1);
    curve.data_points = {{.work = 2e6,
                          .efficiency_mean = 0.5,
                          .num_observations = 70,
                          .source_subgraphs = {"a/1/0", "a/1/1", "b/1/0"}}};
    auto const cells = audit_coverage(calibration_with({curve}), std::nullopt, {}, std::nullopt);
    ASSERT_EQ(cells.size(), 1U);
    EXPECT_EQ(cells[0].kernels, 3);
    EXPECT_EQ(cells[0].samples, 70);
}

TEST(AuditQuality, SharesOfTimeAndIntervalsOverLaunches) {
    auto evidence = evidence_with(
        {timed(kernel(OperationType::conv2d, 1e6), launched_time({1.0, 1.02})),
         timed(kernel(OperationType::conv2d, 2e6), launched_time({3.0, 3.0, 3.0})),
         timed(kernel(OperationType::conv2d, 3e6), launched_time({6.0}, false)),
         timed(kernel(OperationType::conv2d, 4e6), launched_time({100.0, 200.0}), true)},
        {model("m", {0, 1, 2}), model("n", {1})});
    evidence.models[1].whole_model = launched_time({3.1});

    auto const quality = audit_quality(evidence, "2026-06-30");

    EXPECT_EQ(quality.kernels, 4);
    EXPECT_EQ(quality.samples, 80);
    EXPECT_EQ(quality.fewest_launches, 1);
    EXPECT_EQ(quality.most_launches, 3);
    double const total = 1 + 3 + 6;  // served: of the faster launches; the probe is nobody's time
    EXPECT_NEAR(quality.precise_share, 3 / total, 1e-12);
    EXPECT_NEAR(quality.unknown_share, 6 / total, 1e-12);
    EXPECT_NEAR(quality.unsteady_share, 6 / total, 1e-12);
    EXPECT_NEAR(quality.few_launches_share, 7 / total, 1e-12);
    // Launches of 1 and 1.02 ms serve the lesser. Drawn anew it is 1 in three draws of four:
    // deviation of the logarithm log(1.02) sqrt(3) / 4, times sqrt(k / (k - 1)), t(1 degree of
    // freedom) 12.706; the other half-width is 0.
    ASSERT_EQ(quality.worst.size(), 2U);
    EXPECT_EQ(quality.worst[0].name, "m/1/0");
    EXPECT_NEAR(quality.worst[0].half_width,
                std::sinh(12.7062047 * std::log(1.02) * std::sqrt(2.0 * 3 / 16)), 0.005);
    EXPECT_NEAR(quality.worst[0].time_share, 1 / total, 1e-12);
    EXPECT_EQ(quality.models, 2);
    EXPECT_EQ(quality.timed_whole, 1);
    // The first of January to the thirtieth of June are 180 days: not yet more than 180.
    EXPECT_EQ(quality.stale_campaigns, 0);
    EXPECT_EQ(audit_quality(evidence, "2026-07-01").stale_campaigns, 1);
}

/// Half of 1 GFLOP/s: 1 MFLOP takes 2 ms.
Calibration legacy_values() {
    LegacyScale const half{.id = "compute",
                           .when = {},
                           .segments = {{.lower = {}, .upper = {}, .start = 0.5, .end = 0.5}},
                           .cite = "",
                           .stated_origin = ""};
    auto full = half;
    full.id = "bandwidth";
    full.segments[0].start = full.segments[0].end = 1;
    LegacyRules rules;
    rules.served_profile = "only";
    rules.bytes_per_second = 1e9;
    rules.rates = {{.profile = "only",
                    .precision = Precision::fp32,
                    .flops_per_second = 1e9,
                    .sustained_flops_per_second = {},
                    .efficiency_factor = {},
                    .tile_utilization = {},
                    .emulation_factor = {},
                    .note = ""}};
    rules.compute_scales = {half};
    rules.bandwidth_scales = {full};
    Calibration legacy{.hardware_id = "machine", .source = CurveSource::legacy_hardcoded};
    legacy.legacy_rules = rules;
    return legacy;
}

TEST(AuditLegacy, RatiosAreLegacyTimeOverMeasuredTime) {
    auto const evidence =
        evidence_with({timed(kernel(OperationType::conv2d, 1e6), imported_time(1, 50)),
                       timed(kernel(OperationType::conv2d, 1e6), imported_time(4, 50))},
                      {model("m", {0, 1})});
    auto const calibration = calibration_with({constant_curve(OperationType::conv2d, 3)});
    std::vector models{wanted("big", {kernel(OperationType::conv2d, 6e6)}),
                       wanted("small", {kernel(OperationType::conv2d, 1e6)})};
    models.push_back(models[0]);
    models.back().batch = 4;

    auto const found =
        compare_to_legacy(calibration, evidence, legacy_values(), models, std::nullopt);

    ASSERT_EQ(found.cells.size(), 1U);
    auto const& cell = found.cells[0];
    EXPECT_EQ(cell.kernels, 2);
    EXPECT_NEAR(cell.latency_ratio, 1, 1e-12);  // sqrt(2/1 * 2/4)
    EXPECT_NEAR(cell.least_ratio, 0.5, 1e-12);
    EXPECT_NEAR(cell.largest_ratio, 2, 1e-12);
    // Of 2 GFLOP/s: 0.5 and 0.125 measured, 0.25 by the rules.
    EXPECT_NEAR(cell.efficiency_measured.value(), 0.25, 1e-12);
    EXPECT_NEAR(cell.efficiency_legacy.value(), 0.25, 1e-12);
    // 2 + 2 for 1 + 4, and 3 + 3.
    EXPECT_EQ(found.evidence_models, 1);
    EXPECT_NEAR(found.legacy_mape_percent, 20, 1e-9);
    EXPECT_NEAR(found.calibrated_mape_percent, 20, 1e-9);
    // Batch 1, smallest ratio first.
    ASSERT_EQ(found.models.size(), 2U);
    EXPECT_EQ(found.models[0].model, "small");
    EXPECT_NEAR(found.models[0].ratio(), 2.0 / 3, 1e-9);
    EXPECT_NEAR(found.models[1].ratio(), 4, 1e-9);
}

TEST(AuditLegacy, RefusesRulesWithoutARateForThePrecision) {
    auto calibration = calibration_with({constant_curve(OperationType::conv2d, 3)});
    calibration.condition.precision = Precision::bf16;
    EXPECT_THROW((void)compare_to_legacy(calibration, evidence_with({}, {}), legacy_values(), {},
                                         std::nullopt),
                 std::invalid_argument);
}

// ---------------------------------------------------------------------------------------------

/// A calibration written to a folder, as derate aggregate does it.
class AuditChain : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("derate_audit_" + std::to_string(::getpid()));
        curves_ = folder_ / "efficiency_curves.json";
        environment_.cpu_name = "Processor";
        samples_sha256_ = sha256_hex("raw repetitions");
    }
    void TearDown() override { fs::remove_all(folder_); }

    void write(bool imported = false) {
        std::vector<EvidenceCase> cases;
        std::vector<EvidenceModel> models;
        for (int m = 0; m < 3; ++m) {
            models.push_back(model("model" + std::to_string(m), {}));
            for (int k = 0; k < 6; ++k) {
                double const work = 1e6 * (1 + m + 3 * k);
                auto const type = k % 2 == 0 ? OperationType::conv2d : OperationType::activation;
                models.back().cases.push_back(static_cast<int>(cases.size()));
                cases.push_back(timed(kernel(type, work),
                                      launched_time({1 + 2e-6 * work, 1.01 + 2e-6 * work})));
            }
        }
        auto evidence = evidence_with(std::move(cases), std::move(models));
        evidence.condition.execution.threads = 1;
        evidence.hardware.compute_peaks = {
            {Precision::fp32, 1, {.per_second = 100e9, .source = "measured", .method = ""}}};
        auto& campaign = evidence.campaigns.front();
        campaign.imported = imported;
        if (!imported) {
            campaign.samples_sha256 = samples_sha256_;
            campaign.environment_hash = environment_hash(environment_);
        }
        auto calibration =
            fit_calibration(evidence, {.residual = ResidualForm::none, .nested_intervals = false});
        calibration.hardware_id = "machine";
        calibration.condition.partition = calibration.condition.flop_rule = "derate_1";
        calibration.provenance.tool_version = "0.1.0";
        write_calibration(calibration, evidence, curves_);
    }

    [[nodiscard]] AuditSubject subject() const {
        return {.stored = read_stored_calibration(curves_),
                .sha256 = sha256_of_file(curves_),
                .samples = samples_,
                .served_first = curves_,
                .refusal = ""};
    }
    [[nodiscard]] std::vector<std::string> states() const {
        std::vector<std::string> all;
        for (auto const& link : audit_chain(subject(), "machine")) {
            all.emplace_back(to_string(link.state));
        }
        return all;
    }
    [[nodiscard]] std::string detail(std::size_t link) const {
        return audit_chain(subject(), "machine").at(link).detail;
    }
    [[nodiscard]] fs::path evidence_file() const {
        return folder_ / "evidence/efficiency_curves.json.gz";
    }

    fs::path folder_;
    fs::path curves_;
    Environment environment_;
    std::string samples_sha256_;
    std::vector<FoundSamples> samples_;
};

// estimate, schema, evidence file, predictions, samples.

TEST_F(AuditChain, HoldsDownToTheRawSamples) {
    write();
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "verified", "verified", "absent"));
    EXPECT_THAT(detail(3), HasSubstr("3 models and 18 kernels alike"));
    EXPECT_THAT(detail(4), HasSubstr("raw absent"));

    samples_ = {{"kept.samples.jsonl", samples_sha256_, environment_}};
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "verified", "verified", "verified"));
}

TEST_F(AuditChain, AChangedEvidenceFileBreaksIt) {
    write();
    std::ofstream{evidence_file(), std::ios::app} << " ";
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "BROKEN", "absent"));
    EXPECT_THAT(detail(2), HasSubstr("recorded SHA-256"));
}

TEST_F(AuditChain, AMissingEvidenceFileBreaksIt) {
    write();
    fs::remove(evidence_file());
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "BROKEN", "absent"));
    EXPECT_THAT(detail(2), HasSubstr("missing"));
}

TEST_F(AuditChain, AFileThatEstimateRefusesAnswersNothing) {
    write();
    auto json = read_json(curves_);
    json["threads"] = -3;
    write_atomically(curves_, pretty_json(json));
    EXPECT_THAT(states(), ElementsAre("BROKEN", "BROKEN"));
    EXPECT_THAT(detail(0), AllOf(HasSubstr("`derate estimate` refuses: "), HasSubstr("#/threads: got -3")));
    EXPECT_THAT(detail(1), HasSubstr("1 violation, the first: "));
    EXPECT_THAT(audit_in_words(audit({.hardware_id = "machine", .subjects = {subject()}})),
                HasSubstr("#/threads: got -3"));
}

TEST_F(AuditChain, ACurveEditedByHandDoesNotComeFromItsEvidence) {
    write();
    auto json = read_json(curves_);
    auto& parameters = json["efficiency_curves"]["conv2d"]["fitted_curve"]["parameters"];
    parameters["kernel_seconds"] = 1.0001 * parameters["kernel_seconds"].get<double>();
    write_atomically(curves_, pretty_json(json));
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "verified", "BROKEN", "absent"));
    EXPECT_THAT(detail(3), HasSubstr("does not come from this evidence"));
}

TEST_F(AuditChain, OtherSamplesOfTheSameNameBreakIt) {
    write();
    samples_ = {{"efficiency_curves.samples.jsonl", sha256_hex("others"), environment_}};
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "verified", "verified", "BROKEN"));
    samples_ = {{"elsewhere.samples.jsonl", sha256_hex("others"), environment_}};
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "verified", "verified", "absent"));
}

TEST_F(AuditChain, SamplesOfAnotherEnvironmentBreakIt) {
    write();
    samples_ = {{"kept.samples.jsonl", samples_sha256_, Environment{}}};
    EXPECT_THAT(states(), ElementsAre("verified", "verified", "verified", "verified", "BROKEN"));
    EXPECT_THAT(detail(4), HasSubstr("environment's hash"));
}

TEST_F(AuditChain, ImportedSummariesHaveNoRawSamples) {
    write(true);
    EXPECT_THAT(detail(4), HasSubstr("imported as summaries"));
}

TEST_F(AuditChain, WhatEstimateRefusesIsBroken) {
    write();
    auto refused = subject();
    refused.served_first.reset();
    refused.refusal = "another file";
    auto const link = audit_chain(refused, "machine").front();
    EXPECT_EQ(link.state, LinkState::broken);
    EXPECT_THAT(link.detail, HasSubstr("another file"));
}

TEST_F(AuditChain, TheReportSaysSo) {
    write();
    AuditRequest request{.hardware_id = "machine",
                         .today = "2026-12-01",
                         .subjects = {subject()},
                         .models = {wanted("shipped", {kernel(OperationType::conv2d, 1e9),
                                                       kernel(OperationType::conv2d, 2e6)})},
                         .legacy_file = ""};
    auto const whole = audit(request);
    EXPECT_FALSE(whole.is_broken());
    auto const words = audit_in_words(whole);
    EXPECT_THAT(words, HasSubstr("334 days old, stale"));
    EXPECT_THAT(words, HasSubstr("1 of 2 sizes that the shipped models need were never measured"));
    EXPECT_THAT(words, HasSubstr("raw samples are absent"));
    auto const markdown = audit_markdown(whole);
    EXPECT_THAT(markdown, HasSubstr("| conv2d | 1G to 3G FLOP | 1 |"));
    EXPECT_THAT(markdown, HasSubstr("No legacy values are known for machine."));
    auto const json = audit_json(whole);
    EXPECT_EQ(json["calibrations"][0]["coverage"]["gaps"], 1);
    EXPECT_EQ(json["calibrations"][0]["quality"]["models_timed_whole"], 0);

    std::ofstream{evidence_file(), std::ios::app} << " ";
    request.subjects = {subject()};
    auto const broken = audit(request);
    EXPECT_TRUE(broken.is_broken());
    EXPECT_THAT(audit_in_words(broken), HasSubstr("BROKEN"));
    EXPECT_TRUE(audit_json(broken)["chain_broken"].get<bool>());
}

TEST(ReportText, ABarInACellDoesNotEndIt) {
    EXPECT_EQ(markdown_table({.header = {"curve", "n"}, .rows = {{"pool|0", "7"}}}),
              "| curve | n |\n|---|---:|\n| pool\\|0 | 7 |\n\n");
    EXPECT_EQ(text_table({{"curve", "n"}, {"pool|0", "17"}}, 1), "curve    n\npool|0  17\n");
    EXPECT_EQ(wrapped("one two three", 8), "one two\nthree\n");
}

}  // namespace
}  // namespace derate
