#include "validation_tests/simulated_evidence.hpp"

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace derate {
namespace {

constexpr int launches = 5;
constexpr int families = 10;
constexpr double ms_per_unit = 1e3;

/// Seconds per kernel, FLOP and byte of one type.
struct SimulatedType {
    OperationType type;
    char const* pattern;
    char const* op;
    double per_kernel;
    double per_flop;
    double per_byte;
};

constexpr std::array types{
    SimulatedType{OperationType::conv2d, "Conv2d_ReLU", "conv2d", 5e-6, 1.0 / 90e9, 1.0 / 12e9},
    SimulatedType{OperationType::conv2d_pointwise, "Conv2d", "conv2d", 5e-6, 1.0 / 60e9,
                  1.0 / 12e9},
    SimulatedType{OperationType::linear, "Linear", "linear", 4e-6, 1.0 / 50e9, 1.0 / 10e9},
    SimulatedType{OperationType::activation, "ReLU", "relu", 3e-6, 1.0 / 30e9, 1.0 / 9e9},
    SimulatedType{OperationType::norm, "BatchNorm2d", "batch_norm", 4e-6, 1.0 / 30e9, 1.0 / 8e9},
    SimulatedType{OperationType::pool, "MaxPool2d", "max_pool2d", 4e-6, 1.0 / 10e9, 1.0 / 8e9},
};

class Draws {
  public:
    explicit Draws(std::uint64_t seed) : generator_{seed} {}
    double uniform() { return (static_cast<double>(generator_() >> 11) + 0.5) * 0x1p-53; }
    double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform()); }
    std::size_t below(std::size_t count) { return generator_() % count; }

  private:
    std::mt19937_64 generator_;
};

/// One of the shapes that models are made of.
Subgraph make_subgraph(SimulatedType const& type, int shape) {
    std::int64_t const channels = std::int64_t{16} << (shape % 5);
    std::int64_t const size = 112 >> (shape % 4);
    bool const convolution =
        type.type == OperationType::conv2d || type.type == OperationType::conv2d_pointwise;
    std::int64_t const kernel = type.type == OperationType::conv2d ? 3 : 1;
    Subgraph subgraph;
    subgraph.type = type.type;
    subgraph.fusion_pattern = type.pattern;
    subgraph.descriptor =
        std::string{to_string(type.type)} + ";simulated shape " + std::to_string(shape);
    SubgraphNode node{.name = "n0", .op = type.op};
    double const elements = static_cast<double>(channels * size * size);
    if (type.type == OperationType::linear) {
        std::int64_t const rows = 64 + 32 * (shape % 3);
        node.input_shape = {rows, channels * 8};
        node.output_shape = {rows, channels * 16};
        subgraph.work = Flops{2.0 * static_cast<double>(rows * channels * 8 * channels * 16)};
        subgraph.traffic = {Bytes{4.0 * static_cast<double>(rows * channels * 8)},
                            Bytes{4.0 * static_cast<double>(channels * 8 * channels * 16)},
                            Bytes{4.0 * static_cast<double>(rows * channels * 16)}};
    } else {
        node.input_shape = {1, channels, size, size};
        node.output_shape = {1, channels, size, size};
        double const weights =
            convolution ? static_cast<double>(channels * channels * kernel * kernel) : 0;
        subgraph.work =
            Flops{convolution ? 2 * weights * static_cast<double>(size * size) : 2 * elements};
        subgraph.traffic = {Bytes{4 * elements}, Bytes{4 * weights}, Bytes{4 * elements}};
    }
    subgraph.nodes.push_back(std::move(node));
    return subgraph;
}

Timing timed(double center_ms, double spread, Draws& draws) {
    std::vector<LaunchTimes> all;
    for (int k = 0; k < launches; ++k) {
        double const median = center_ms * std::exp(spread * draws.normal());
        all.push_back({.times_ms = {.count = 10,
                                    .mean = median,
                                    .sum_squared_deviations = 9 * std::pow(0.01 * median, 2)},
                       .lower_quartile_ms = 0.99 * median,
                       .median_ms = median,
                       .upper_quartile_ms = 1.01 * median,
                       .min_ms = 0.97 * median,
                       .max_ms = 1.05 * median,
                       .steady = true,
                       .launch = k});
    }
    return timing_of(std::move(all));
}

}  // namespace

Evidence simulate_evidence(SimulatedMachine const& machine) {
    Draws shapes{machine.seed};
    Draws noise{machine.seed * 1000 + static_cast<std::uint64_t>(machine.campaign)};
    Evidence evidence;
    evidence.hardware.id = "simulated_cpu";
    evidence.hardware.name = "Simulated CPU";
    evidence.hardware.compute_peaks = {
        {Precision::fp32, 1, {.per_second = 100e9, .source = "measured", .method = "simulated"}}};
    evidence.hardware.bandwidth_peaks = {
        {1, {.per_second = 15e9, .source = "measured", .method = "simulated"}}};
    evidence.hardware.last_level_cache_bytes = 32e6;
    evidence.condition.execution.threads = 1;
    evidence.condition.cache_state = CacheState::cold_all;
    evidence.condition.partition = "derate_1";
    evidence.condition.flop_rule = "derate_1";
    evidence.campaigns = {{.id = "campaign " + std::to_string(machine.campaign),
                           .date = "2026-01-0" + std::to_string(machine.campaign) + "T00:00:00Z",
                           .origin = "simulated",
                           .environment_hash = std::string(64, 'e'),
                           .trust_grade = "B"}};

    struct Kernel {
        int index;
        double ms;  // before any slowdown
    };
    std::map<std::string, Kernel> timed_kernels;
    for (int m = 0; m < machine.models; ++m) {
        bool const slowed = m % 2 == 0;
        double const slowdown = slowed ? 1 + machine.slowed_percent / 100 : 1;
        EvidenceModel model{.name = "model_" + std::to_string(m),
                            .family = "family_" + std::to_string(m % families)};
        double total_ms = 0;
        for (int position = 0; position < 24; ++position) {
            auto const& type = types[shapes.below(types.size())];
            auto subgraph = make_subgraph(type, static_cast<int>(shapes.below(20)));
            double const own_factor =
                std::exp(0.08 * Draws{std::hash<std::string>{}(subgraph.descriptor)}.normal());
            if (!timed_kernels.contains(subgraph.descriptor)) {
                double const seconds = type.per_kernel + subgraph.work.value() * type.per_flop +
                                       subgraph.traffic.total().value() * type.per_byte;
                double const ms =
                    seconds * ms_per_unit * own_factor * std::exp(0.02 * noise.normal()) * slowdown;
                EvidenceCase one;
                one.subgraph = subgraph;
                one.timing = timed(ms, 0.01, noise);
                timed_kernels[subgraph.descriptor] = {static_cast<int>(evidence.cases.size()), ms};
                evidence.cases.push_back(std::move(one));
            }
            auto const& kernel = timed_kernels.at(subgraph.descriptor);
            model.cases.push_back(kernel.index);
            total_ms += kernel.ms;
        }
        model.whole_model =
            timed(1.013 * total_ms * slowdown * std::exp(0.01 * noise.normal()), 0.01, noise);
        evidence.models.push_back(std::move(model));
    }
    return evidence;
}

}  // namespace derate
