// derate validate, promote and compare as a person meets them: files in, exit code out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "calibration/fit_calibration.hpp"
#include "ctest/program_run.hpp"
#include "gate/gate.hpp"
#include "storage/calibration_files.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"
#include "validation_tests/simulated_evidence.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

/// Standard error stands in the output besides.
///
/// \param environment  "NAME=VALUE ", to stand before the program
ProgramRun run(std::string const& arguments, std::string const& environment = "") {
    return run_program(environment + DERATE_PROGRAM + " " + arguments + " 2>&1");
}

/// Every file below a folder with its content.
std::map<fs::path, std::string> content_of(fs::path const& folder) {
    std::map<fs::path, std::string> files;
    for (auto const& entry : fs::recursive_directory_iterator{folder}) {
        if (entry.is_regular_file()) {
            files[fs::relative(entry.path(), folder)] = read_text(entry.path());
        }
    }
    return files;
}

/// The tree that `derate calibrate` would stage of this evidence.
fs::path stage(fs::path const& folder, Evidence const& evidence) {
    auto calibration = fit_calibration(evidence);
    calibration.hardware_id = evidence.hardware.id;
    calibration.provenance.tool_version = "0.1.0";
    calibration.provenance.origin = "simulated";
    calibration.provenance.date = evidence.campaigns.front().date;
    write_calibration(calibration, evidence, curve_file_in(folder, calibration));
    return folder;
}

fs::path stage(fs::path const& folder, SimulatedMachine const& machine) {
    return stage(folder, simulate_evidence(machine));
}

/// Staged trees are fitted once for all tests.
class GateCommands : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        root = fs::temp_directory_path() / ("derate_gate_" + std::to_string(::getpid()));
        fs::create_directories(root);
        stage(root / "first", {.models = models, .campaign = 1});
        stage(root / "again", {.models = models, .campaign = 2});
        stage(root / "slowed", {.models = models, .campaign = 3, .slowed_percent = 25});
        stage(root / "few", {.models = 4, .campaign = 1});
    }
    static void TearDownTestSuite() { fs::remove_all(root); }

    void SetUp() override {
        registry = root / "registry";
        fs::remove_all(registry);
        fs::create_directories(registry);
    }
    static std::string curves(char const* staged) {
        return (root / staged / "cpu/simulated_cpu/efficiency_curves.json").string();
    }
    std::string promote(char const* staged, std::string const& more = "--reason test") const {
        return "promote " + (root / staged).string() + " --registry " + registry.string() + " " +
               more;
    }

    static constexpr int models = 60;
    static inline fs::path root;
    fs::path registry;
};

TEST_F(GateCommands, ValidateAnswersEveryQuestionAsJson) {
    auto const outcome = run("validate --json --quiet --calibration " + curves("first"));
    EXPECT_EQ(outcome.code, 0) << outcome.output;
    auto const json = nlohmann::json::parse(outcome.output);
    EXPECT_EQ(json.at("verdict"), "PASS");
    EXPECT_LT(json.at("mape_percent").get<double>(), 20);
    EXPECT_EQ(json.at("models").size(), std::size_t{models});
    for (auto const* key : {"bias_percent", "coverage_95", "median_half_width_percent",
                            "noise_floor_percent", "operation_types", "recommendations"}) {
        EXPECT_TRUE(json.contains(key)) << key;
    }
    EXPECT_EQ(json.at("bias_test").at("verdict"), "PASS");
    EXPECT_EQ(json.at("variance_test").at("dof"), models);
    // It was calibrated on every model that it was timed with.
    EXPECT_TRUE(json.at("recommendations").empty());
}

