#include "storage/file_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "ctest/json_pointers.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/calibration_files.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"

namespace derate {

inline void PrintTo(Violation const& violation, std::ostream* out) {
    *out << violation.pointer << ": " << violation.problem << " (" << violation.required << ")";
}

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

fs::path const shipped = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";

TEST(CheckFile, AcceptsEveryShippedFile) {
    auto const files = checkable_files(shipped);
    EXPECT_GE(files.size(), 7U);
    for (auto const& file : files) EXPECT_THAT(check_file(file), IsEmpty()) << file;
}

TEST(CheckFile, ShippedFilesAreInTheirWrittenForm) {  // a diff shows what changed and no more
    bool const update = std::getenv("DERATE_UPDATE_DOCS") != nullptr;
    for (auto const& file : checkable_files(shipped)) {
        if (file.extension() != ".json") continue;
        auto const text = read_text(file);
        auto const written = pretty_json(parse_json(text, file.string()));
        if (update && text != written) write_atomically(file, written);
        if (!update) {
            EXPECT_EQ(text, written) << file << ": run core_tests with DERATE_UPDATE_DOCS=1";
        }
    }
}

TEST(CheckFile, TheShippedRegistryStaysSmall) {
    std::uintmax_t total = 0;
    for (auto const& entry : fs::recursive_directory_iterator{shipped}) {
        if (entry.is_regular_file()) total += entry.file_size();
    }
    EXPECT_LE(total, 20U << 20);
}

/// A registry folder with one measured calibration, its hardware and its evidence.
class CheckedFolder : public testing::Test {
  protected:
    CheckedFolder() {
        write_calibration(calibration(), evidence(), curves_);
        write_atomically(folder_ / "hardware.json", pretty_json(hardware()));
        original_ = read_json(curves_);
    }

    static json hardware() {
        return parse_json(R"({"$schema": "hardware_v1.json", "hardware_id": "epyc",
          "device_kind": "cpu", "name": "AMD EPYC", "last_level_cache_bytes": 3e7, "power_mode": null,
          "compute_peaks": [{"precision": "FP32", "threads": 1,
                             "rate": {"per_second": 1e11, "source": "measured"}}],
          "bandwidth_peaks": [{"threads": 1,
                               "rate": {"per_second": 2e10, "source": "measured"}}]})",
                          "hardware.json");
    }

    static Evidence evidence() {
        Subgraph const subgraph{.fusion_pattern = "Linear",
                                .type = OperationType::linear,
                                .nodes = {{.name = "fc", .op = "linear"}},
                                .work = Flops{1e6},
                                .traffic = {Bytes{1e4}, Bytes{1e6}, Bytes{1e4}}};
        Timing const timing{.center_ms = 1, .mean_ms = 1, .samples = 10};
        Evidence evidence;
        evidence.hardware = {.id = "epyc", .name = "AMD EPYC"};
        evidence.condition.execution.threads = 1;
        evidence.condition.partition = "derate_1";
        evidence.condition.flop_rule = "derate_1";
        evidence.campaigns = {{.id = "a", .date = "2026-01-01", .origin = "test"}};
        evidence.cases = {{.subgraph = subgraph, .timing = timing}};
        evidence.models = {{.name = "m", .family = "f", .cases = {0}}};
        return evidence;
    }

    static Calibration calibration() {
        Calibration calibration{
            .hardware_id = "epyc",
            .condition = {
                .execution = {.threads = 1}, .partition = "derate_1", .flop_rule = "derate_1"}};
        PeakRate const peak{.per_second = 1e11, .source = "measured", .method = "fma"};
        calibration.peak_flops = peak;
        calibration.peak_bandwidth = peak;
        for (auto const type :
             {OperationType::conv2d, OperationType::linear, OperationType::pool}) {
            EfficiencyCurve curve{.type = type};
            for (double const work : {1e6, 1e7, 1e8}) {
                curve.data_points.push_back({.work = work,
                                             .efficiency_mean = 0.347,
                                             .efficiency_std = 0.021,
                                             .efficiency_min = 0.3,
                                             .efficiency_max = 0.4,
                                             .num_observations = 50,
                                             .source_subgraphs = {"resnet18/1/5"},
                                             .confidence_interval_of_mean = Interval{0.341, 0.353},
                                             .prediction_interval = Interval{0.3, 0.39}});
            }
            curve.fitted_curve =
                FittedCurve{AdditiveRoofline{1e-6, 1e-11, 1, 1e-10, 1, 0, 0}, 0.99, 0.1, {}};
            curve.diagnostics = {
                FittedCurve{PiecewiseLinear{{1e6, 1e7, 1e8}, {0.3, 0.34, 0.4}}, 0.9, 0.2, {}}};
            curve.log_variance = 0.01;
            curve.work_range = Interval{1e6, 1e8};
            calibration.curves.push_back(curve);
        }
        calibration.provenance = {.date = "2026-11-22T18:00:00Z",
                                  .tool_version = "derate 0.1.0",
                                  .models_used = {"m"},
                                  .num_samples = 10,
                                  .origin = "derate"};
        calibration.claims = {{.leave_out = "family", .models = 5, .verdict = "PASS"}};
        return calibration;
    }

    std::vector<Violation> check_changed(std::function<void(json&)> const& change) {
        auto document = original_;
        change(document);
        write_atomically(curves_, pretty_json(document));
        return check_file(curves_);
    }

    TemporaryFolder temporary_{"derate_check_"};
    fs::path const root_ = temporary_.path();
    fs::path const folder_ = root_ / "cpu/epyc";
    fs::path const curves_ = folder_ / "efficiency_curves.json";
    json original_;
};

