// derate validate, promote and compare as a person meets them: files in, exit code out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "calibration/fit_calibration.hpp"
#include "core/json/calibration_files.hpp"
#include "core/json/file.hpp"
#include "validation_tests/simulated_evidence.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
    int code = -1;
    std::string output;  ///< standard output and error
};

Outcome run(std::string const& arguments) {
    auto const command = std::string{DERATE_PROGRAM} + " " + arguments + " 2>&1";
    Outcome outcome;
    auto* pipe = ::popen(command.c_str(), "r");
    char buffer[4096];
    while (auto const n = std::fread(buffer, 1, sizeof buffer, pipe))
        outcome.output.append(buffer, n);
    outcome.code = WEXITSTATUS(::pclose(pipe));
    return outcome;
}

/// The tree that `derate calibrate` would stage on the simulated machine.
fs::path stage(fs::path const& folder, SimulatedMachine const& machine) {
    auto const evidence = simulate_evidence(machine);
    auto calibration = fit_calibration(evidence);
    calibration.hardware_id = evidence.hardware.id;
    calibration.provenance.tool_version = "0.1.0";
    calibration.provenance.origin = "simulated";
    calibration.provenance.date = evidence.campaigns.front().date;
    write_calibration(calibration, evidence, curve_file_in(folder, calibration));
    return folder;
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

    static constexpr int models = 30;
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
    EXPECT_GT(json.at("recommendations").at(0).at("seconds").get<double>(), 0);
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

TEST_F(GateCommands, ChangedEvidenceFails) {
    fs::copy(root / "first", root / "changed", fs::copy_options::recursive);
    std::ofstream{root / "changed/cpu/simulated_cpu/evidence/efficiency_curves.json.gz",
                  std::ios::app}
        << 'x';
    auto const outcome = run("validate --calibration " + curves("changed"));
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("another SHA-256"));
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
    auto const before = read_text(registry / "cpu/simulated_cpu/efficiency_curves.json");
    auto const outcome = run(promote("slowed", "--reason test --provisional"));
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr("not_worse"));
    EXPECT_EQ(read_text(registry / "cpu/simulated_cpu/efficiency_curves.json"), before);
    EXPECT_THAT(read_text(registry / "CHANGELOG.md"), Not(HasSubstr("slowed")));
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
