// What derate aggregate writes is read by the other commands, and what is wrong with the input's
// peaks is said by all that show efficiencies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "ctest/program_run.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class AggregateCommand : public testing::Test {
  protected:
    /// Standard error stands in the output besides.
    static ProgramRun run(std::string const& arguments) {
        return run_program(std::string{DERATE_PROGRAM} + " " + arguments + " 2>&1");
    }

    /// A sparse file as other projects write them.
    std::string written(std::string const& name, json const& subgraphs) const {
        json const document{
            {"format", "derate_measurement"},
            {"version", 1},
            {"model", name},
            {"model_family", name},
            {"batch", 1},
            {"precision", "FP32"},
            {"threads", 1},
            {"hardware",
             {{"id", "cpu-x"},
              {"kind", "cpu"},
              {"name", "CPU X"},
              {"peak_flops", 1e11},
              {"peak_bandwidth_bytes_per_s", 2e10},
              {"peak_source", "data sheet"}}},
            {"source",
             {{"origin", "synthetic"},
              {"campaign", "c"},
              {"date", "2026-01-01"},
              {"file", name},
              {"timing", "none"}}},
            {"whole_model_latency_ms", {{"mean", 5.0 * subgraphs.size()}, {"samples", 9}}},
            {"subgraphs", subgraphs}};
        auto const path = folder_ / (name + ".json");
        write_atomically(path, document.dump());
        return path.string();
    }

    static json kernel(int id, std::string const& type, double flops, double bytes, double ms) {
        return {{"subgraph_id", id},
                {"fusion_pattern", type},
                {"operation_type", type},
                {"flops", flops},
                {"bytes", {{"input", bytes / 2}, {"weights", 0}, {"output", bytes / 2}}},
                {"nodes", {{{"name", "n"}, {"op", type}}}},
                {"measured_latency_ms", {{"mean", ms}, {"std", 0.01 * ms}, {"samples", 9}}}};
    }

    TemporaryFolder temporary_{"derate_aggregate_"};
    fs::path const folder_ = temporary_.path();
};

TEST_F(AggregateCommand, ACurveWhoseKnotWouldBeNegativePassesTheCheck) {
    fs::path const data{DERATE_CLI_TEST_DATA};
    auto const curves = (folder_ / "out.json").string();
    auto const ran = run("aggregate --output " + curves + " --input " +
                         (data / "negative_knot_m1.json").string() + " " +
                         (data / "negative_knot_m4.json").string());
    ASSERT_EQ(ran.code, 0) << ran.output;
    auto const checked = run("check " + curves);
    EXPECT_EQ(checked.code, 0) << checked.output;
}

TEST_F(AggregateCommand, WhatItWritesPassesTheCheck) {
    for (unsigned seed = 0; seed < 6; ++seed) {
        std::mt19937_64 random{seed};
        std::normal_distribution<double> normal;
        std::uniform_real_distribution<double> uniform;
        std::string inputs;
        for (int m = 0; m < 2 + static_cast<int>(seed % 3); ++m) {
            json subgraphs = json::array();
            for (int k = 0; k < 5; ++k) {
                bool const pool = uniform(random) < 0.3;
                double const flops = pool ? 0 : std::pow(10, 5 + 5 * uniform(random));
                double const bytes = std::pow(10, 4 + 4 * uniform(random));
                double const ms = (flops / 3e10 + bytes / 1e10 + 5e-6) * 1e3;
                subgraphs.push_back(kernel(k, pool ? "pool" : "conv2d", flops, bytes,
                                           ms * std::exp(1.5 * normal(random))));
            }
            inputs += " " + written("m" + std::to_string(m), subgraphs);
        }
        auto const curves = (folder_ / "out.json").string();
        auto const ran = run("aggregate --output " + curves + " --input" + inputs);
        ASSERT_EQ(ran.code, 0) << seed << ran.output;
        auto const checked = run("check " + curves);
        EXPECT_EQ(checked.code, 0) << seed << checked.output;
    }
}

TEST_F(AggregateCommand, CurvesOfAGpuAreStagedAsAGpus) {
    auto const evidence = std::string{DERATE_REGISTRY_FOLDER} +
                          "/gpu/jetson-orin-agx-maxn/evidence/efficiency_curves_fp16.json.gz";
    auto const staged = folder_ / "staged";
    auto const ran = run("aggregate --input " + evidence + " --output " + staged.string());
    ASSERT_EQ(ran.code, 0) << ran.output;
    EXPECT_TRUE(std::filesystem::exists(staged /
                                        "gpu/jetson-orin-agx-maxn/efficiency_curves_fp16.json"));
    auto const checked = run("check " + staged.string());
    EXPECT_EQ(checked.code, 0) << checked.output;
}

// 3e8 FLOP in 1 ms are 300 GFLOP/s of stated 100, 1e8 bytes in 2.5 ms 40 GB/s of stated 20.
TEST_F(AggregateCommand, ARateAboveThePeakIsSaidByAllThatShowEfficiencies) {
    std::string inputs;
    for (std::string const name : {"a", "b", "c"}) {
        inputs += " " + written(name, {kernel(0, "conv2d", 3e8, 1e6, name == "b" ? 1 : 9),
                                       kernel(1, "conv2d", 1e8, 1e6, 4),
                                       kernel(2, "pool", 0, 1e8, name == "a" ? 2.5 : 25)});
    }
    auto const curves = (folder_ / "out.json").string();
    auto const compute =
        "1 of 6 kernels run above the stated compute peak of 100 GFLOP/s, up to 3.0 times (b/1/0)";
    auto const bandwidth = "1 of 3 kernels run above the stated bandwidth of 20.0 GB/s, up to 2.0 times "
                           "(a/1/2)";
    auto const aggregated = run("aggregate --output " + curves + " --input" + inputs);
    ASSERT_EQ(aggregated.code, 0) << aggregated.output;
    for (auto const& said : {aggregated.output, run("analyze --calibration " + curves).output,
                             run("audit --calibration " + curves).output}) {
        // Text is wrapped for terminals.
        std::string flat = said;
        std::ranges::replace(flat, '\n', ' ');
        EXPECT_THAT(flat, HasSubstr(compute));
        EXPECT_THAT(flat, HasSubstr(bandwidth));
    }
    auto const json_of = json::parse(
        run_program(std::string{DERATE_PROGRAM} + " analyze --json --calibration " + curves).output);
    EXPECT_EQ(json_of.at("rates_above_peak").size(), 2U);
    // At a tenth of the speed nothing is above.
    std::string slower;
    for (std::string const name : {"d", "e"}) {
        slower += " " + written(name, {kernel(0, "conv2d", 3e8, 1e6, 30), kernel(1, "pool", 0, 1e8, 25)});
    }
    EXPECT_THAT(run("aggregate --output " + curves + " --input" + slower).output,
                Not(HasSubstr("above the stated")));
}

}  // namespace
}  // namespace derate
