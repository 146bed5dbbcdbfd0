#include "estimator/legacy_latency.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/quantity.hpp"
#include "storage/file.hpp"
#include "storage/legacy_rules_json.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

fs::path const registry = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";

LegacyRules rules_of(char const* file) {
    auto const path = registry / file;
    return legacy_rules_from_json(read_json(path).at("legacy_rules"), path.string());
}

LegacyRules const& orin() {
    static auto const rules = rules_of("gpu/jetson_orin_agx/efficiency_curves.json");
    return rules;
}

LegacyRules const& i7() {
    static auto const rules = rules_of("cpu/i7-12700K/legacy_curves.json");
    return rules;
}

nlohmann::json const& original() {
    static auto const json = read_json(fs::path{DERATE_TEST_DATA} / "legacy_original.json");
    return json;
}

Measurement resnet18() {
    return measurement_from_json(
        read_json(fs::path{DERATE_SOURCE_DIR} / "docs/examples/resnet18_orin.json"),
        "resnet18_orin.json");
}

Subgraph subgraph_of(nlohmann::json const& entry) {
    Subgraph subgraph{.fusion_pattern = entry.at("fusion_pattern"),
                      .work = Flops{entry.at("flops").get<double>()},
                      .traffic = {.input = Bytes{entry.at("bytes").at(0).get<double>()},
                                  .weights = Bytes{entry.at("bytes").at(1).get<double>()},
                                  .output = Bytes{entry.at("bytes").at(2).get<double>()}}};
    for (auto const& node : entry.at("nodes")) {
        SubgraphNode copy{.name = node.at("name"), .op = node.at("op")};
        if (node.contains("attributes")) {
            for (auto const& [key, value] : node.at("attributes").items()) {
                if (value.is_array()) {
                    copy.attributes.emplace(key, value.get<std::vector<double>>());
                } else {
                    copy.attributes.emplace(key, value.get<double>());
                }
            }
        }
        subgraph.nodes.push_back(std::move(copy));
    }
    return subgraph;
}

constexpr LegacyRoof unit_roof{.flops_per_second = 1, .bytes_per_second = 1};

TEST(LegacyScales, EqualTheOriginalOnEveryCheckVector) {
    int checked = 0;
    auto const check = [&](std::vector<LegacyScale> const& scales) {
        for (auto const& scale : scales) {
            if (!original().at("scales").contains(scale.id)) continue;
            for (auto const& pair : original().at("scales").at(scale.id)) {
                double const work = pair.at(0);
                EXPECT_NEAR(scale_at(scale, work).value(), pair.at(1).get<double>(), 1e-12)
                    << scale.id << " at " << work;
                ++checked;
            }
        }
    };
    check(orin().compute_scales);
    check(orin().bandwidth_scales);
    check(i7().compute_scales);
    EXPECT_GT(checked, 200);
}

TEST(LegacyScales, KeepTheJumpsOfTheOriginal) {
    auto const at = [](char const* id, double work) {
        for (auto const& scale : orin().compute_scales) {
            if (scale.id == id) return scale_at(scale, work).value();
        }
        return 0.0;
    };
    EXPECT_NEAR(at("gpu.compute.conv_nobn", 49'999'999), 0.1998, 1e-4);
    EXPECT_NEAR(at("gpu.compute.conv_nobn", 50'000'000), 0.6, 1e-12);
    EXPECT_NEAR(at("gpu.compute.other", 499'999'999), 1.1486, 1e-4);  // downward
    EXPECT_NEAR(at("gpu.compute.other", 500'000'000), 0.9, 1e-12);
}

TEST(LegacyLatency, AnswersAsTheOriginalForEveryClassOfHardware) {
    std::pair<char const*, LegacyRules> const classes[]{
        {"GPU", orin()},
        {"CPU", i7()},
        {"TPU", rules_of("defaults/tpu/legacy_curves.json")},
        {"KPU", rules_of("defaults/other/legacy_curves.json")},
    };
    for (auto const& [name, rules] : classes) {
        for (auto const& entry : original().at("cases")) {
            auto const subgraph = subgraph_of(entry);
            auto const latency = legacy_latency(rules, subgraph, unit_roof, "foreign");
            auto const& expected = entry.at("original").at(name);
            double const correction = expected.at(2);
            SCOPED_TRACE(std::string{name} + " " + entry.at("fusion_pattern").get<std::string>());
            EXPECT_NEAR(latency.compute_scale, expected.at(0).get<double>(), 1e-12);
            EXPECT_NEAR(latency.bandwidth_scale, expected.at(1).get<double>(), 1e-12);
            EXPECT_NEAR(latency.overhead_ms, expected.at(3).get<double>() * ms_per_second, 1e-12);
            EXPECT_DOUBLE_EQ(latency.compute_ms * latency.compute_scale,
                             subgraph.work.value() * correction * ms_per_second);
        }
    }
}

