#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "campaign/samples.hpp"
#include "campaign/samples_file.hpp"
#include "storage/sample_record_json.hpp"

// From a samples file to timings: 2,000 cases in 10 launches, more and more repetitions. Time per
// repetition must not grow with their number; peak_mib is the highest resident size of the process,
// so run the sizes apart (--benchmark_filter) to read it.

namespace derate {
namespace {

constexpr int cases = 2000;
constexpr int launches = 10;

/// A file of `repetitions` lines as derate-bench writes them, removed at the end.
class SamplesOnDisk {
  public:
    explicit SamplesOnDisk(std::int64_t repetitions)
        : path_{std::filesystem::temp_directory_path() /
                ("samples_benchmark." + std::to_string(::getpid()) + ".jsonl")} {
        std::ofstream file{path_};
        std::uint64_t random = 88172645463325252ULL;
        auto const each = repetitions / (cases * launches);
        for (int launch = 0; launch < launches; ++launch) {
            std::int64_t sequence = 0;
            for (std::int64_t repetition = 0; repetition < each; ++repetition) {
                for (int index = 0; index < cases; ++index) {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    double const time_ms = 0.5 + 1e-12 * static_cast<double>(random >> 24);
                    SampleRecord const record{
                        .launch = launch,
                        .sequence = sequence,
                        .time_ns = 1000000000 + sequence * 5000000,
                        .content = IsolatedLine{
                            .case_key = case_key(std::to_string(index), CacheState::cold_all,
                                                 {.threads = 1}, Precision::fp32),
                            .model = "efficientnet_b0",
                            .batch = 1,
                            .subgraph = index % 300,
                            .times = {.iterations = 12, .time_ms = time_ms, .warmup = 3}}};
                    file << to_json_line(record) << '\n';
                    ++sequence;
                }
            }
            file << to_json_line({.launch = launch, .content = LaunchEndLine{}}) << '\n';
        }
    }
    ~SamplesOnDisk() { std::filesystem::remove(path_); }
    SamplesOnDisk(SamplesOnDisk const&) = delete;
    SamplesOnDisk& operator=(SamplesOnDisk const&) = delete;

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

void samples_to_timings(benchmark::State& state) {
    SamplesOnDisk const file{state.range(0)};
    std::int64_t repetitions = 0;
    for (auto _ : state) {
        Samples samples;
        read_samples(file.path(), [&](SampleRecord const& record) { samples.add(record); });
        double sum = 0;
        for (auto const& [key, timed] : samples.isolated) sum += timing_of(timed)->center_ms;
        benchmark::DoNotOptimize(sum);
        repetitions += samples.repetitions;
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    state.SetItemsProcessed(repetitions);
    state.SetComplexityN(state.range(0));
    state.counters["peak_mib"] = static_cast<double>(usage.ru_maxrss) / 1024;
}

BENCHMARK(samples_to_timings)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Arg(10'000'000)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime()
    ->Complexity(benchmark::oN);

}  // namespace
}  // namespace derate

BENCHMARK_MAIN();
