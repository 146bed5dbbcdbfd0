#include "storage/schema_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "storage/file.hpp"

namespace derate {

inline void PrintTo(Violation const& violation, std::ostream* out) {
    *out << violation.pointer << ": " << violation.problem << " (" << violation.required << ")";
}

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

nlohmann::json hardware() {
    return parse_json(R"({
      "$schema": "hardware_v1.json", "hardware_id": "orin", "device_kind": "gpu", "name": "Orin",
      "compute_peaks": [{"precision": "FP16", "threads": null,
                         "rate": {"per_second": 2e12, "source": "measured"}}],
      "bandwidth_peaks": [{"threads": null, "rate": {"per_second": 2e11, "source": "data_sheet"}}],
      "last_level_cache_bytes": null, "power_mode": "maxn"})",
                      "hardware.json");
}

std::vector<Violation> check_hardware(nlohmann::json const& json) {
    return check_schema(json, SchemaName::hardware);
}

TEST(CheckSchema, AcceptsAFileThatKeepsTheRules) {
    EXPECT_THAT(check_hardware(hardware()), IsEmpty());
}

TEST(CheckSchema, NamesEveryPlaceAtOnce) {
    auto json = hardware();
    json.erase("name");
    json["compute_peaks"][0]["rate"]["per_second"] = -2;
    json["compute_peaks"][0]["precision"] = "FP8";
    json["bandwidth_peaks"][0]["rate"]["clock_hz"] = "fast";
    json["hardware_id"] = "a b";
    json["power_mode"] = 3;
    EXPECT_THAT(check_hardware(json),
                UnorderedElementsAre(
                    Violation{"/name", "is missing", "every required field"},
                    Violation{"/compute_peaks/0/rate/per_second", "got -2", "a number above 0"},
                    Violation{"/compute_peaks/0/precision", "got \"FP8\"",
                              R"("FP32", "FP16", "BF16" or "INT8")"},
                    Violation{"/bandwidth_peaks/0/rate/clock_hz", "got \"fast\"",
                              "a number above 0 or null"},
                    Violation{"/hardware_id", "got \"a b\"",
                              "a text matching ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
                    Violation{"/power_mode", "got 3", "a text or null"}));
}

TEST(CheckSchema, AMisspeltKeyIsOneFaultWithItsCure) {
    auto json = hardware();
    json["powr_mode"] = json["power_mode"];
    json.erase("power_mode");
    EXPECT_THAT(check_hardware(json), ElementsAre(Violation{"/powr_mode", "unknown key",
                                                            "did you mean \"power_mode\"?"}));
}

TEST(CheckSchema, NamesEachUnknownKey) {
    auto json = hardware();
    json["colour"] = 1;
    json["weight"] = 2;
    auto const violations = check_hardware(json);
    ASSERT_EQ(violations.size(), 2U);
    EXPECT_EQ(violations[0].pointer, "/colour");
    EXPECT_EQ(violations[1].pointer, "/weight");
    EXPECT_THAT(violations[0].required, HasSubstr("one of $schema, "));
}

TEST(CheckSchema, EscapesKeysInPointers) {
    auto json = hardware();
    json["a/b~c"] = 1;
    ASSERT_EQ(check_hardware(json).size(), 1U);
    EXPECT_EQ(check_hardware(json)[0].pointer, "/a~1b~0c");
}

TEST(CheckSchema, AHugeTextIsAFaultAndNotTheEndOfTheProgram) {
    auto json = hardware();
    json["hardware_id"] = std::string(2'000'000, 'x');
    EXPECT_THAT(check_hardware(json),
                ElementsAre(Violation{"/hardware_id", "a text too long to be meant",
                                      "at most 4000 bytes"}));
    json = hardware();
    json[std::string(2'000'000, 'x')] = 1;
    EXPECT_EQ(check_hardware(json).size(), 1U);
}

TEST(CheckSchema, JudgesAnythingThatIsNotAnObject) {
    for (auto const* text : {"[]", "3", "null", "\"x\""}) {
        EXPECT_THAT(check_hardware(parse_json(text, "f")), testing::SizeIs(1)) << text;
    }
}

TEST(CheckSchema, AFormHasItsOwnParametersAndNoOthers) {
    auto const calibration = [](std::string const& fit) {
        return parse_json(R"({"$schema": "efficiency_calibration_v1.json", "hardware_id": "x",
          "device_kind": "cpu", "precision": "FP32", "threads": 1, "source": "measured",
          "units": {"work": "FLOP", "traffic": "byte", "time": "s",
                    "efficiency": "fraction of denominator"},
          "partition": "derate_1", "flop_rule": "derate_1",
          "denominators": {"flops_per_second": null, "bytes_per_second": null},
          "calibration_metadata": {"date": "2026-01-01T10:00:00Z", "tool_version": "derate 0.1.0",
            "models_used": ["a"], "num_samples": 5, "origin": "derate"},
          "efficiency_curves": {"pool|0": {"axis": "bytes", "source": "measured",
            "interpolation": "formula", "extrapolation": "formula_widened", "data_points": [],
            "fitted_curve": )" +
                              fit + "}}}",
                          "f");
    };
    auto const check = [&](std::string const& fit) {
        return check_schema(calibration(fit), SchemaName::efficiency_calibration);
    };
    constexpr auto* tail = R"(, "r_squared": 0.9, "residual_std": null})";
    std::string const fit = "/efficiency_curves/pool|0/fitted_curve";

    EXPECT_THAT(check("null"), IsEmpty());
    EXPECT_THAT(
        check(std::string{R"({"type": "log_linear", "parameters": {"intercept": 1, "slope": 2})"} +
              tail),
        IsEmpty());
    EXPECT_THAT(
        check(std::string{R"({"type": "log_linear", "parameters": {"intercept": 1})"} + tail),
        ElementsAre(Violation{fit + "/parameters/slope", "is missing", "every required field"}));
    EXPECT_THAT(
        check(
            std::string{
                R"({"type": "log_linear", "parameters": {"intercept": 1, "slope": 2, "ceiling": 1})"} +
            tail),
        ElementsAre(Violation{fit + "/parameters", "has a field too many",
                              "only the parameters of its type"}));
    EXPECT_THAT(check(std::string{R"({"type": "cubic", "parameters": {})"} + tail),
                testing::SizeIs(1));
}

}  // namespace
}  // namespace derate
