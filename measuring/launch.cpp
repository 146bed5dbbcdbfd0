#include "measuring/launch.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "measuring/cannot_time.hpp"

namespace derate {
namespace {

constexpr double ns_per_second = 1e9;

RepetitionTimes times_of(Repetition const& repetition) {
    return {.iterations = static_cast<int>(repetition.iteration_ms.size()),
            .time_ms = repetition.mean_ms(),
            .fast_ms = repetition.fast_ms(),
            .steady = repetition.steady,
            .warmup = repetition.warmup};
}

class Launch {
  public:
    Launch(Plan const& plan, TimedMachine& machine, WriteRecord const& write)
        : plan_{plan},
          machine_{machine},
          write_{write},
          started_ns_{machine.now_ns()},
          models_(plan.models.size()) {
        for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
            if (auto const model = model_of(plan_.steps[i]); model && !is_done(i)) {
                models_[*model].last_step = i;
            }
        }
    }

    void run(ReportProgress const& report_progress) {
        auto line = record();
        line.content = EnvironmentLine{machine_.describe()};
        write_(line);
        if (plan_.peaks) measure_peaks();
        // The limit is of the steps: peaks take what they take, and must not leave nothing for
        // them.
        auto const steps_began_ns = machine_.now_ns();
        std::string reason = "complete";
        for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
            if (plan_.time_limit_s > 0 && seconds_since(steps_began_ns) > plan_.time_limit_s) {
                reason = "time_limit";
                break;
            }
            if (!is_done(i)) take(i);
            if (report_progress) report_progress(i + 1, plan_.steps.size());
        }
        auto end = record();
        end.content = LaunchEndLine{
            .reason = reason, .wall_s = seconds_since(started_ns_), .loading_s = loading_s_};
        write_(end);
    }

  private:
    struct ModelState {
        bool loaded = false;
        bool failed = false;
        std::optional<std::size_t> last_step;
    };

    [[nodiscard]] double seconds_since(std::int64_t start_ns) const {
        return static_cast<double>(machine_.now_ns() - start_ns) / ns_per_second;
    }

    [[nodiscard]] bool is_done(std::size_t step) const {
        return std::ranges::binary_search(plan_.done, static_cast<std::int64_t>(step));
    }

    [[nodiscard]] std::optional<std::size_t> model_of(PlannedStep const& step) const {
        switch (step.kind) {
            case StepKind::isolated:
                return plan_.cases.at(step.index).model;
            case StepKind::in_context:
            case StepKind::whole:
                return step.index;
            case StepKind::drift:
                return std::nullopt;
        }
        return std::nullopt;
    }

    /// Of now, with nothing said yet.
    [[nodiscard]] SampleRecord record() const {
        SampleRecord record{.launch = plan_.launch, .time_ns = machine_.now_ns()};
        if (plan_.execution.allocator != Allocator::pinned)
            record.allocator = plan_.execution.allocator;
        return record;
    }

    [[nodiscard]] SampleRecord record_of_step(std::size_t sequence) const {
        auto of_step = record();
        of_step.sequence = static_cast<std::int64_t>(sequence);
        return of_step;
    }

    /// A launch without peaks is one all the same; another's stand for it.
    void measure_peaks() {
        std::vector<PeakResult> peaks;
        try {
            peaks = machine_.measure_peaks();
        } catch (CannotTime const&) {
            return;
        }
        for (auto const& peak : peaks) {
            for (auto const per_second : peak.per_second) {
                auto line = record();
                line.content = PeakLine{.probe = peak.probe,
                                        .per_second = per_second,
                                        .unit = peak.unit,
                                        .clock_hz = peak.clock_hz};
                write_(line);
            }
        }
    }

