#include "benchmarks/standalone.hpp"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <utility>

#include "benchmarks/runnable_model.hpp"
#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "measuring/benchmark_keys.hpp"
#include "measuring/cannot_time.hpp"
#include "measuring/repetition.hpp"
#include "storage/environment_json.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate::benchmarks {
namespace {

namespace keys = benchmark_keys;

constexpr Backend backend = Backend::eager;
constexpr double ms_per_s = 1e3;

/// A model that is brought into memory when its first case runs.
class LazyModel {
  public:
    LazyModel(LoadedModel model, TimingDevice& device, std::uint64_t seed)
        : model_{std::move(model)},
          label_{model_label(model_.name, model_.batch)},
          partition_{partition(model_.program, backend)},
          device_{device},
          seed_{seed} {}

    [[nodiscard]] Partition const& parts() const { return partition_; }
    [[nodiscard]] std::string const& label() const { return label_; }
    [[nodiscard]] Precision precision() const { return model_.precision; }
    void time_alone(int subgraph) { subgraphs_.push_back(subgraph); }

    [[nodiscard]] RunnableModel& prepared() {
        if (!prepared_) {
            prepared_ = make_runnable(backend, model_.program, subgraphs_, seed_, device_);
        }
        return *prepared_;
    }

  private:
    LoadedModel model_;
    std::string label_;
    Partition partition_;
    TimingDevice& device_;
    std::uint64_t seed_;
    std::vector<int> subgraphs_;
    std::unique_ptr<RunnableModel> prepared_;
};

/// The body of a case: as often as Google Benchmark asks, after as long a warm-up as a campaign's
/// repetition is timed.
void time_iterations(benchmark::State& state, RunIteration const& run_iteration) {
    double warmed_ms = 0;
    do {
        warmed_ms += run_iteration();
    } while (warmed_ms < RepetitionPolicy{}.min_timed_ms);
    Repetition repetition;
    repetition.iteration_ms.reserve(static_cast<std::size_t>(state.max_iterations));
    for (auto _ : state) {
        double const ms = run_iteration();
        state.SetIterationTime(ms / ms_per_s);
        repetition.iteration_ms.push_back(ms);
    }
    state.counters[std::string{keys::faster_half_ms}] = benchmark::Counter{repetition.fast_ms()};
}

/// The reason stays in the file: a case that cannot run is a result.
template <class Body>
void skip_what_cannot_be_timed(benchmark::State& state, Body const& body) {
    try {
        body();
    } catch (CannotTime const& error) {
        state.SkipWithError(error.what());
    }
}

void register_subgraph(LazyModel& model, Subgraph const& subgraph, CacheState cache_state) {
    model.time_alone(subgraph.id);
    auto const name = case_name(subgraph.type, subgraph.descriptor);
    auto const body = [&model, subgraph, cache_state](benchmark::State& state) {
        skip_what_cannot_be_timed(state, [&] {
            auto const run = model.prepared().isolated(subgraph.id, cache_state);
            time_iterations(state, run);
            using benchmark::Counter;
            state.counters[std::string{keys::flops}] = Counter{subgraph.work.value()};
            state.counters[std::string{keys::input_bytes}] =
                Counter{subgraph.traffic.input.value()};
            state.counters[std::string{keys::weight_bytes}] =
                Counter{subgraph.traffic.weights.value()};
            state.counters[std::string{keys::output_bytes}] =
                Counter{subgraph.traffic.output.value()};
            state.SetLabel(subgraph.fusion_pattern + " " + model.label() + "/" +
                           std::to_string(subgraph.id) + " " + subgraph.descriptor);
        });
    };
    benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime();
}

void register_whole(LazyModel& model) {
    auto const body = [&model](benchmark::State& state) {
        skip_what_cannot_be_timed(state, [&] { time_iterations(state, model.prepared().whole()); });
    };
    benchmark::RegisterBenchmark((std::string{keys::whole_prefix} + model.label()).c_str(), body)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
}

/// Google Benchmark ends with 0 when cases failed; this one counts them.
template <class Reporter>
class Counting : public Reporter {
  public:
    using Reporter::Reporter;
    void ReportRuns(std::vector<benchmark::BenchmarkReporter::Run> const& runs) override {
        for (auto const& run : runs) failures_ += run.error_occurred ? 1 : 0;
        Reporter::ReportRuns(runs);
    }
    [[nodiscard]] int failures() const { return failures_; }

