#include "benchmarks/libtorch_machine.hpp"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <numeric>
#include <vector>

#include "workloads/symbolic_program.hpp"

namespace derate::benchmarks {
namespace {

constexpr double ms_per_s = 1e3;
constexpr int exit_device_lost = 1;  // 2 and 4 would say that the plan or the machine is refused

/// Keeps what Google Benchmark says of one run, prints nothing.
class OneRunReporter : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(Context const&) override { return true; }
    void ReportRuns(std::vector<Run> const& runs) override {
        for (auto const& run : runs) iterations_ += run.iterations;
    }
    [[nodiscard]] std::int64_t iterations() const { return iterations_; }

  private:
    std::int64_t iterations_ = 0;
};

ExportedProgram program_of(PlannedModel const& planned) {
    RequestedDimensions requested;
    for (auto const& [symbol, value] : planned.dimensions) {
        requested.named.emplace_back(symbol, value);
    }
    return bind(read_symbolic_program(planned.file), requested).program;
}

}  // namespace

void LibTorchMachine::load_model(std::size_t model) {
    std::vector<int> subgraphs;
    for (auto const& planned : plan_.cases) {
        if (planned.model == model) subgraphs.push_back(planned.subgraph);
    }
    auto const& planned = plan_.models.at(model);
    on_usable_device([&] {
        models_[model] =
            make_runnable(plan_.execution.backend, program_of(planned), subgraphs, plan_.seed,
                          device_, planned.partial ? Extent::subgraphs : Extent::whole);
    });
}

void LibTorchMachine::end_without_device(CannotTime const& error) {
    std::cerr << "the device is lost: " << error.what() << std::endl;
    std::_Exit(exit_device_lost);
}

Repetition LibTorchMachine::time_case(std::size_t index, RepetitionPolicy const& policy) {
    auto const& planned = plan_.cases.at(index);
    auto& model = *models_.at(planned.model);
    Repetition repetition;
    std::exception_ptr failure;
    // One case registered at a time: the order is the plan's, not the library's.
    benchmark::ClearRegisteredBenchmarks();
    benchmark::RegisterBenchmark(
        planned.key.c_str(),
        [&](benchmark::State& state) {
            try {
                repetition = on_usable_device([&] {
                    return take_repetition(model.isolated(planned.subgraph, planned.state), policy);
                });
            } catch (...) {
                failure = std::current_exception();
                state.SkipWithError("see the failure record");
                return;
            }
            auto const& times = repetition.iteration_ms;
            while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(times.size()))) {
                state.SetIterationTime(std::accumulate(times.begin(), times.end(), 0.0) / ms_per_s);
            }
        })
        ->Iterations(1)
        ->UseManualTime();
    OneRunReporter reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter, ".");
    if (failure) std::rethrow_exception(failure);
    if (reporter.iterations() != static_cast<std::int64_t>(repetition.iteration_ms.size())) {
        throw CannotTime{"Google Benchmark ran another number of iterations than were timed"};
    }
    return repetition;
}

}  // namespace derate::benchmarks