TEST_F(GateCommands, ValidateRecommendsNoModelThatItWasCalibratedOn) {
    auto const outcome = run("validate --json --quiet --hardware kvm-amd-epyc-zen5-2c");
    auto const json = nlohmann::json::parse(outcome.output);
    auto const& recommendations = json.at("recommendations");
    ASSERT_FALSE(recommendations.empty());
    auto const used = read_json(json.at("calibration").get<std::string>())
                          .at("calibration_metadata")
                          .at("models_used")
                          .get<std::set<std::string>>();
    for (auto const& one : recommendations) {
        EXPECT_GT(one.at("seconds").get<double>(), 0);
        for (auto const& model : one.at("models")) EXPECT_FALSE(used.contains(model)) << model;
    }
}

TEST_F(GateCommands, ValidateWritesJUnitAndMarkdown) {
    auto const junit = root / "gate.xml";
    auto const markdown = root / "gate.md";
    auto const outcome = run("validate --leave-out family --calibration " + curves("first") +
                             " --junit " + junit.string() + " --output " + markdown.string());
    EXPECT_THAT(outcome.output, HasSubstr("leaving out each family"));
    EXPECT_THAT(read_text(junit), HasSubstr("<testsuite name=\"simulated_cpu\" tests=\"13\""));
    EXPECT_THAT(read_text(markdown), HasSubstr("| rule"));
}

TEST_F(GateCommands, ValidateRefusesNonsense) {
    EXPECT_EQ(run("validate --calibration /no/such/file.json").code, 2);
    EXPECT_EQ(run("validate --leave-out layer --calibration " + curves("first")).code, 2);
}

TEST_F(GateCommands, ValidateTimesTestModelsNow) {
    // A program that follows the protocol of derate-bench with drawn times.
    std::string const bench = "DERATE_BENCH=" SYNTHETIC_BENCH " ";
    auto const samples = root / "test.samples.jsonl";
    auto const command = "validate --json --quiet --calibration " + curves("first") +
                         " --test-models squeezenet1_1,resnet18 --device cpu"
                         " --hardware-name simulated_cpu --runs 4 --launches 2 --samples " +
                         samples.string();
    auto const outcome = run(command, bench);
    // Drawn times have nothing to do with the curves: two models off by much more than 20 %.
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    auto const json = nlohmann::json::parse(outcome.output);
    EXPECT_EQ(json.at("verdict"), "FAIL");
    ASSERT_EQ(json.at("models").size(), 2U);
    EXPECT_EQ(json.at("models").at(0).at("independent_truth"), true);
    EXPECT_GT(json.at("models").at(1).at("predicted_ms").get<double>(), 0);
    EXPECT_GT(json.at("operation_types").size(), 2U);
    EXPECT_TRUE(fs::exists(samples));
    // The timings were kept: the same again without a program that times.
    EXPECT_EQ(run(command, bench).output, outcome.output);

    auto const dry = run(command + " --dry-run");
    EXPECT_EQ(dry.code, 0) << dry.output;
    EXPECT_GT(nlohmann::json::parse(dry.output).at("cases").size(), 10U);
}

// A graph network's nodes and edges differ in number: it has no batch, which is no fault.
TEST_F(GateCommands, ValidateTimesModelsWithoutABatch) {
    std::string const bench = "DERATE_BENCH=" SYNTHETIC_BENCH " ";
    auto const outcome =
        run("validate --json --quiet --calibration " + curves("first") +
                " --test-models resnet18," DERATE_SOURCE_DIR
                "/workloads/testdata/no_batch_graph.pt2 --hardware-name simulated_cpu --runs 4"
                " --launches 2",
            bench);
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    auto const listed = nlohmann::json::parse(outcome.output).at("models");
    ASSERT_EQ(listed.size(), 2U);
    std::map<std::string, nlohmann::json> batches;
    for (auto const& model : listed) batches[model.at("model")] = model.at("batch");
    EXPECT_EQ(batches.at("resnet18"), 1);
    EXPECT_TRUE(batches.at("no_batch_graph").is_null());
}

