#include "storage/measurement_json.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;

json sparse_file() {
    return json::parse(R"({
      "format": "derate_measurement", "version": 1, "model": "tiny", "model_family": "toy",
      "batch": 4, "precision": "FP32",
      "hardware": {"id": "i7-12700K", "kind": "cpu", "name": "Intel Core i7-12700K",
        "last_level_cache_bytes": 26214400, "peak_bandwidth_bytes_per_s": 75e9, "power_mode": null,
        "peak_flops": 720e9, "peak_source": "as stated"},
      "source": {"origin": "elsewhere", "campaign": "B", "date": "2026-02-07T00:08:16",
        "file": "tiny_b4.json", "timing": "per node"},
      "whole_model_latency_ms": null,
      "subgraphs": [{
        "subgraph_id": 0, "fusion_pattern": "Conv2d_ReLU", "operation_type": "conv2d",
        "nodes": [{"name": "c", "op": "Conv2d", "input_shape": [4, 3, 8, 8],
          "output_shape": [4, 16, 8, 8],
          "attributes": {"in_channels": 3, "out_channels": 16, "kernel": [3, 3], "groups": 1}},
          {"name": "r", "op": "ReLU", "input_shape": null, "output_shape": null}],
        "flops": 225280, "bytes": {"input": 3072, "weights": 1728, "output": 16384},
        "measured_latency_ms": {"mean": 0.5, "std": 0.1, "min": 0.4, "max": 0.7, "samples": 50}}]
    })");
}

TEST(MeasurementJson, ReadsTheSparseForm) {
    auto const measurement = measurement_from_json(sparse_file(), "tiny.json");
    EXPECT_EQ(measurement.batch, 4);
    EXPECT_EQ(measurement.condition.partition, "foreign");
    EXPECT_TRUE(measurement.source.imported);
    EXPECT_FALSE(measurement.whole_model.has_value());
    EXPECT_DOUBLE_EQ(measurement.hardware.compute_peak(Precision::fp32)->per_second, 720e9);
    auto const& measured = measurement.subgraphs.at(0);
    EXPECT_EQ(measured.subgraph.type, OperationType::conv2d);
    EXPECT_DOUBLE_EQ(measured.subgraph.traffic.total().value(), 21184);
    EXPECT_EQ(std::get<double>(measured.subgraph.nodes.at(0).attributes.at("out_channels")), 16);
    EXPECT_TRUE(measured.subgraph.nodes.at(1).input_shape.empty());
    EXPECT_EQ(measured.isolated->statistic, CenterStatistic::mean);
    EXPECT_DOUBLE_EQ(measured.isolated->center_ms, 0.5);
}

TEST(MeasurementJson, ReadsAForeignViewThatMovesDataAsACopy) {
    auto file = sparse_file();
    auto& subgraph = file["subgraphs"][0];
    subgraph["operation_type"] = "meta";
    subgraph["bytes"] = {{"input", 7506}, {"weights", 0}, {"output", 38416}};
    auto const type = [&] {
        return measurement_from_json(file, "tiny.json").subgraphs.at(0).subgraph.type;
    };
    EXPECT_EQ(type(), OperationType::copy);
    subgraph["bytes"]["output"] = 7506;
    EXPECT_EQ(type(), OperationType::meta);
    subgraph["bytes"]["output"] = 38416;
    subgraph["descriptor"] = "derate's own taxonomy is kept";
    EXPECT_EQ(type(), OperationType::meta);
}

TEST(MeasurementJson, ReadsWhatItWrites) {
    auto measurement = measurement_from_json(sparse_file(), "tiny.json");
    auto const launch = [](double median) {
        return LaunchTimes{.times_ms = {.count = 3, .mean = median, .sum_squared_deviations = 0.02},
                           .lower_quartile_ms = median - 0.1,
                           .median_ms = median,
                           .upper_quartile_ms = median + 0.1,
                           .min_ms = median - 0.2,
                           .max_ms = median + 0.2,
                           .steady = true};
    };
    measurement.whole_model = timing_of({launch(2.0), launch(2.2)});
    measurement.subgraphs[0].isolated = timing_of({launch(1.0), launch(1.2)});
    measurement.condition.execution.threads = 2;
    measurement.hardware.compute_peaks[0].threads = 2;
    measurement.hardware.bandwidth_peaks[0].threads = 2;
    auto const written = to_json(measurement);
    auto const again = measurement_from_json(written, "again.json");
    EXPECT_EQ(to_json(again), written);
    EXPECT_EQ(again.whole_model, measurement.whole_model);
    EXPECT_EQ(again.subgraphs, measurement.subgraphs);
}

