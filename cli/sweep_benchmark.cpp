// How many sizes of a symbolic model one core prices in a second, each another one, from its number
// to a latency with interval.
//
// one_by_one/<model>  bound, cut, prepared and priced for itself: the baseline
// cut_once/<model>    cut and prepared once, then only its numbers; `checked` is 1 where every
//                     eleventh of the first 1,000 sizes equals the baseline to the last bit
#include <benchmark/benchmark.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "estimator/model_at_sizes.hpp"
#include "storage/calibration_files.hpp"
#include "workloads/linear_partition.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

constexpr char const* models[] = {"resnet50", "vit_b_16"};
constexpr std::int64_t most = 100'000;

struct Bench {
    CompiledCalibration calibration{
        read_calibration(std::filesystem::path{DERATE_SOURCE_DIR} /
                         "hardware_registry/cpu/kvm-intel-xeon-2c/efficiency_curves.json")};
    SymbolicModel model;

    explicit Bench(benchmark::State const& state) : model{read_model(models[state.range(0)])} {}

    [[nodiscard]] LatencyEstimate alone(std::int64_t batch) const {
        std::vector<Subgraph> subgraphs;
        auto const bound = bind(model.program, {.batch = batch}, model.defaults);
        for (auto& cut : partition(bound.program).subgraphs) {
            subgraphs.push_back(std::move(cut.subgraph));
        }
        return estimate(calibration,
                        prepare(calibration, subgraphs, partition_rule(Backend::eager)));
    }
};

void finish(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations());
    state.SetLabel(models[state.range(0)]);
}

void one_by_one(benchmark::State& state) {
    Bench const bench{state};
    std::int64_t batch = 1;
    for (auto _ : state) {
        batch = batch % most + 1;
        benchmark::DoNotOptimize(bench.alone(batch));
    }
    finish(state);
}
BENCHMARK(one_by_one)->DenseRange(0, 1)->Unit(benchmark::kMicrosecond);

void cut_once(benchmark::State& state) {
    Bench const bench{state};
    auto cut = LinearPartition::of(bench.model.program, {}, "batch", most, bench.model.defaults);
    if (!cut) {
        state.SkipWithError("the model is cut for each size alone");
        return;
    }
    ModelAtSizes priced{bench.calibration, cut->kernels(), cut->kernel_of_subgraph(),
                        partition_rule(Backend::eager)};
    std::int64_t held = 0;
    std::int64_t batch = 1;
    for (auto _ : state) {
        batch = batch % most + 1;
        if (!cut->holds(batch)) continue;
        ++held;
        benchmark::DoNotOptimize(priced.estimate(cut->kernels_at(batch)));
    }
    bool checked = true;
    for (std::int64_t size = 2; size < 1000; size += 11) {
        if (!cut->holds(size)) continue;
        auto const swept = priced.estimate(cut->kernels_at(size));
        auto const single = bench.alone(size);
        checked = checked && swept.latency_ms == single.latency_ms &&
                  swept.ci_95_upper_ms == single.ci_95_upper_ms;
    }
    finish(state);
    state.counters["checked"] = checked ? 1 : 0;
    state.counters["held"] = static_cast<double>(held) / static_cast<double>(state.iterations());
}
BENCHMARK(cut_once)->DenseRange(0, 1)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace derate

BENCHMARK_MAIN();
