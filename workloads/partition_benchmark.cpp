// What reading and cutting a model costs beside parsing its JSON with the strict reader of our own
// files: the ratio is why the graph has a reader of its own.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>

#include "storage/file.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {
namespace {

char const* const models[] = {"resnet50", "maxvit_t", "gpt2"};

void read_graph(benchmark::State& state) {
    auto const file = load_model(models[state.range(0)]).file;
    for (auto _ : state) benchmark::DoNotOptimize(read_symbolic_program(file));
    state.SetLabel(models[state.range(0)]);
}
BENCHMARK(read_graph)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

/// The same graph at another batch size.
void bind_to_sizes(benchmark::State& state) {
    auto const model = read_model(models[state.range(0)]);
    std::int64_t batch = 1;
    for (auto _ : state) {
        batch = batch % 64 + 1;
        benchmark::DoNotOptimize(bind(model.program, {.batch = batch}, model.defaults));
    }
    state.SetLabel(models[state.range(0)]);
}
BENCHMARK(bind_to_sizes)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void cut_into_subgraphs(benchmark::State& state) {
    auto const program = load_model(models[state.range(0)]).program;
    for (auto _ : state) benchmark::DoNotOptimize(partition(program));
    state.SetLabel(models[state.range(0)]);
}
BENCHMARK(cut_into_subgraphs)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void read_as_any_json(benchmark::State& state) {
    auto const file = load_model(models[state.range(0)]).file;
    for (auto _ : state) benchmark::DoNotOptimize(read_json(file));
    state.SetLabel(models[state.range(0)]);
}
BENCHMARK(read_as_any_json)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace derate

BENCHMARK_MAIN();