    /// Loads the step's model if need be. False: it cannot be timed, and the samples say why.
    bool make_ready(std::size_t model, std::size_t sequence) {
        auto& state = models_[model];
        if (state.failed) return false;
        if (state.loaded) return true;
        auto const start_ns = machine_.now_ns();
        try {
            machine_.load_model(model);
            state.loaded = true;
        } catch (CannotTime const& error) {
            state.failed = true;
            auto line = record_of_step(sequence);
            line.content = FailureLine{.model = plan_.models.at(model).name,
                                       .batch = plan_.models.at(model).batch,
                                       .reason = error.what()};
            write_(line);
        }
        loading_s_ += seconds_since(start_ns);
        return state.loaded;
    }

    void take(std::size_t sequence) {
        auto const& step = plan_.steps[sequence];
        auto const model = model_of(step);
        bool const failed_before =
            step.kind == StepKind::isolated && failed_cases_.contains(step.index);
        if (!failed_before && (!model || make_ready(*model, sequence))) time_step(step, sequence);
        if (model && models_[*model].loaded && models_[*model].last_step == sequence) {
            machine_.unload_model(*model);
            models_[*model].loaded = false;
        }
    }

    void time_step(PlannedStep const& step, std::size_t sequence) {
        auto line = record_of_step(sequence);
        try {
            line.content = timed(step);
        } catch (CannotTime const& error) {
            if (step.kind == StepKind::isolated) {
                failed_cases_.insert(step.index);
            } else if (auto const model = model_of(step)) {
                models_[*model].failed = true;
            }
            line.content = failure_of(step, error.what());
        }
        write_(line);
    }

    [[nodiscard]] SampleContent timed(PlannedStep const& step) {
        switch (step.kind) {
            case StepKind::isolated: {
                auto const& planned = plan_.cases.at(step.index);
                auto const& model = plan_.models.at(planned.model);
                return IsolatedLine{
                    .case_key = planned.key,
                    .model = model.name,
                    .batch = model.batch,
                    .subgraph = planned.subgraph,
                    .times = times_of(machine_.time_case(step.index, plan_.repetition))};
            }
            case StepKind::whole: {
                auto const& model = plan_.models.at(step.index);
                return WholeLine{
                    .model = model.name,
                    .batch = model.batch,
                    .times = times_of(machine_.time_whole(step.index, plan_.repetition))};
            }
            case StepKind::in_context: {
                auto const& model = plan_.models.at(step.index);
                auto run = machine_.time_in_context(step.index, plan_.repetition);
                return InContextLine{.model = model.name,
                                     .batch = model.batch,
                                     .iterations = run.runs,
                                     .time_ms = run.run_ms,
                                     .subgraph_ms = std::move(run.subgraph_ms),
                                     .warmup = plan_.repetition.min_warmup_iterations};
            }
            case StepKind::drift:
                break;
        }
        return DriftLine{.probe = probe_of(step), .time_ms = machine_.time_drift_probe(step.index)};
    }

    [[nodiscard]] FailureLine failure_of(PlannedStep const& step, std::string reason) const {
        FailureLine failure{.reason = std::move(reason)};
        if (auto const model = model_of(step)) {
            failure.model = plan_.models.at(*model).name;
            failure.batch = plan_.models.at(*model).batch;
        } else {
            failure.probe = probe_of(step);
        }
        if (step.kind == StepKind::isolated) {
            failure.case_key = plan_.cases.at(step.index).key;
            failure.subgraph = plan_.cases.at(step.index).subgraph;
        }
        return failure;
    }

    [[nodiscard]] static std::string probe_of(PlannedStep const& step) {
        return step.index == compute_drift_probe ? "compute" : "bandwidth";
    }

    Plan const& plan_;
    TimedMachine& machine_;
    WriteRecord const& write_;
    std::int64_t started_ns_;
    double loading_s_ = 0;
    std::vector<ModelState> models_;
    std::set<std::size_t> failed_cases_;
};

}  // namespace

void run_launch(Plan const& plan, TimedMachine& machine, WriteRecord const& write,
                ReportProgress const& report_progress) {
    Launch{plan, machine, write}.run(report_progress);
}

}  // namespace derate
