// How many whole-model estimates with interval one core gives in a second.
//
//   estimator_benchmark [--calibration=efficiency_curves.json] [--benchmark_...]
//
// whole_model/<model>   estimate() of a prepared model, a different one of eight calibrations a
// call plain_loop/<model>    the additive rooflines of the same kernels alone: no residual model,
// no
//                       variance, no interval
// prepare/<model>       from subgraphs to a prepared model
//
// Models and curves are those of a calibration with its evidence; without --calibration the first
// in the shipped registry whose evidence holds all the models. Counters: `distinct_kernels` and
// `points` (kernel vector elements) are evaluated in every call; `checked` is 1 when each of the
// eight totals equals the sum of estimate_subgraphs(), and all eight differ.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/evidence.hpp"
#include "estimator/prepared_model.hpp"
#include "storage/calibration_files.hpp"

namespace derate {
namespace {

constexpr std::array wanted_models{"resnet50", "vit_b_16"};
constexpr std::size_t calibration_count = 8;

struct Loaded {
    Calibration calibration;
    Evidence evidence;
};

std::vector<Subgraph> subgraphs_of(Evidence const& evidence, std::string_view name) {
    std::vector<Subgraph> subgraphs;
    for (auto const& model : evidence.models) {
        if (model.name != name || !subgraphs.empty()) continue;
        for (int const index : model.cases) {
            subgraphs.push_back(evidence.cases[static_cast<std::size_t>(index)].subgraph);
        }
    }
    return subgraphs;
}

std::optional<Loaded> load(std::filesystem::path const& curves) {
    auto calibration = read_calibration(curves);
    auto evidence = read_evidence_of(calibration, curves);
    if (!evidence) return std::nullopt;
    for (auto const* name : wanted_models) {
        if (subgraphs_of(*evidence, name).empty()) return std::nullopt;
    }
    return Loaded{std::move(calibration), std::move(*evidence)};
}

std::optional<Loaded> first_in_registry() {
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::recursive_directory_iterator{
             std::filesystem::path{DERATE_SOURCE_DIR} / "hardware_registry"}) {
        auto const name = entry.path().filename().string();
        if (name.starts_with("efficiency_curves") && name.ends_with(".json")) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    for (auto const& file : files) {
        if (auto loaded = load(file)) return loaded;
    }
    return std::nullopt;
}

/// The same shape of calibration with other numbers, as another machine would have.
Calibration varied(Calibration calibration, std::size_t index) {
    double const factor = 1 + 0.07 * static_cast<double>(index);
    for (auto& curve : calibration.curves) {
        auto& form = std::get<AdditiveRoofline>(curve.fitted_curve->form);
        form.kernel_seconds *= factor;
        form.flop_coefficient /= factor;
        form.byte_coefficient *= factor * factor;
        curve.mean_correction *= factor;
        if (!curve.residual_model) continue;
        for (double& weight : curve.residual_model->weights) weight /= factor;
        curve.residual_model->noise *= factor;
    }
    calibration.intervals.variance_factor *= factor;
    return calibration;
}

struct Bench {
    std::vector<Subgraph> subgraphs;
    std::string partition;
    std::vector<CompiledCalibration> calibrations;
    std::vector<PreparedModel> models;
};

bool is_checked(Bench const& bench) {
    double last = 0;
    for (std::size_t i = 0; i < calibration_count; ++i) {
        auto const total = estimate(bench.calibrations[i], bench.models[i]).latency_ms;
        double sum = 0;
        for (auto const& part : estimate_subgraphs(bench.calibrations[i], bench.models[i])) {
            sum += part.latency_ms;
        }
        if (!(std::abs(total / sum - 1) < 1e-12) || total == last) return false;
        last = total;
    }
    return true;
}

void count_work(benchmark::State& state, Bench const& bench) {
    state.SetItemsProcessed(state.iterations());
    state.counters["distinct_kernels"] = static_cast<double>(bench.models.front().count.size());
    state.counters["subgraphs"] = static_cast<double>(bench.subgraphs.size());
    state.counters["points"] = static_cast<double>(bench.models.front().vectors.size());
    state.counters["checked"] = is_checked(bench) ? 1 : 0;
}

void whole_model(benchmark::State& state, Bench const& bench) {
    if (!is_checked(bench)) {
        state.SkipWithError("an estimate is not the sum of its subgraphs");
        return;
    }
    std::size_t next = 0;
    for (auto _ : state) {
        auto result = estimate(bench.calibrations[next], bench.models[next]);
        benchmark::DoNotOptimize(result);
        next = (next + 1) % calibration_count;
    }
    count_work(state, bench);
}

void plain_loop(benchmark::State& state, Bench const& bench) {
    std::size_t next = 0;
    for (auto _ : state) {
        auto const& model = bench.models[next];
        auto const curves = bench.calibrations[next].curves();
        double total = 0;
        for (auto const& run : model.runs) {
            auto const& form = curves[static_cast<std::size_t>(run.curve)].roofline;
            for (auto j = static_cast<std::size_t>(run.begin);
                 j < static_cast<std::size_t>(run.end); ++j) {
                total += model.count[j] * roofline_seconds(form, model.factors(j)).total();
            }
        }
        benchmark::DoNotOptimize(total);
        next = (next + 1) % calibration_count;
    }
    count_work(state, bench);
}

void prepare_model(benchmark::State& state, Bench const& bench) {
    for (auto _ : state) {
        auto model = prepare(bench.calibrations.front(), bench.subgraphs, bench.partition);
        benchmark::DoNotOptimize(model);
    }
    count_work(state, bench);
}

int run(int argc, char** argv) {
    std::optional<Loaded> loaded;
    std::vector<char*> rest;
    constexpr std::string_view flag = "--calibration=";
    for (int i = 0; i < argc; ++i) {
        std::string_view const argument{argv[i]};
        if (argument.starts_with(flag)) {
            loaded = load(argument.substr(flag.size()));
        } else {
            rest.push_back(argv[i]);
        }
    }
    if (!loaded) loaded = first_in_registry();
    if (!loaded) {
        std::fprintf(stderr,
                     "estimator_benchmark: no calibration whose evidence holds resnet50 and "
                     "vit_b_16 (--calibration=efficiency_curves.json)\n");
        return 2;
    }
    int count = static_cast<int>(rest.size());
    benchmark::Initialize(&count, rest.data());
    if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
    for (auto const* name : wanted_models) {
        auto bench = std::make_shared<Bench>();
        bench->subgraphs = subgraphs_of(loaded->evidence, name);
        bench->partition = loaded->evidence.condition.partition;
        for (std::size_t i = 0; i < calibration_count; ++i) {
            bench->calibrations.emplace_back(varied(loaded->calibration, i));
            bench->models.push_back(
                prepare(bench->calibrations.back(), bench->subgraphs, bench->partition));
        }
        auto const add = [&](std::string const& group, auto const& body) {
            benchmark::RegisterBenchmark(
                (group + "/" + name).c_str(),
                [bench, body](benchmark::State& state) { body(state, *bench); });
        };
        add("whole_model", whole_model);
        add("plain_loop", plain_loop);
        add("prepare", prepare_model);
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

}  // namespace
}  // namespace derate

int main(int argc, char** argv) { return derate::run(argc, argv); }
