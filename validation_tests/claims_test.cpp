// What a calibration says of its own accuracy: computed, not made up, and stored without touching
// what is served.
#include "gate/claims.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "calibration/fit_calibration.hpp"
#include "core/input_error.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"
#include "validation_tests/simulated_evidence.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

class StoredClaims : public testing::Test {
  protected:
    fs::path store(Evidence const& evidence) const {
        auto calibration = fit_calibration(evidence);
        calibration.provenance.tool_version = "test";
        auto const curves = curve_file_in(folder_, calibration);
        write_calibration(calibration, evidence, curves);
        return curves;
    }

    TemporaryFolder temporary_{"derate_claims_"};
    fs::path const folder_ = temporary_.path();
};

TEST_F(StoredClaims, AreWhatLeavingOutGives) {
    auto const evidence = simulate_evidence({.models = 12});  // of ten families
    auto const curves = store(evidence);
    auto const before = read_calibration(curves);
    ASSERT_TRUE(before.claims.empty());
    auto const own = store_claims(curves);
    auto const after = read_calibration(curves);

    ASSERT_EQ(after.claims.size(), 2U);
    for (auto const& claim : after.claims) {
        auto const what = claim.leave_out == "family" ? LeaveOut::family : LeaveOut::model;
        auto const outcomes = outcomes_of(cross_validate(evidence, what), evidence);
        EXPECT_EQ(claim.models, static_cast<int>(outcomes.size()));
        EXPECT_NEAR(claim.mape_percent, mape_percent(outcomes), 1e-9);
        EXPECT_NEAR(claim.bias_percent, bias_percent(outcomes), 1e-9);
        EXPECT_NEAR(claim.coverage_95.value(), coverage(outcomes), 1e-9);
        EXPECT_NEAR(claim.noise_floor_percent.value(), noise_floor(evidence)->percent, 1e-9);
        EXPECT_THAT(claim.noise_floor_basis.value(),
                    testing::StartsWith("between halves of one campaign's launches; 95 % interval "));
        EXPECT_EQ(claim.verdict, to_string(own.gate.verdict()));
    }
    EXPECT_NE(after.claims[0].mape_percent, after.claims[1].mape_percent);
    // The gate finds them true; the curves and the evidence are the same.
    EXPECT_EQ(store_claims(curves).gate.find(GateRule::claims_recompute)->verdict, Verdict::pass);
    EXPECT_EQ(after.provenance.evidence.front().sha256, before.provenance.evidence.front().sha256);
    ASSERT_EQ(after.curves.size(), before.curves.size());
    for (std::size_t i = 0; i < after.curves.size(); ++i) {
        auto const form = [](Calibration const& calibration, std::size_t curve) {
            return std::get<AdditiveRoofline>(calibration.curves[curve].fitted_curve->form);
        };
        EXPECT_EQ(form(after, i).byte_coefficient, form(before, i).byte_coefficient);
    }
}

TEST_F(StoredClaims, ATrueClaimMadeFalseFailsTheGate) {
    auto const curves = store(simulate_evidence({.models = 10}));
    (void)store_claims(curves);
    auto calibration = read_calibration(curves);
    auto const evidence = read_evidence_of(calibration, curves).value();
    for (auto& claim : calibration.claims) claim.mape_percent -= 1;
    write_calibration(calibration, evidence, curves);
    EXPECT_EQ(store_claims(curves).gate.find(GateRule::claims_recompute)->verdict, Verdict::fail);
}

TEST_F(StoredClaims, NoneAreMadeOfTwoModels) {
    auto evidence = simulate_evidence({.models = 10});
    evidence.models.resize(2);
    auto const own = store_claims(store(evidence));
    EXPECT_TRUE(own.claims.empty());
    ASSERT_EQ(own.left_out.size(), 3U);
    EXPECT_TRUE(own.left_out[0].outcomes.empty());
}

TEST_F(StoredClaims, AStatedNoiseFloorIsShownAndProvesNothing) {
    auto evidence = simulate_evidence({.models = 10});
    // Imported data: sums of parts, and nothing timed twice.
    for (auto& model : evidence.models) model.whole_model.reset();
    for (auto& campaign : evidence.campaigns) {
        campaign.noise_floor = {.percent = 2.5, .source = "the study"};
    }
    auto const floor = noise_floor(evidence);
    ASSERT_TRUE(floor);
    EXPECT_EQ(floor->basis, NoiseFloor::Basis::stated);
    EXPECT_EQ(floor->percent, 2.5);
    auto const curves = store(evidence);
    auto const own = store_claims(curves);
    for (auto const& claim : own.claims) {
        EXPECT_EQ(claim.noise_floor_percent, 2.5);
        EXPECT_EQ(claim.noise_floor_basis, "as stated: the study");
    }
    auto const* rule = own.gate.find(GateRule::noise_floor);
    EXPECT_EQ(rule->verdict, Verdict::inconclusive);
    EXPECT_THAT(rule->reason, testing::HasSubstr("the study"));
    // What was timed twice speaks for itself.
    auto repeated = evidence;
    repeated.campaigns.push_back(evidence.campaigns.front());
    repeated.campaigns.back().id = "another visit";
    for (auto const& model : evidence.models) {
        repeated.models.push_back(model);
        repeated.models.back().campaign = static_cast<int>(repeated.campaigns.size()) - 1;
    }
    EXPECT_EQ(noise_floor(repeated)->basis, NoiseFloor::Basis::repeated_campaigns);
}

TEST_F(StoredClaims, NeedEvidence) {
    auto const curves = store(simulate_evidence({.models = 10}));
    fs::remove_all(curves.parent_path() / "evidence");
    EXPECT_THROW((void)store_claims(curves), InputError);
}

}  // namespace
}  // namespace derate