TEST_F(GateCommands, ValidateRefusesTestModelsOfAnotherKind) {
    auto const judged = "validate --calibration " + curves("first");
    EXPECT_EQ(run(judged + " --test-models resnet18").code, 4);  // this is not simulated_cpu
    auto const here = judged + " --hardware-name simulated_cpu --test-models ";
    EXPECT_EQ(run(here + "resnet18 --device cuda").code, 2);
    EXPECT_EQ(run(here + "model_0").code, 2);  // the calibration was made from it
    EXPECT_EQ(run(here + "no_such_model").code, 2);
    EXPECT_EQ(run(here + "resnet18 --leave-out family").code, 2);
    EXPECT_EQ(run(here + "resnet18 --measurements m.json").code, 2);
    EXPECT_EQ(run(judged + " --quick").code, 2);  // of nothing
}

TEST_F(GateCommands, ChangedEvidenceFails) {
    fs::copy(root / "first", root / "changed", fs::copy_options::recursive);
    std::ofstream{root / "changed/cpu/simulated_cpu/evidence/efficiency_curves.json.gz",
                  std::ios::app}
        << 'x';
    auto const outcome = run("validate --calibration " + curves("changed"));
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("another SHA-256"));
}

using Verdicts = std::map<std::string, std::string>;

/// What `derate validate` does not pass, by rule.
Verdicts not_passed(std::string const& curves) {
    auto const outcome = run("validate --json --quiet --calibration " + curves);
    Verdicts found;
    auto const report = nlohmann::json::parse(outcome.output);
    bool failed = false;
    for (auto const& rule : report.at("rules")) {
        if (rule.at("verdict") == "PASS") continue;
        found[rule.at("rule")] = rule.at("verdict");
        failed = failed || rule.at("verdict") == "FAIL";
    }
    EXPECT_EQ(report.at("rules").size(), rules_for(CurveSource::measured).size());
    EXPECT_EQ(outcome.code, failed ? 1 : found.empty() ? 0 : 3) << outcome.output;
    return found;
}

// A calibration as staged passes every rule; each defect in its files turns one. bias, variance and
// coverage are of predictions made anew from the evidence, so that no file can hold their defect
// alone: it is planted in the predictions (gate_test.cpp).
TEST_F(GateCommands, OnePlantedDefectTurnsOneRule) {
    auto const good = read_calibration(curves("first"));
    auto const evidence = simulate_evidence({.models = models, .campaign = 1});
    EXPECT_EQ(not_passed(curves("first")), Verdicts{});
    EXPECT_FALSE(good.provisional);

    auto const changed_file = [&](char const* name, auto change) {
        fs::copy(root / "first", root / name, fs::copy_options::recursive);
        auto document = to_json(good);
        change(document);
        write_atomically(curves(name), pretty_json(document));
        return not_passed(curves(name));
    };
    EXPECT_EQ(changed_file("schema",
                           [](nlohmann::json& file) {
                               file["calibration_metadata"]["trust_grade"] = "E";
                           }),
              (Verdicts{{"schema", "FAIL"}}));
    auto claimed = good;
    claimed.claims = {{.leave_out = "model", .models = 3, .mape_percent = 0.01,
                       .bias_percent = 0, .coverage_95 = 1, .verdict = "PASS"}};
    EXPECT_EQ(changed_file("claim", [&](nlohmann::json& file) { file = to_json(claimed); }),
              (Verdicts{{"claims_recompute", "FAIL"}}));

    auto const with = [&](char const* name, auto change) {
        auto changed = evidence;
        change(changed);
        stage(root / name, changed);
        return not_passed(curves(name));
    };
    EXPECT_EQ(with("drifted",
                   [](Evidence& changed) { changed.campaigns.front().trust_grade = "D"; }),
              (Verdicts{{"measurement_quality", "INCONCLUSIVE"}}));
    EXPECT_EQ(with("summed",
                   [](Evidence& changed) {
                       auto& model = changed.models[3];
                       double const factor =
                           *sum_of_parts_ms(changed, model) / model.whole_model->center_ms;
                       auto launches = model.whole_model->launches;
                       for (auto& launch : launches) {
                           launch.min_ms *= factor;
                           launch.median_ms *= factor;
                       }
                       model.whole_model = timing_of(std::move(launches));
                   }),
              (Verdicts{{"independent_truth", "FAIL"}}));
    EXPECT_EQ(with("noisy",
                   [](Evidence& changed) {
                       for (auto& model : changed.models) {
                           double shift = 0.55;
                           for (auto& launch : model.whole_model->launches) {
                               launch.min_ms *= shift;
                               launch.median_ms *= shift;
                               shift += 0.225;
                           }
                       }
                   }),
              (Verdicts{{"noise_floor", "FAIL"}}));
    EXPECT_EQ(with("unlike",
                   [](Evidence& changed) {
                       changed.models.back().role = ModelRole::held_out;
                       changed.models.back().cases = changed.models.front().cases;
                   }),
              (Verdicts{{"held_out_unseen", "FAIL"}}));
    EXPECT_EQ(with("scattered",
                   [](Evidence& changed) {
                       for (std::size_t m = 0; m < changed.models.size(); ++m) {
                           double const factor = m % 2 == 0 ? 1.5 : 1 / 1.5;
                           auto launches = changed.models[m].whole_model->launches;
                           for (auto& launch : launches) {
                               launch.min_ms *= factor;
                               launch.median_ms *= factor;
                           }
                           changed.models[m].whole_model = timing_of(std::move(launches));
                       }
                   }),
              // So much scatter leaves fifteen models too few to say the rest.
              (Verdicts{{"accuracy", "FAIL"},
                        {"bias", "INCONCLUSIVE"},
                        {"coverage", "INCONCLUSIVE"}}));
}

