// The registry as a person meets it: what is listed, which registry wins, what an estimate says of
// where its numbers come from, and what may not be written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ctest/program_run.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

fs::path const shipped{DERATE_REGISTRY_FOLDER};
std::string const estimate_resnet18 = "estimate --model resnet18 ";
std::string const resnet18 = (fs::path{DERATE_EXAMPLES} / "resnet18_orin.json").string();

class RegistryCommands : public testing::Test {
  protected:
    struct Outcome : ProgramRun {
        std::string errors;  ///< standard error
        [[nodiscard]] json parsed() const { return json::parse(output, nullptr, false); }
    };

    /// \param environment  "NAME=value NAME=value", before the program
    Outcome run(std::string const& arguments, std::string const& environment = "") const {
        auto const errors = folder_ / "errors";
        // A registry of whoever runs the tests must not change them.
        auto const command = "env -u DERATE_REGISTRY -u DERATE_REGISTRY_ONLY XDG_DATA_HOME=" +
                             (folder_ / "nobody").string() + " " + environment + " " +
                             DERATE_PROGRAM + " " + arguments + " 2> " + errors.string();
        auto const ran = run_program(command);
        return {ran, read_text(errors)};
    }

    /// A registry below the test's folder that knows the legacy Orin, renamed on the device's side.
    fs::path registry_with(std::string const& root, std::string const& name) const {
        auto const place = folder_ / root / "gpu/jetson_orin_agx";
        fs::create_directories(place.parent_path());
        fs::copy(shipped / "gpu/jetson_orin_agx", place, fs::copy_options::recursive);
        auto hardware = read_json(place / "hardware.json");
        hardware["name"] = name;
        write_atomically(place / "hardware.json", pretty_json(hardware));
        return folder_ / root;
    }

    TemporaryFolder temporary_{"derate_commands_"};
    fs::path const folder_ = temporary_.path();
};

TEST_F(RegistryCommands, HardwareIsListedWithWhereItsNumbersComeFrom) {
    auto const outcome = run("list hardware --json");
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    auto const rows = outcome.parsed();
    ASSERT_TRUE(rows.is_array());
    std::vector<std::string> sources;
    for (auto const& row : rows) {
        for (auto const* field :
             {"hardware_id", "kind", "precision", "threads", "source", "date", "models",
              "mape_percent", "coverage_95", "noise_floor_percent", "verdict"}) {
            EXPECT_TRUE(row.contains(field)) << field << " in " << row.dump();
        }
        auto const source = row.at("source").get<std::string>();
        sources.push_back(source);
        bool const was_timed = source == "measured" || source == "imported";
        EXPECT_EQ(row.at("models").get<int>() > 0, was_timed) << row.dump();
        for (auto const* claimed :
             {"mape_percent", "coverage_95", "noise_floor_percent", "verdict"}) {
            EXPECT_EQ(!row.at(claimed).is_null(), was_timed) << claimed << " in " << row.dump();
        }
    }
    EXPECT_THAT(sources, testing::IsSupersetOf({"imported", "legacy_hardcoded", "measured"}));

    auto const text = run("list hardware").output;
    for (auto const* heading : {"hardware", "precision", "source", "verdict", "age", "models",
                                "MAPE", "noise floor", "coverage of 95 %"}) {
        EXPECT_THAT(text, HasSubstr(heading));
    }
}

TEST_F(RegistryCommands, GivenThenEnvironmentThenUserThenShipped) {
    auto const given = registry_with("given", "a");
    auto const named = registry_with("named", "b");
    registry_with("user/derate/hardware_registry", "c");
    std::string const user = "XDG_DATA_HOME=" + (folder_ / "user").string();
    std::string const environment = "DERATE_REGISTRY=" + named.string();
    auto const source = [&](std::string const& flags, std::string const& variables) {
        for (auto const& row : run("list hardware --json " + flags, variables).parsed()) {
            if (row.at("hardware_id") == "jetson_orin_agx")
                return row.at("file").get<std::string>();
        }
        return std::string{};
    };
    EXPECT_THAT(source("--registry " + given.string(), user + " " + environment),
                testing::StartsWith(given.string()));
    EXPECT_THAT(source("", user + " " + environment), testing::StartsWith(named.string()));
    EXPECT_THAT(source("", user), testing::StartsWith((folder_ / "user").string()));
    EXPECT_THAT(source("", ""), testing::StartsWith(shipped.string()));
}