  private:
    int failures_ = 0;
};

void add_context(BenchFlags const& flags, TimingDevice& device, std::string const& models,
                 Precision precision) {
    auto const environment = device.describe();
    auto const add = [](std::string_view key, std::string const& value) {
        benchmark::AddCustomContext(std::string{key}, value);
    };
    add(keys::format, "1");
    add(keys::tool_version, DERATE_VERSION);
    add(keys::precision, std::string{to_string(precision)});
    add(keys::threads, std::to_string(flags.threads));
    add(keys::cache_state, std::string{to_string(flags.cache_state)});
    add(keys::device, device.name());
    add(keys::partition, std::string{partition_rule(backend)});
    add(keys::flop_rule, std::string{flop_rule});
    add(keys::value_rule, std::string{value_rule});
    add(keys::models, models);
    add(keys::build_type, environment.build_type.value_or("unknown"));
    add(keys::libtorch, environment.libtorch.value_or("unknown"));
    add(keys::blas,
        environment.blas.value_or("unknown") + " " + environment.blas_version.value_or(""));
    add(keys::onednn, environment.onednn_version.value_or("none"));
    add(keys::cpu_capability, environment.cpu_capability.value_or("unknown"));
    if (environment.malloc_mmap_threshold_bytes) {
        add(keys::malloc_thresholds,
            std::to_string(std::llround(*environment.malloc_mmap_threshold_bytes)));
    }
}

/// Value of the last flag `--<name>=VALUE`, or `otherwise`.
std::string last_value(std::vector<std::string> const& flags, std::string_view name,
                       std::string otherwise) {
    for (auto const& flag : flags) {
        auto const prefix = "--" + std::string{name} + "=";
        if (flag.starts_with(prefix)) otherwise = flag.substr(prefix.size());
    }
    return otherwise;
}

std::size_t run_and_count(std::vector<std::string> const& flags, int& failures) {
    auto const run = [&](auto reporter) {
        auto const count = benchmark::RunSpecifiedBenchmarks(&reporter);
        failures = reporter.failures();
        return count;
    };
    auto const format = last_value(flags, "benchmark_format", "console");
    if (format == "json") return run(Counting<benchmark::JSONReporter>{});
    if (format != "console") {
        throw InputError{"--benchmark_format", "got '" + format + "'", "console or json"};
    }
    auto const color = last_value(flags, "benchmark_color", isatty(1) ? "true" : "false");
    return run(Counting<benchmark::ConsoleReporter>{
        color == "true" ? benchmark::ConsoleReporter::OO_ColorTabular
                        : benchmark::ConsoleReporter::OO_Tabular});
}

double median(std::vector<double> values) {
    auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

}  // namespace

bool run_standalone(BenchFlags const& flags, TimingDevice& device) {
    std::vector<std::unique_ptr<LazyModel>> models;
    std::set<std::string> seen;
    std::string labels;
    for (auto const& name : flags.models) {
        auto loaded = load_model(name, flags.dimensions, flags.precision);
        auto& model = *models.emplace_back(
            std::make_unique<LazyModel>(std::move(loaded), device, flags.seed));
        if (model.precision() != models.front()->precision()) {
            throw InputError{name, "its precision differs from that of the models before it",
                             "models of one precision in a run"};
        }
        labels += (labels.empty() ? "" : ",") + model.label();
        for (auto const& part : model.parts().subgraphs) {
            if (seen.insert(part.subgraph.descriptor).second) {
                register_subgraph(model, part.subgraph, flags.cache_state);
            }
        }
        register_whole(model);
    }

    std::vector<std::string> arguments{"derate-bench"};
    arguments.insert(arguments.end(), flags.google_benchmark.begin(), flags.google_benchmark.end());
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    int argc = static_cast<int>(argv.size());
    benchmark::Initialize(&argc, argv.data());
    if (argc > 1) {
        throw InputError{argv[1], "Google Benchmark does not know this flag", "one of its flags"};
    }
    add_context(flags, device, labels, models.front()->precision());
    int failures = 0;
    auto const count = run_and_count(flags.google_benchmark, failures);
    if (count == 0) std::cerr << "derate-bench: no case matches the filter\n";
    if (failures > 0) std::cerr << "derate-bench: " << failures << " cases failed\n";
    return count > 0 && failures == 0;
}

void print_peaks(BenchFlags const& flags, TimingDevice& device) {
    std::cout << "{\"precision\": \"" << to_string(flags.precision.value_or(Precision::fp32))
              << "\", \"threads\": " << flags.threads << ", \"peaks\": [";
    char const* separator = "\n";
    for (auto const& peak : device.measure_peaks()) {
        auto const [least, most] = std::ranges::minmax(peak.per_second);
        auto const middle = median(peak.per_second);
        std::cout << separator << "  {\"probe\": \"" << peak.probe << "\", \"unit\": \""
                  << peak.unit << "\", \"per_second\": " << most
                  << ", \"median_per_second\": " << middle
                  << ", \"relative_range\": " << (most - least) / middle
                  << ", \"repetitions\": " << peak.per_second.size() << "}";
        separator = ",\n";
    }
    std::cout << "\n]}\n";
}

void print_environment(TimingDevice& device) {
    std::cout << to_json_text(device.describe()) << '\n';
}

}  // namespace derate::benchmarks