std::vector<std::string> pointers(std::vector<Violation> const& violations) {
    std::vector<std::string> result;
    for (auto const& violation : violations) result.push_back(violation.pointer);
    return result;
}

TEST_F(CheckedFolder, ThePristineCopyPasses) {
    for (auto const& file : checkable_files(root_))
        EXPECT_THAT(check_file(file), IsEmpty()) << file;
    EXPECT_EQ(checkable_files(root_).size(), 3U);
}

TEST_F(CheckedFolder, RulesBeyondTheSchemaAreAllNamed) {
    auto const violations = check_changed([](json& document) {
        auto& curve = document["efficiency_curves"]["conv2d"];
        std::swap(curve["data_points"][0], curve["data_points"][1]);
        curve["data_points"][2]["efficiency_min"] = 0.5;
        curve["data_points"][2]["prediction_interval"]["lower"] = 0.9;
        std::swap(curve["diagnostics"][0]["parameters"]["work"][0],
                  curve["diagnostics"][0]["parameters"]["work"][2]);
        document["hardware_id"] = "xeon";
        document["threads"] = 2;
        document["calibration_metadata"]["evidence"][0]["sha256"] = std::string(64, '0');
    });
    std::string const conv = "/efficiency_curves/conv2d";
    EXPECT_THAT(
        pointers(violations),
        testing::UnorderedElementsAre(
            conv + "/data_points/1/flops", conv + "/data_points/2/efficiency_min",
            conv + "/data_points/2/prediction_interval", conv + "/diagnostics/0/parameters/work/1",
            conv + "/diagnostics/0/parameters/work/2", "/hardware_id", "/precision",
            "/calibration_metadata/evidence/0/sha256"));
}

TEST_F(CheckedFolder, AFaultOfTheSchemaHidesNoneOfTheRules) {
    auto const violations = check_changed([](json& document) {
        document["interval_model"]["t_quantil"] = document["interval_model"]["t_quantile"];
        document["interval_model"].erase("t_quantile");
        document["efficiency_curves"]["linear"]["axis"] = 7;
        std::swap(document["efficiency_curves"]["linear"]["data_points"][0],
                  document["efficiency_curves"]["linear"]["data_points"][1]);
        document["efficiency_curves"]["pool"]["data_points"][2]["efficiency_min"] = 0.5;
        document["hardware_id"] = "xeon";
        document["calibration_metadata"]["evidence"][0]["sha256"] = std::string(64, '0');
    });
    // Whether the points of a curve without a readable axis increase cannot be said.
    EXPECT_THAT(
        pointers(violations),
        testing::UnorderedElementsAre("/interval_model/t_quantil", "/efficiency_curves/linear/axis",
                                      "/efficiency_curves/pool/data_points/2/efficiency_min",
                                      "/hardware_id", "/calibration_metadata/evidence/0/sha256"));
}

TEST_F(CheckedFolder, WithoutSoundCurvesTheRestIsNoFault) {
    auto const violations = check_changed([](json& document) {
        for (auto& curve : document["efficiency_curves"]) curve["axis"] = "parsecs";
    });
    EXPECT_THAT(pointers(violations),
                testing::UnorderedElementsAre("/efficiency_curves/conv2d/axis",
                                              "/efficiency_curves/linear/axis",
                                              "/efficiency_curves/pool/axis"));
}

TEST_F(CheckedFolder, MissingEvidenceAndHardwareAreNamed) {
    fs::remove_all(folder_ / "evidence");
    fs::remove(folder_ / "hardware.json");
    EXPECT_THAT(
        pointers(check_file(curves_)),
        testing::UnorderedElementsAre("/calibration_metadata/evidence/0/file", "/hardware_id"));
}