TEST_F(RegistryCommands, TheWorkedLegacyExample) {
    std::string const command = "estimate --hardware jetson_orin_agx --model " + resnet18;
    auto const as_json = run(command + " --json");
    ASSERT_EQ(as_json.code, 0) << as_json.errors;
    auto const estimate = as_json.parsed();
    EXPECT_NEAR(estimate.at("latency_ms").get<double>(), 6.3466, 1e-4);
    EXPECT_EQ(estimate.at("source"), "legacy_hardcoded");
    EXPECT_TRUE(estimate.at("ci_95_lower_ms").is_null());
    EXPECT_TRUE(estimate.at("latency_std_ms").is_null());
    for (auto const& subgraph : estimate.at("subgraphs")) {
        EXPECT_EQ(subgraph.at("source"), "legacy_hardcoded");
    }
    // Each step down is said once, as a warning, with the way out.
    ASSERT_EQ(estimate.at("warnings").size(), 1U);
    EXPECT_THAT(as_json.errors, HasSubstr("warning"));
    EXPECT_THAT(as_json.errors, HasSubstr("Legacy rules are deprecated"));
    EXPECT_THAT(as_json.errors, HasSubstr("derate calibrate --hardware-name jetson_orin_agx"));
    EXPECT_EQ(as_json.errors.find("deprecated"), as_json.errors.rfind("deprecated"));

    auto const text = run(command).output;
    EXPECT_THAT(text, HasSubstr("interval unknown: legacy rules have no known spread"));
    EXPECT_THAT(text, HasSubstr("from legacy_hardcoded curves: 32 subgraphs"));
}

// The command that a person is sent to exists and judges the very file that answered.
TEST_F(RegistryCommands, AGradeSaysWhereItComesFrom) {
    for (auto const& [flags, command] :
         {std::pair{"--hardware kvm-amd-epyc-zen5-2c --threads 2",
                    "derate validate --hardware kvm-amd-epyc-zen5-2c --threads 2"},
          std::pair{"--hardware i7-12700K", "derate validate --hardware i7-12700K"}}) {
        auto const text = run(estimate_resnet18 + flags).output;
        EXPECT_THAT(text, HasSubstr(std::string{"why: "} + command + "\n"));
        auto const used = run(estimate_resnet18 + flags + " --json").parsed().at("calibrations").at(0);
        EXPECT_EQ(used.at("validate_command"), command);
    }
    auto const file = (shipped / "cpu/i7-12700K/efficiency_curves.json").string();
    EXPECT_THAT(run(estimate_resnet18 + "--calibration " + file).output,
                HasSubstr("why: derate validate --calibration " + file + "\n"));
    EXPECT_THAT(run(estimate_resnet18 + "--hardware i7-12700K --source imported").output,
                HasSubstr("why: derate validate --calibration " + file + "\n"))
        << "a source chosen among several is not what validate would choose";
}

