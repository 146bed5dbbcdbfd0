// Do the shipped imports reach what the study they come from found? Its additive roofline, fitted
// to the same campaigns, is judged the same way: leaving models out and leaving families out.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "calibration/cross_validate.hpp"
#include "calibration/model_outcome.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

fs::path const registry = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";

/// One campaign of an import, and the whole-model MAPE that the study states of it (percent).
struct Unit {
    char const* file;
    char const* campaign;
    double stated_model_mape;
    double stated_family_mape;
};

constexpr Unit units[]{
    {"cpu/i7-12700K/efficiency_curves.json", "B", 7.5, 11.3},
    {"gpu/jetson-orin-agx-maxn/efficiency_curves_fp16.json", "A", 8.0, 10.4},
    {"gpu/jetson-orin-agx-maxn/efficiency_curves.json", "A", 10.1, 16.5},
    {"gpu/jetson-orin-agx-maxn/efficiency_curves.json", "B", 11.8, 13.3},
};

constexpr double tolerated_points = 1.5;

Evidence evidence_of(Unit const& unit) {
    auto const path = registry / unit.file;
    return read_evidence_of(read_calibration(path), path).value();
}

Evidence campaign_alone(Evidence evidence, std::string const& campaign) {
    std::erase_if(evidence.models, [&](EvidenceModel const& model) {
        return evidence.campaigns[static_cast<std::size_t>(model.campaign)].id != campaign;
    });
    return evidence;
}

struct Mape {
    double model = 0;
    double family = 0;
};

/// The additive roofline alone, without a model of its residuals.
Mape mape_of_additive_roofline(Evidence const& evidence) {
    FitOptions const options{.residual = ResidualForm::none, .nested_intervals = false};
    auto const mape = [&](LeaveOut what) {
        return mape_percent(outcomes_of(cross_validate(evidence, what, options), evidence));
    };
    return {.model = mape(LeaveOut::model), .family = mape(LeaveOut::family)};
}

TEST(ImportedAccuracy, TheAdditiveRooflineReachesTheStudysFigures) {
    std::string table =
        "| import, campaign | models (with batches) | additive roofline, leaving models / families "
        "out | the study's | noise floor |\n|---|---|---|---|---|\n";
    for (auto const& unit : units) {
        SCOPED_TRACE(std::string{unit.file} + " campaign " + unit.campaign);
        auto const whole = evidence_of(unit);
        auto const evidence = campaign_alone(whole, unit.campaign);
        auto const mape = mape_of_additive_roofline(evidence);
        EXPECT_LE(mape.model, unit.stated_model_mape + tolerated_points);
        EXPECT_LE(mape.family, unit.stated_family_mape + tolerated_points);

        auto const floor = noise_floor(whole);
        ASSERT_TRUE(floor);
        std::set<std::string> names;
        for (auto const& model : evidence.models) names.insert(model.name);
        table += fmt::format(
            "| `{}`, {} | {} ({}) | {:.1f} / {:.1f} % | {:.1f} / {:.1f} % | {:.1f} % ({}) |\n",
            unit.file, unit.campaign, names.size(), evidence.models.size(), mape.model, mape.family,
            unit.stated_model_mape, unit.stated_family_mape, floor->percent,
            to_string(floor->basis));
    }

    constexpr std::string_view begin = "<!-- imports, from the evidence -->\n";
    constexpr std::string_view end = "<!-- end of imports -->";
    auto page = read_text(registry / "README.md");
    auto const from = page.find(begin);
    auto const to = page.find(end);
    ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
    auto const start = from + begin.size();
    if (std::getenv("DERATE_UPDATE_DOCS") != nullptr) {
        write_atomically(registry / "README.md", page.replace(start, to - start, table));
    } else {
        EXPECT_EQ(page.substr(start, to - start), table)
            << "hardware_registry/README.md: run imported_accuracy_test with DERATE_UPDATE_DOCS=1";
    }
}

TEST(ImportedAccuracy, WhatIsServedIsNoWorse) {
    for (auto const& unit : units) {
        for (auto const& claim : read_calibration(registry / unit.file).claims) {
            SCOPED_TRACE(std::string{unit.file} + " leaving out each " + claim.leave_out);
            // Orin FP32 is served from both campaigns: their worse figure bounds it.
            double const stated =
                claim.leave_out == "model" ? unit.stated_model_mape : unit.stated_family_mape;
            EXPECT_LE(claim.mape_percent, stated + tolerated_points);
        }
        EXPECT_EQ(read_calibration(registry / unit.file).claims.size(), 2U) << unit.file;
    }
}

}  // namespace
}  // namespace derate