TEST_F(GateCommands, SwappedTypesAndAWrongPeakAreNotWhatTheEvidenceGives) {
    auto const good = read_calibration(curves("first"));
    auto const with = [&](char const* name, Calibration const& changed) {
        fs::copy(root / "first", root / name, fs::copy_options::recursive);
        write_atomically(curves(name), pretty_json(to_json(changed)));
        return not_passed(curves(name));
    };
    auto const curve_of = [](Calibration& calibration, OperationType type) -> EfficiencyCurve& {
        return *std::ranges::find(calibration.curves, type, &EfficiencyCurve::type);
    };
    auto swapped = good;
    std::swap(curve_of(swapped, OperationType::conv2d).type,
              curve_of(swapped, OperationType::conv2d_pointwise).type);
    EXPECT_EQ(with("swapped", swapped), (Verdicts{{"evidence_recomputes", "FAIL"}}));

    auto wrong_peak = good;
    wrong_peak.peak_flops->per_second *= 2;
    EXPECT_EQ(with("wrong_peak", wrong_peak), (Verdicts{{"evidence_recomputes", "FAIL"}}));
}

TEST_F(GateCommands, PromoteAcceptsAGoodCalibrationAndAnHonestRemeasurement) {
    auto const first = run(promote("first", "--reason 'first calibration'"));
    ASSERT_EQ(first.code, 0) << first.output;
    auto const again = run(promote("again", "--reason 'measured again'"));
    EXPECT_EQ(again.code, 0) << again.output;
    EXPECT_THAT(again.output, HasSubstr("Changes to"));
    auto const changelog = read_text(registry / "CHANGELOG.md");
    EXPECT_THAT(changelog, HasSubstr("cpu/simulated_cpu/efficiency_curves.json`: PASS"));
    EXPECT_THAT(changelog, HasSubstr("first calibration"));
    EXPECT_THAT(changelog, HasSubstr("measured again"));
    EXPECT_EQ(run("validate --calibration " +
                  (registry / "cpu/simulated_cpu/efficiency_curves.json").string())
                  .code,
              0);
    for (auto const& entry : fs::directory_iterator{registry / "cpu"}) {
        EXPECT_EQ(entry.path().filename(), "simulated_cpu");  // no temporary folder is left
    }
}