TEST_F(CheckedFolder, ANewerVersionNamesBoth) {
    auto const violations = check_changed(
        [](json& document) { document["$schema"] = "efficiency_calibration_v2.json"; });
    ASSERT_EQ(violations.size(), 1U);
    EXPECT_EQ(violations[0], (Violation{"/$schema", "got \"efficiency_calibration_v2.json\"",
                                        "\"efficiency_calibration_v1.json\""}));
}

TEST_F(CheckedFolder, ATooLongCurveFileIsNamed) {
    auto const violations = check_changed([](json& document) {
        auto& names = document["efficiency_curves"]["conv2d"]["data_points"][0]["source_subgraphs"];
        for (int i = 0; i < 60'000; ++i) names.push_back("resnet18/1/" + std::to_string(i));
    });
    ASSERT_EQ(violations.size(), 1U);
    EXPECT_EQ(violations[0].problem, "is longer than 1 MB");
}

TEST_F(CheckedFolder, HardwareStatesEachPeakOnce) {
    auto document = hardware();
    document["compute_peaks"].push_back(document["compute_peaks"][0]);
    write_atomically(folder_ / "hardware.json", document.dump());
    EXPECT_THAT(pointers(check_file(folder_ / "hardware.json")),
                testing::ElementsAre("/compute_peaks/1"));
}

TEST(CheckFile, MeasurementsKeepMinMeanMaxInOrder) {
    auto document = read_json(fs::path{DERATE_SOURCE_DIR} / "docs/examples/resnet18_orin.json");
    document["subgraphs"][3]["measured_latency_ms"]["min"] = 99;
    document["subgraphs"][5]["subgraph_id"] = 0;
    document["subgraphs"][6]["flop"] = document["subgraphs"][6]["flops"];
    document["subgraphs"][6].erase("flops");
    TemporaryFolder const temporary{"derate_check_"};
    auto const& folder = temporary.path();
    write_atomically(folder / "m.json", document.dump());
    EXPECT_THAT(pointers(check_file(folder / "m.json")),
                testing::UnorderedElementsAre("/subgraphs/3/measured_latency_ms/min",
                                              "/subgraphs/5/subgraph_id", "/subgraphs/6/flop"));
}

// ---- mutations ----------------------------------------------------------------------------------

struct Mutation {
    std::string what;
    std::string text;         ///< the mutated file
    std::string pointer;      ///< part of one reported pointer
    bool breaks_rule = true;  ///< an optional field may go
};

std::string parent_of(std::string const& pointer) { return pointer.substr(0, pointer.rfind('/')); }

std::string last_of(std::string const& pointer) { return pointer.substr(pointer.rfind('/') + 1); }

json& at(json& document, std::string const& pointer) {
    return document[json::json_pointer{pointer}];
}

/// Fields that may be absent: readers take null or the stated default.
bool is_optional(std::string const& pointer) {
    static std::vector<std::string> const names{"provisional",
                                                "oldest_date",
                                                "git_revision",
                                                "environment_hash",
                                                "trust_grade",
                                                "samples_sha256",
                                                "parent_curves",
                                                "interval_model",
                                                "context_factor",
                                                "validation_claims",
                                                "efficiency_std",
                                                "efficiency_min",
                                                "efficiency_max",
                                                "source_subgraphs",
                                                "between_model_std",
                                                "confidence_interval_of_mean",
                                                "prediction_interval",
                                                "diagnostics",
                                                "residual_model",
                                                "log_variance",
                                                "variance_scale",
                                                "mean_correction",
                                                "work_range",
                                                "byte_range",
                                                "regimes",
                                                "kernels",
                                                "parameter_covariance",
                                                "method",
                                                "relative_spread",
                                                "clock_hz",
                                                "coverage_95",
                                                "median_half_width_percent",
                                                "noise_floor_percent",
                                                "noise_floor_basis",
                                                "conv2d",
                                                "linear",
                                                "pool"};
    return std::find(names.begin(), names.end(), last_of(pointer)) != names.end();
}

/// Every kind of damage at places spread over the whole file.
std::vector<Mutation> mutations(json const& original) {
    std::vector<std::string> pointers;
    all_pointers(original, "", pointers);
    std::vector<Mutation> result;
    auto const mutate = [&](std::string what, std::string pointer, bool breaks,
                            std::function<void(json&)> const& change) {
        auto document = original;
        change(document);
        result.push_back({std::move(what), pretty_json(document), std::move(pointer), breaks});
    };
    std::size_t turn = 0;
    for (auto const& pointer : pointers) {
        auto const& value = original[json::json_pointer{pointer}];
        bool const in_object = original[json::json_pointer{parent_of(pointer)}].is_object();
        if (in_object && turn % 3 == 0) {
            mutate("drop", pointer, !is_optional(pointer), [&](json& document) {
                at(document, parent_of(pointer)).erase(last_of(pointer));
            });
        }
        if (in_object && turn % 3 == 1) {
            mutate("misspell", pointer + "x", true, [&](json& document) {
                auto& object = at(document, parent_of(pointer));
                object[last_of(pointer) + "x"] = object[last_of(pointer)];
                object.erase(last_of(pointer));
            });
        }
        if (turn % 3 == 2) {
            mutate("retype", pointer, true, [&](json& document) {
                at(document, pointer) = value.is_object() ? json(3) : json::object();
            });
        }
        auto const name = last_of(pointer);
        bool const may_be_negative =
            name == "lower" || name == "bias_percent" || name == "r_squared" || value == 0;
        if (value.is_number() && !may_be_negative && turn % 2 == 0) {
            // Limits in the wrong order are the interval's fault.
            mutate("negate", name == "upper" ? parent_of(pointer) : pointer, true,
                   [&](json& document) { at(document, pointer) = -value.get<double>(); });
        }
        ++turn;
    }
    auto const text = pretty_json(original);
    for (int i = 1; i <= 8; ++i) {
        result.push_back(
            {"truncate", text.substr(0, text.size() * static_cast<std::size_t>(i) / 9), "", true});
    }
    for (auto const* bad : {"NaN", "Infinity", "-Infinity", "1e999"}) {
        auto with = text;
        auto const place = with.find("0.347");
        result.push_back({bad, with.replace(place, 5, bad), "", true});
    }
    for (std::string_view const opening : {"[", "{\"a\":"}) {
        std::string deep;
        for (int i = 0; i < 100'000; ++i) deep += opening;
        result.push_back({"nest", deep, "", true});
        auto with = text;
        result.push_back({"nest inside", with.replace(with.find("0.347"), 5, deep), "", true});
    }
    auto twice = text;
    result.push_back(
        {"key twice", twice.replace(twice.find("\"threads\""), 9, "\"precision\""), "", true});
    for (auto const* type : {"conv2d", "linear", "pool"}) {
        std::string const curve = std::string{"/efficiency_curves/"} + type;
        mutate("reorder points", curve + "/data_points/", true, [&](json& document) {
            auto& points = at(document, curve + "/data_points");
            std::swap(points[0], points[2]);
        });
        mutate("reorder knots", curve + "/diagnostics/0/parameters/work", true,
               [&](json& document) {
                   auto& work = at(document, curve + "/diagnostics/0/parameters/work");
                   std::swap(work[1], work[2]);
               });
        mutate(
            "mean above max", curve + "/data_points/1/efficiency_max", true,
            [&](json& document) { at(document, curve + "/data_points/1/efficiency_mean") = 0.9; });
        mutate("interpolation of another form", curve + "/interpolation", true,
               [&](json& document) {
                   at(document, curve + "/interpolation") = "linear_in_log10_work";
               });
    }
    mutate("wrong hash", "/calibration_metadata/evidence/0/sha256", true, [](json& document) {
        auto& hash = document["calibration_metadata"]["evidence"][0]["sha256"];
        hash = std::string(64, 'f');
    });
    mutate("evidence elsewhere", "/calibration_metadata/evidence/0/file", true, [](json& document) {
        document["calibration_metadata"]["evidence"][0]["file"] = "../../etc/passwd";
    });
    mutate("other folder", "/hardware_id", true,
           [](json& document) { document["hardware_id"] = "xeon"; });
    mutate("legacy without rules", "/legacy_rules", true,
           [](json& document) { document["source"] = "legacy_hardcoded"; });
    mutate("huge text", "/partition", true,
           [](json& document) { document["partition"] = std::string(3'000'000, 'a'); });
    return result;
}

TEST_F(CheckedFolder, EveryMutationThatBreaksARuleIsRefusedWithItsPlace) {
    auto const all = mutations(original_);
    EXPECT_GE(all.size(), 200U);
    std::size_t refused = 0;
    for (auto const& mutation : all) {
        write_atomically(curves_, mutation.text);
        auto const violations = check_file(curves_);
        SCOPED_TRACE(mutation.what + " " + mutation.pointer);
        if (!mutation.breaks_rule) {
            EXPECT_THAT(violations, IsEmpty());
            continue;
        }
        ++refused;
        EXPECT_THAT(violations, testing::Not(IsEmpty()));
        // A reader that accepts what the check refuses, or the other way, would be two truths.
        EXPECT_THAT(violations, testing::Contains(testing::Field(&Violation::pointer,
                                                                 HasSubstr(mutation.pointer))));
    }
    EXPECT_GE(refused, 190U);
}

}  // namespace
}  // namespace derate