TEST(LegacyLatency, Resnet18OnTheOrinIsTheWorkedExample) {
    auto const model = resnet18();
    auto const roof = legacy_roof(orin(), Precision::fp32).value();
    EXPECT_EQ(roof.flops_per_second, 958.464e9);
    auto const& expected = original().at("resnet18").at("subgraphs");
    ASSERT_EQ(model.subgraphs.size(), expected.size());
    double total_ms = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        auto const latency =
            legacy_latency(orin(), model.subgraphs[i].subgraph, roof, model.condition.partition);
        EXPECT_NEAR(latency.compute_ms * 1e3, expected[i].at("compute_us").get<double>(), 6e-4);
        EXPECT_NEAR(latency.memory_ms * 1e3, expected[i].at("memory_us").get<double>(), 6e-4);
        EXPECT_NEAR(latency.overhead_ms * 1e3, expected[i].at("overhead_us").get<double>(), 1e-9);
        total_ms += latency.latency_ms;
    }
    EXPECT_NEAR(total_ms, 6.3466, 1e-4);
}

TEST(LegacyLatency, I7ScalesOneCurveForEverything) {
    auto const roof = legacy_roof(i7(), Precision::fp32).value();
    // 231211008 FLOP: 0.7 + 0.3 (log10(231211008) - 8) = 0.809203; over 360 GFLOP/s 0.793686 ms.
    Subgraph const conv{.work = Flops{231211008}, .traffic = {.input = Bytes{1}}};
    auto const latency = legacy_latency(i7(), conv, roof, "foreign");
    EXPECT_NEAR(latency.latency_ms, 0.793686, 1e-6);
    EXPECT_EQ(latency.overhead_ms, 0);
    // 3 MB at half of 75 GB/s: 0.08 ms.
    Subgraph const copy{.traffic = {.input = Bytes{3e6}}};
    EXPECT_NEAR(legacy_latency(i7(), copy, roof, "foreign").latency_ms, 0.08, 1e-12);

    double total_ms = 0;
    for (auto const& measured : resnet18().subgraphs) {
        total_ms += legacy_latency(i7(), measured.subgraph, roof, "foreign").latency_ms;
    }
    EXPECT_NEAR(total_ms, 13.229236251446721, 1e-9);  // the curve's formula in Python
}

SubgraphNode node(char const* op, char const* name) { return {.name = name, .op = op}; }

SubgraphNode conv(char const* name, double groups, double kernel) {
    return {.name = name,
            .op = "Conv2d",
            .attributes = {{"groups", groups},
                           {"in_channels", 32.0},
                           {"kernel", std::vector<double>{kernel, kernel}}}};
}

struct OverheadCase {
    char const* what;
    std::vector<SubgraphNode> nodes;
    char const* pattern;
    double flops;
    double microseconds;
};