TEST_F(RegistryCommands, AWideIntervalSaysWhoseItIs) {
    std::string const by_default = estimate_resnet18 + "--hardware i7-12700K --source default";
    EXPECT_THAT(run(by_default).output, HasSubstr("most of the width: what all kernels share "));
    EXPECT_TRUE(run(by_default + " --json").parsed().at("width_from").at(0).at("fusion_pattern").is_null());

    auto const unknown = "estimate --hardware kvm-intel-xeon-2c --model " +
                         (shipped.parent_path() / "workloads/testdata/unknown_large.json.gz").string();
    EXPECT_THAT(run(unknown).output, HasSubstr("most of the width: "));
    auto const document = run(unknown + " --json").parsed();
    ASSERT_FALSE(document.at("width_from").empty());
    double share = 0;
    for (auto const& source : document.at("width_from")) {
        for (auto const& id : source.at("subgraph_ids")) {
            auto const& subgraph = document.at("subgraphs").at(id.get<std::size_t>());
            EXPECT_EQ(subgraph.at("fusion_pattern"), source.at("fusion_pattern"));
            share -= subgraph.at("variance_share").get<double>();
        }
        share += source.at("variance_share").get<double>();
    }
    EXPECT_NEAR(share, 0, 1e-12);

    auto const narrow = run(estimate_resnet18 + "--hardware kvm-amd-epyc-zen5-2c");
    EXPECT_THAT(narrow.output, Not(HasSubstr("most of the width")));
    EXPECT_THAT(narrow.output, HasSubstr("+-"));
    EXPECT_THAT(run(estimate_resnet18 + "--hardware kvm-amd-epyc-zen5-2c --explain 20").output,
                HasSubstr("95 % prediction interval of it "));
    EXPECT_THAT(run(estimate_resnet18 + "--hardware jetson_orin_agx --explain 20").output,
                HasSubstr("interval of it not known\n"));
}

TEST_F(RegistryCommands, AllocatorDefaultIsNotOfferedWhereItIsRefused) {
    std::string const zen5 = estimate_resnet18 + "--hardware kvm-amd-epyc-zen5-2c";
    ASSERT_EQ(run(zen5 + " --allocator default").code, 2);
    EXPECT_THAT(run(zen5).output, AllOf(Not(HasSubstr("--allocator default")),
                                        HasSubstr("`derate calibrate` on that machine")));
}

TEST_F(RegistryCommands, AMeasurementIsPricedUnderTheAllocatorItWasTakenUnder) {
    auto measurement = read_json(resnet18);
    measurement["allocator"] = "default";
    auto const file = (folder_ / "untouched.json").string();
    write_atomically(file, measurement.dump());
    auto const priced = [&](std::string const& more) {
        return run("estimate --model " + file + " --hardware " + more + " --json");
    };
    auto const own = priced("kvm-intel-xeon-emeraldrapids-2c");
    ASSERT_EQ(own.code, 0) << own.errors;
    EXPECT_EQ(own.parsed().at("allocator"), "default");
    auto const pinned = priced("kvm-intel-xeon-emeraldrapids-2c --allocator pinned");
    EXPECT_EQ(pinned.parsed().at("allocator"), "pinned");
    EXPECT_GT(own.parsed().at("latency_ms"), pinned.parsed().at("latency_ms"));
    auto const refused = priced("kvm-amd-epyc-zen5-2c");
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.errors, AllOf(HasSubstr("untouched.json#/allocator: default: nothing of"),
                                      HasSubstr("--allocator pinned")));
}

TEST_F(RegistryCommands, AMeasurementFileIsInspectedWithItsTimes) {
    auto const text = run("inspect --model " + resnet18);
    EXPECT_EQ(text.code, 0) << text.errors;
    EXPECT_THAT(text.output, AllOf(HasSubstr("32 subgraphs"), HasSubstr("time alone")));
    auto const document = run("inspect --json --model " + resnet18).parsed();
    EXPECT_EQ(document.at("subgraphs").size(), 32U);
    EXPECT_GT(document.at("subgraphs").at(0).at("isolated_ms").get<double>(), 0);
}

TEST_F(RegistryCommands, LegacyPricesAShippedExportToo) {
    // Other operator names, the same rules: batch norms join their convolutions in both partitions,
    // so that the two prices differ by what a partition changes, not by a factor.
    auto const outcome =
        run("estimate --model resnet18 --hardware jetson_orin_agx --source legacy --json");
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    auto const estimate = outcome.parsed();
    EXPECT_EQ(estimate.at("source"), "legacy_hardcoded");
    EXPECT_GT(estimate.at("latency_ms").get<double>(), 6.3466 * 0.8);
    EXPECT_LT(estimate.at("latency_ms").get<double>(), 6.3466 * 1.25);
}