TEST(MeasurementJson, AnUnknownBatchIsNull) {
    auto measurement = measurement_from_json(sparse_file(), "tiny.json");
    measurement.batch.reset();
    auto const written = to_json(measurement);
    EXPECT_TRUE(written.at("batch").is_null());
    EXPECT_EQ(measurement_from_json(written, "again.json").batch, std::nullopt);
    EXPECT_EQ(model_label("gcn", std::nullopt), "gcn");
    EXPECT_EQ(model_in_words("gcn", std::nullopt), "gcn");
    EXPECT_EQ(model_in_words("gcn", 1), "gcn");
    EXPECT_EQ(model_in_words("gcn", 8), "gcn (batch 8)");
}

TEST(MeasurementJson, WritesTheRoadmapsRecord) {
    auto measurement = measurement_from_json(sparse_file(), "tiny.json");
    auto const record = to_json(measurement)["subgraphs"][0];
    // 225280 FLOP in 0.5 ms are 450.56 MFLOP/s, of 720 GFLOP/s.
    EXPECT_DOUBLE_EQ(record["achieved_flops"].get<double>(), 450560000.0);
    EXPECT_NEAR(record["efficiency"]["mean"].get<double>(), 6.2577777777777e-4, 1e-15);
    EXPECT_NEAR(record["efficiency"]["std"].get<double>(), 6.2577777777777e-4 * 0.2, 1e-15);
    EXPECT_TRUE(record["efficiency"]["ci_95_lower"].is_null());  // one launch says nothing
}

struct BadFile {
    std::string pointer;
    json value;
    std::string message;
};

TEST(MeasurementJson, NamesTheFirstFault) {
    std::vector<BadFile> const bad{
        {"/version", 2, "a.json#/version: is 2 (this program reads up to version 1)"},
        {"/format", "x", "a.json#/format: got \"x\" (\"derate_measurement\")"},
        {"/subgraphs/0/operation_type", "conv", "a.json#/subgraphs/0/operation_type: got \"conv\""},
        {"/subgraphs/0/flops", -1, "a.json#/subgraphs/0/flops: got -1 (must not be negative)"},
        {"/subgraphs/0/measured_latency_ms/mean", 1e-300,
         "a.json#/subgraphs/0/measured_latency_ms/mean: is no time (1e-18 to 1e18 ms)"},
        {"/subgraphs/0/flops", 1e300,
         "a.json#/subgraphs/0/flops: is out of the range of machines (up to 1e30)"},
        {"/subgraphs/0/measured_latency_ms/mean", 0,
         "a.json#/subgraphs/0/measured_latency_ms/mean: got 0 (must be positive)"},
        {"/subgraphs/0/nodes/0/input_shape/1", "3", "a.json#/subgraphs/0/nodes/0/input_shape"},
        {"/hardware/clock", 3, "a.json#/hardware/clock: is not a known field"},
        {"/batch", 0, "a.json#/batch: got 0 (at least 1)"},
    };
    for (auto const& [pointer, value, message] : bad) {
        auto file = sparse_file();
        file[json::json_pointer{pointer}] = value;
        try {
            (void)measurement_from_json(file, "a.json");
            ADD_FAILURE() << pointer << " was accepted";
        } catch (InputError const& error) {
            EXPECT_THAT(error.what(), testing::HasSubstr(message));
        }
    }
}

TEST(MeasurementJson, HoldsUnderTheDeviceOfItsHardware) {
    auto const file = std::filesystem::path{DERATE_SOURCE_DIR} / "docs/examples/resnet18_orin.json";
    auto const measurement = measurement_from_json(read_json(file), file.string());
    EXPECT_EQ(measurement.hardware.kind, DeviceKind::gpu);
    EXPECT_EQ(measurement.condition.execution.device, DeviceKind::gpu);
}

}  // namespace
}  // namespace derate