TEST(LegacyOverhead, EachRuleInItsOrder) {
    OverheadCase const cases[]{
        {"every kernel", {node("ReLU", "relu")}, "Unfused", 1e6, 5},
        {"hardswish by type", {node("Hardswish", "act")}, "Unfused", 1e6, 100},
        {"hardswish by pattern", {conv("c", 1, 3)}, "Conv2d_Hardswish", 1e7, 100},
        {"hardsigmoid by name", {node("ReLU", "block_Hardsigmoid")}, "Unfused", 1e6, 100},
        {"gate of squeeze and excite", {node("Sigmoid", "scale_activation")}, "Unfused", 1e6, 100},
        {"squeeze",
         {node("AdaptiveAvgPool2d", "avgpool"), conv("fc1", 1, 1)},
         "AdaptiveAvgPool2d_Conv2d",
         1e4,
         200},
        {"squeeze ending in mul: unknown resets, pointwise raises",
         {node("AdaptiveAvgPool2d", "avgpool"), conv("fc1", 1, 1), node("mul", "mul")},
         "AdaptiveAvgPool2d_Conv2d_mul",
         1e4,
         150},
        {"unknown", {node("add", "add_3"), node("ReLU", "relu")}, "add_ReLU", 5e4, 15},
        {"unknown hardsigmoid", {node("Hardsigmoid", "x_scale_activation")}, "Unfused", 1e6, 100},
        {"small mul", {node("mul", "mul_1")}, "Unfused", 5e4, 100},
        {"mul from 1e5 on", {node("mul", "mul_1")}, "Unfused", 1e5, 15},
        {"window before getitem", {node("getitem", "window_getitem")}, "Unfused", 0, 50},
        {"swap", {node("swapaxes", "swapaxes_2")}, "Unfused", 0, 50},
        {"grid", {node("reshape", "grid_partition")}, "Unfused", 0, 50},
        {"softmax function", {node("softmax", "softmax")}, "Unfused", 0, 30},
        {"floordiv", {node("floordiv", "floordiv_1")}, "Unfused", 0, 25},
        {"getattr", {node("getattr", "getattr_1")}, "Unfused", 0, 25},
        {"chunk", {node("chunk", "chunk")}, "Unfused", 0, 30},
        {"tiny pointwise", {conv("c", 1, 1)}, "Unfused", 1e6 - 1, 150},
        {"small pointwise", {conv("c", 1, 1)}, "Unfused", 1e6, 100},
        {"pointwise from 5e6 on", {conv("c", 1, 1)}, "Unfused", 5e6, 5},
        {"small depthwise", {conv("c", 32, 3)}, "Unfused", 2e6 - 1, 150},
        {"depthwise from 2e6 on", {conv("c", 32, 3)}, "Unfused", 2e6, 75},
        {"hardswish and depthwise: not lowered",
         {conv("c", 32, 3), node("Hardswish", "h")},
         "Conv2d_Hardswish",
         4e6,
         100},
        {"only the first node's name counts",
         {node("ReLU", "relu"), node("add", "softmax")},
         "ReLU_add",
         1e3,
         15},
    };
    for (auto const& entry : cases) {
        Subgraph const subgraph{.fusion_pattern = entry.pattern,
                                .nodes = entry.nodes,
                                .work = Flops{entry.flops},
                                .traffic = {.input = Bytes{1e4}}};
        EXPECT_NEAR(legacy_latency(orin(), subgraph, unit_roof, "foreign").overhead_ms,
                    entry.microseconds * 1e-3, 1e-15)
            << entry.what;
    }
}

TEST(LegacyLatency, TpuCorrectionHasThreeSteps) {
    auto const rules = rules_of("defaults/tpu/legacy_curves.json");
    auto const factor = [&](double flops) {
        return legacy_latency(rules, {.work = Flops{flops}}, {1e3, 1}, "foreign").compute_ms /
               flops;
    };
    EXPECT_DOUBLE_EQ(factor(1e7 - 1), 10);
    EXPECT_DOUBLE_EQ(factor(1e7), 4);
    EXPECT_DOUBLE_EQ(factor(1e8), 2);
    EXPECT_DOUBLE_EQ(factor(5e8), 1);
}

TEST(LegacyLatency, ReadsOperatorNamesByPartition) {
    // A batch norm joins its convolution in both spellings; a functional pool is UNKNOWN only in
    // the original's.
    Subgraph subgraph{.fusion_pattern = "Unfused", .nodes = {node("adaptive_avg_pool2d", "pool")}};
    EXPECT_NEAR(legacy_latency(orin(), subgraph, unit_roof, "derate_1").overhead_ms, 0.005, 1e-15);
    EXPECT_NEAR(legacy_latency(orin(), subgraph, unit_roof, "other").overhead_ms, 0.015, 1e-15);
}

TEST(LegacyRate, FollowsTheOriginalsChain) {
    EXPECT_EQ(legacy_roof(orin(), Precision::bf16)->flops_per_second, 2.6624e12);
    EXPECT_EQ(legacy_roof(i7(), Precision::fp16)->flops_per_second, 1.8e9);
    EXPECT_EQ(legacy_roof(i7(), Precision::bf16), std::nullopt);
    for (auto const* rules : {&orin(), &i7()}) {
        for (auto const& rate : rules->rates) {
            if (!rate.sustained_flops_per_second) continue;
            double const product = *rate.sustained_flops_per_second * *rate.efficiency_factor *
                                   *rate.tile_utilization * rate.emulation_factor.value_or(1);
            EXPECT_NEAR(rate.flops_per_second / product, 1, 1e-12) << rate.profile;
        }
    }
}

TEST(LegacyRulesJson, ReadWriteReadGivesTheSameLatency) {
    for (auto const* rules : {&orin(), &i7()}) {
        auto const again = legacy_rules_from_json(to_json(*rules), "again");
        EXPECT_EQ(again, *rules);
        for (auto const& measured : resnet18().subgraphs) {
            EXPECT_EQ(legacy_latency(again, measured.subgraph, unit_roof, "foreign").latency_ms,
                      legacy_latency(*rules, measured.subgraph, unit_roof, "foreign").latency_ms);
        }
    }
}

}  // namespace
}  // namespace derate