TEST_F(GateCommands, PromoteRefusesSamplesThatWereSlowedOnHalfOfTheModels) {
    ASSERT_EQ(run(promote("first")).code, 0);
    auto const before = content_of(registry);
    auto const outcome = run(promote("slowed", "--json --quiet --reason test --provisional"));
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    auto const json = nlohmann::json::parse(outcome.output);
    EXPECT_EQ(json.at("promoted"), false);
    // Only the comparison kernel by kernel sees it: fitted and left out, the slowed samples agree
    // with each other as well as honest ones do.
    for (auto const& rule : json.at("calibrations").at(0).at("rules")) {
        EXPECT_EQ(rule.at("verdict") == "FAIL", rule.at("rule") == "not_worse") << rule.dump();
    }
    EXPECT_EQ(content_of(registry), before);
}

TEST_F(GateCommands, PromoteTakesAnInconclusiveCalibrationOnlyAsProvisional) {
    auto const before = content_of(registry);
    EXPECT_EQ(run(promote("few")).code, 3);
    EXPECT_EQ(content_of(registry), before);
    auto const outcome = run(promote("few", "--reason test --provisional"));
    EXPECT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_THAT(read_text(registry / "CHANGELOG.md"), HasSubstr("INCONCLUSIVE, provisional"));
    auto const promoted = read_calibration(registry / "cpu/simulated_cpu/efficiency_curves.json");
    EXPECT_TRUE(promoted.provisional);
    ASSERT_FALSE(promoted.claims.empty());
    EXPECT_EQ(promoted.claims.front().verdict, "INCONCLUSIVE");
}

TEST_F(GateCommands, PromoteRecordsWhatTheGateFound) {
    ASSERT_EQ(run(promote("first")).code, 0);
    auto const rows =
        nlohmann::json::parse(run("list hardware --json --registry " + registry.string()).output);
    auto const ours = std::ranges::find_if(
        rows, [](auto const& row) { return row.at("hardware_id") == "simulated_cpu"; });
    ASSERT_NE(ours, rows.end());
    EXPECT_EQ(ours->at("verdict"), "PASS");
    EXPECT_GT(ours->at("mape_percent").template get<double>(), 0);
}

TEST_F(GateCommands, DryRunWritesNothing) {
    EXPECT_EQ(run(promote("first", "--reason test --dry-run")).code, 0);
    EXPECT_TRUE(fs::is_empty(registry));
}

TEST_F(GateCommands, PromoteKeepsWhatItDoesNotReplace) {
    fs::create_directories(registry / "cpu/simulated_cpu");
    std::ofstream{registry / "cpu/simulated_cpu/legacy_curves.json"} << "{}";
    ASSERT_EQ(run(promote("first")).code, 0);
    EXPECT_TRUE(fs::exists(registry / "cpu/simulated_cpu/legacy_curves.json"));
    EXPECT_TRUE(fs::exists(registry / "cpu/simulated_cpu/evidence/efficiency_curves.json.gz"));
}