TEST_F(RegistryCommands, HardwareThatNobodyTimedGetsTheDefaultAndSaysSo) {
    auto const place = folder_ / "mine/gpu/my_gpu";
    fs::create_directories(place);
    auto hardware = read_json(shipped / "gpu/jetson_orin_agx/hardware.json");
    hardware["hardware_id"] = "my_gpu";
    write_atomically(place / "hardware.json", pretty_json(hardware));
    std::string const command = "estimate --hardware my_gpu --registry " +
                                (folder_ / "mine").string() + " --model " + resnet18;
    auto const outcome = run(command + " --json");
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    auto const estimate = outcome.parsed();
    EXPECT_EQ(estimate.at("source"), "default");
    EXPECT_GT(estimate.at("ci_95_upper_ms").get<double>(),
              4 * estimate.at("latency_ms").get<double>());
    ASSERT_EQ(estimate.at("warnings").size(), 1U);
    EXPECT_THAT(outcome.errors, HasSubstr("conservative default"));
    EXPECT_THAT(outcome.errors, HasSubstr("derate calibrate --hardware-name my_gpu"));
    auto const text = run(command).output;
    EXPECT_THAT(text, HasSubstr("from default curves: 32 subgraphs"));
    EXPECT_THAT(text, HasSubstr("95 % prediction interval"));

    // The same registry doctored: without defaults anywhere there is no answer.
    auto const nothing = run(command, "DERATE_REGISTRY_ONLY=1");
    EXPECT_EQ(nothing.code, 2);
    EXPECT_THAT(nothing.errors, HasSubstr("no registry has defaults"));
}

TEST_F(RegistryCommands, APrecisionThatWasNotTimedFallsToTheNextStepAlone) {
    auto const source_of = [&](std::string const& precision) {
        auto const outcome = run("estimate --hardware i7-12700K --precision " + precision +
                                 " --json --model " + resnet18);
        return outcome.code == 0 ? outcome.parsed().at("source").get<std::string>()
                                 : outcome.errors;
    };
    EXPECT_EQ(source_of("fp32"), "imported");
    EXPECT_EQ(source_of("fp16"), "legacy_hardcoded");
    EXPECT_EQ(source_of("bf16"), "default");
}

TEST_F(RegistryCommands, NothingIsWrittenIntoTheShippedTreeButByPromote) {
    auto const before = fs::last_write_time(shipped / "gpu");
    for (std::string const& command :
         {"aggregate --input " + resnet18 + " --output " + shipped.string(),
          "aggregate --input " + resnet18 + " --output " +
              (shipped / "gpu/new/efficiency_curves.json").string(),
          "calibrate --quick --output " + (shipped / "cpu").string(),
          "measure --model resnet18 --output " + (shipped / "cpu/new/resnet18.json").string()}) {
        auto const outcome = run(command);
        EXPECT_EQ(outcome.code, 2) << command;
        EXPECT_EQ(outcome.output, "") << command;
        EXPECT_THAT(outcome.errors, HasSubstr("lies in the shipped registry")) << command;
        EXPECT_THAT(outcome.errors, HasSubstr("`derate promote`")) << command;
    }
    EXPECT_FALSE(fs::exists(shipped / "gpu/new"));
    EXPECT_FALSE(fs::exists(shipped / "cpu/new"));
    EXPECT_EQ(fs::last_write_time(shipped / "gpu"), before);
}

TEST_F(RegistryCommands, AggregateRecordsWhatItsCurvesAreWorth) {
    // One model cannot be left out and predicted by others: no claim is made up.
    auto const outcome =
        run("aggregate --input " + resnet18 + " --json --output " + (folder_ / "staged").string());
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_TRUE(outcome.parsed().at("claims").empty());

    auto const stated =
        run("aggregate --input " + resnet18 + " --output " + (folder_ / "stated").string() +
            " --noise-floor 3.5 --noise-floor-source 'a study of ours'");
    ASSERT_EQ(stated.code, 0) << stated.errors;
    EXPECT_THAT(stated.output, HasSubstr("noise floor 3.5 % (as stated: a study of ours)"));
    auto const alone = run("aggregate --input " + resnet18 + " --noise-floor 3.5 --output " +
                           (folder_ / "alone").string());
    EXPECT_EQ(alone.code, 2);
    EXPECT_THAT(alone.errors, HasSubstr("--noise-floor-source"));
}

}  // namespace
}  // namespace derate
