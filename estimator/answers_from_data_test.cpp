// No efficiency lives in the estimator: scale the data and every answer scales, take the data away
// and every answer is the default file's. A number in the code would show in both.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "estimator/fallback_chain.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"
#include "storage/measurement_json.hpp"
#include "storage/registry.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

fs::path const registry = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";
constexpr double slower = 1.7;

std::vector<fs::path> shipped_curve_files() {
    std::vector<fs::path> files;
    for (auto const& entry : fs::recursive_directory_iterator{registry}) {
        if (entry.path().filename().string().find("_curves") != std::string::npos &&
            entry.path().extension() == ".json") {
            files.push_back(entry.path());
        }
    }
    std::ranges::sort(files);
    return files;
}

/// Subgraphs of a real model, and one of every type with and without FLOPs.
std::vector<Subgraph> subgraphs() {
    auto const path = fs::path{DERATE_SOURCE_DIR} / "docs/examples/resnet18_orin.json";
    std::vector<Subgraph> all;
    for (auto const& measured : measurement_from_json(read_json(path), path.string()).subgraphs) {
        all.push_back(measured.subgraph);
    }
    for (auto const type : all_operation_types) {
        for (double const flops : {0.0, 3e8}) {
            all.push_back({.id = static_cast<int>(all.size()),
                           .fusion_pattern = "Any",
                           .type = type,
                           .nodes = {{.name = "a", .op = "any"}},
                           .work = Flops{flops},
                           .traffic = {Bytes{2e6}, Bytes{1e5}, Bytes{3e6}}});
        }
    }
    return all;
}

/// Multiplies every time of a curve file by `slower` and divides every rate by it; what remains are
/// exponents, thresholds, shapes and variances.
void slow_down(nlohmann::json& value, std::string const& key) {
    if (value.is_object()) {
        for (auto const& [name, member] : value.items()) slow_down(member, name);
    } else if (value.is_array()) {
        for (auto& member : value) slow_down(member, key);
    } else if (value.is_number()) {
        auto const is = [&](std::initializer_list<char const*> names) {
            return std::ranges::find(names, key) != names.end();
        };
        if (is({"kernel_seconds", "flop_coefficient", "joined_flop_coefficient", "byte_coefficient",
                "cache_byte_seconds", "operator_seconds", "microseconds"})) {
            value = value.get<double>() * slower;
        } else if (is({"compute_efficiency", "bandwidth_efficiency", "start", "end"})) {
            value = value.get<double>() / slower;
        }
    }
}

ChainEstimate price(nlohmann::json const& document, fs::path const& file) {
    std::vector<Calibration> chain{calibration_from_json(document, file.string())};
    auto precision = chain.front().condition.precision;
    auto all = subgraphs();
    if (!holds_rules(chain.front())) {
        // What a measured file lacks a curve for, the next step of the chain would answer.
        std::erase_if(all, [&](Subgraph const& subgraph) {
            auto const& calibration = chain.front();
            return !calibration.parent_curves.contains("device") &&
                   std::ranges::none_of(calibration.curves, [&](EfficiencyCurve const& curve) {
                       return curve.type == subgraph.type;
                   });
        });
    }
    return FallbackChain{chain, std::nullopt, precision}.estimate(
        all, chain.front().condition.partition);
}

TEST(AnswersFromData, ScaleWithTheData) {
    auto const files = shipped_curve_files();
    EXPECT_GE(files.size(), 8U);
    for (auto const& file : files) {
        auto document = read_json(file);
        // Rules of other classes of hardware carry no rates: nothing is priced by them alone.
        if (document.contains("legacy_rules") && document["legacy_rules"]["rates"].empty())
            continue;
        auto const before = price(document, file);
        slow_down(document, "");
        auto const after = price(document, file);
        ASSERT_EQ(before.subgraphs.size(), after.subgraphs.size());
        EXPECT_FALSE(before.subgraphs.empty());
        for (std::size_t i = 0; i < before.subgraphs.size(); ++i) {
            EXPECT_NEAR(after.subgraphs[i].latency_ms / before.subgraphs[i].latency_ms, slower,
                        1e-9)
                << file << " subgraph " << i;
        }
        EXPECT_NEAR(after.total.latency_ms / before.total.latency_ms, slower, 1e-9) << file;
    }
}

TEST(AnswersFromData, WithAnEmptyRegistryAreTheDefaultFiles) {
    for (auto const kind : {DeviceKind::cpu, DeviceKind::gpu}) {
        auto const path =
            registry / "defaults" / std::string{to_string(kind)} / "efficiency_curves.json";
        auto const defaults = calibration_from_json(read_json(path), path.string());
        auto const& rules = *defaults.default_rules;
        HardwareEntry const nobody{.id = "nobody", .kind = kind, .default_files = {path}};
        std::vector<Calibration> chain;
        for (auto& registered : calibrations_for(nobody, {})) {
            chain.push_back(std::move(registered.calibration));
        }
        ASSERT_EQ(chain.size(), 1U);
        auto const all = subgraphs();
        auto const estimate =
            FallbackChain{chain, std::nullopt, Precision::fp32}.estimate(all, "derate_1");
        double const flops_per_second = rules.fallback_compute_peaks.front().rate.per_second;
        double const bytes_per_second = rules.fallback_bandwidth_peak->per_second;
        for (std::size_t i = 0; i < all.size(); ++i) {
            auto const type = all[i].type;
            auto rule = rules.rules.find(std::string{to_string(type)});
            if (rule == rules.rules.end()) {
                rule = rules.rules.find(std::string{to_string(parent_of(type))});
            }
            if (rule == rules.rules.end()) rule = rules.rules.find("any");
            auto const& [compute, bandwidth, kernel_seconds, log_variance] = rule->second;
            double const median = kernel_seconds * static_cast<double>(all[i].nodes.size()) +
                                  all[i].work.value() / (compute * flops_per_second) +
                                  all[i].traffic.total().value() / (bandwidth * bytes_per_second);
            double const expected_ms = 1e3 * median * std::exp(log_variance / 2);
            EXPECT_NEAR(estimate.subgraphs[i].latency_ms / expected_ms, 1, 1e-9)
                << path << " " << to_string(type) << " " << all[i].work.value();
            EXPECT_EQ(estimate.subgraphs[i].source, CurveSource::conservative_default);
        }
    }
}

}  // namespace
}  // namespace derate