TEST_F(GateCommands, TheSecondOfTwoPromotionsIsToldAndChangesNothing) {
    int const folder = ::open(registry.c_str(), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(::flock(folder, LOCK_EX), 0);
    auto const outcome = run(promote("first"));
    ::close(folder);
    EXPECT_EQ(outcome.code, 4) << outcome.output;
    EXPECT_TRUE(fs::is_empty(registry));
}

TEST_F(GateCommands, OfTwoPromotionsAtOnceOneWinsWhole) {
    auto other = std::async(std::launch::async, [this] { return run(promote("again")); });
    auto const one = run(promote("first"));
    auto const two = other.get();
    EXPECT_TRUE((one.code == 0 && two.code == 4) || (one.code == 4 && two.code == 0))
        << one.output << two.output;
    auto const winner = root / (one.code == 0 ? "first" : "again") / "cpu/simulated_cpu/evidence";
    EXPECT_EQ(content_of(registry / "cpu/simulated_cpu/evidence"), content_of(winner));
    auto const changelog = read_text(registry / "CHANGELOG.md");
    EXPECT_EQ(std::ranges::count(changelog, '`'), 2) << changelog;  // one line
}

TEST_F(GateCommands, PromoteRefusesNonsense) {
    EXPECT_EQ(run(promote("first", "")).code, 2);                  // no reason
    EXPECT_EQ(run(promote("first", "--reason ' '")).code, 2);      // an empty one
    EXPECT_EQ(run(promote("nothing", "--reason test")).code, 2);   // no such folder
    EXPECT_EQ(run(promote("registry", "--reason test")).code, 2);  // nothing staged in it
    EXPECT_EQ(run("promote " + (root / "first").string() + " --reason t --registry /no/such").code,
              2);
}

fs::path export_file(fs::path const& path, double scale_of_last, int repetitions = 5) {
    nlohmann::json rows = nlohmann::json::array();
    for (int c = 0; c < 6; ++c) {
        for (int r = 0; r < repetitions; ++r) {
            double const time = (c + 1) * (1 + 0.002 * r) * (c == 5 ? scale_of_last : 1);
            rows.push_back({{"name", "case_" + std::to_string(c)},
                            {"run_name", "case_" + std::to_string(c)},
                            {"run_type", "iteration"},
                            {"real_time", time},
                            {"time_unit", "us"}});
        }
        rows.push_back({{"name", "case_" + std::to_string(c) + "_mean"},
                        {"run_name", "case_" + std::to_string(c)},
                        {"run_type", "aggregate"},
                        {"real_time", 99},
                        {"time_unit", "us"}});
    }
    write_atomically(path,
                     nlohmann::json{{"context", {{"num_cpus", 2}}}, {"benchmarks", rows}}.dump());
    return path;
}

TEST_F(GateCommands, CompareTellsRegressionFromNoneAndFromCannotTell) {
    auto const same = export_file(root / "same.json", 1).string();
    auto const slower = export_file(root / "slower.json", 1.1).string();
    auto const once = export_file(root / "once.json", 1, 1).string();
    EXPECT_EQ(run("compare " + same + " " + same).code, 0);
    EXPECT_EQ(run("compare " + slower + " " + same).code, 0);  // faster is no regression
    EXPECT_EQ(run("compare " + same + " " + once).code, 3);
    auto const outcome = run("compare " + same + " " + slower);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("SLOWER"));
    EXPECT_THAT(outcome.output, HasSubstr("case_5"));
    auto const json = nlohmann::json::parse(run("compare --json " + same + " " + slower).output);
    EXPECT_NEAR(json.at("cases").at(0).at("ratio").get<double>(), 1.1, 1e-9);
}

TEST_F(GateCommands, CompareTakesCalibrations) {
    auto const outcome = run("compare " + curves("first") + " " + curves("again"));
    EXPECT_NE(outcome.code, 1) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr("predictions PASS"));
    EXPECT_EQ(run("compare " + curves("first") + " " + curves("slowed")).code, 1);
}

TEST_F(GateCommands, CompareRefusesNonsense) {
    std::ofstream{root / "empty.json"};
    std::ofstream{root / "other.json"} << "{\"a\": 1}";
    auto const same = export_file(root / "same.json", 1).string();
    EXPECT_EQ(run("compare " + same + " " + (root / "empty.json").string()).code, 2);
    EXPECT_EQ(run("compare " + same + " " + (root / "other.json").string()).code, 2);
    EXPECT_EQ(run("compare " + same + " /no/such.json").code, 2);
    EXPECT_EQ(run("compare --threshold 0 " + same + " " + same).code, 2);
}

}  // namespace
}  // namespace derate
