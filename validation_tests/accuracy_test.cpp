// Do the imported timings still give the accuracy that docs/accuracy.md states?
//
// Refits every imported unit without each model, or each family, in turn. Targets are what the
// additive roofline alone reached on these timings, and the coverage that is claimed of intervals.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "gate/validation.hpp"
#include "storage/calibration_files.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

/// One device, precision and campaign.
struct Unit {
    char const* curves;  ///< below the registry
    char const* campaign;
    double most_mape_percent[2];  ///< leaving out each model, each family
};

constexpr std::array units{
    Unit{"cpu/i7-12700K/efficiency_curves.json", "B", {7.5, 11.3}},
    Unit{"gpu/jetson-orin-agx-maxn/efficiency_curves_fp16.json", "A", {8.0, 10.4}},
    Unit{"gpu/jetson-orin-agx-maxn/efficiency_curves.json", "A", {10.1, 16.5}},
    Unit{"gpu/jetson-orin-agx-maxn/efficiency_curves.json", "B", {11.8, 13.3}},
};
/// A family left out takes types with it, and what nobody learnt of a type is not shrunk.
constexpr double most_half_width_percent[2] = {40, 60};
constexpr double least_coverage = 0.90;
constexpr double most_coverage[2] = {0.99, 1};
constexpr int least_kernels = 30;  ///< a group of fewer proves nothing
constexpr double least_group_coverage = 0.80;

/// Fits take seconds: each unit is judged once for all tests.
Validation const& judged(Unit const& unit, LeaveOut what) {
    static std::map<std::pair<Unit const*, LeaveOut>, Validation> known;
    auto const [slot, is_new] = known.try_emplace({&unit, what});
    if (is_new) {
        auto const curves = fs::path{DERATE_SOURCE_DIR} / "hardware_registry" / unit.curves;
        auto const evidence = read_evidence_of(read_calibration(curves), curves);
        if (!evidence) throw std::runtime_error{curves.string() + ": no evidence"};
        slot->second = validate_campaign(*evidence, unit.campaign, what);
    }
    return slot->second;
}

std::string name_of(Unit const& unit) { return std::string{unit.curves} + " " + unit.campaign; }

class CorpusAccuracy : public testing::TestWithParam<LeaveOut> {
  protected:
    static std::size_t way() { return GetParam() == LeaveOut::family ? 1 : 0; }
};

TEST_P(CorpusAccuracy, IsAtLeastTheAdditiveRooflines) {
    for (auto const& unit : units) {
        auto const& validation = judged(unit, GetParam());
        EXPECT_LE(mape_percent(validation.outcomes), unit.most_mape_percent[way()])
            << name_of(unit);
    }
}

TEST_P(CorpusAccuracy, IntervalsCoverAtAnHonestWidth) {
    double inside = 0;
    double models = 0;
    for (auto const& unit : units) {
        auto const& outcomes = judged(unit, GetParam()).outcomes;
        EXPECT_LE(median_half_width_percent(outcomes), most_half_width_percent[way()])
            << name_of(unit);
        inside += coverage(outcomes) * static_cast<double>(outcomes.size());
        models += static_cast<double>(outcomes.size());
    }
    EXPECT_EQ(models, 90);
    EXPECT_GE(inside / models, least_coverage);
    EXPECT_LE(inside / models, most_coverage[way()]);
}

TEST_P(CorpusAccuracy, NoGroupOfKernelsIsLeftUncovered) {
    for (auto const& unit : units) {
        auto const& validation = judged(unit, GetParam());
        for (auto const& type : validation.types) {
            if (type.kernels < least_kernels) continue;
            EXPECT_GE(type.coverage_95, least_group_coverage)
                << name_of(unit) << ": " << to_string(type.type);
        }
        for (auto const& size : validation.sizes) {
            if (size.kernels < least_kernels) continue;
            EXPECT_GE(size.coverage_95, least_group_coverage) << name_of(unit) << ": " << size.size;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(LeaveOut, CorpusAccuracy,
                         testing::Values(LeaveOut::model, LeaveOut::family),
                         [](auto const& test) { return std::string{to_string(test.param)}; });

}  // namespace
}  // namespace derate
