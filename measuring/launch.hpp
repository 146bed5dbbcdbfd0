#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "measuring/environment.hpp"
#include "measuring/plan.hpp"
#include "measuring/repetition.hpp"
#include "measuring/sample_record.hpp"

namespace derate {

/// A run of a whole model with a clock read between its subgraphs, after a warm-up.
struct InContextRun {
    double run_ms = 0;  ///< one instrumented run
    std::vector<double>
        subgraph_ms{};  ///< by Subgraph::id; the cost of reading the clock taken off
    int runs = 1;       ///< of which this was the fastest
};

/// Result of one peak probe, all its repetitions.
struct PeakResult {
    std::string probe{};               ///< "fma_avx512", "conv2d", "triad", ...
    std::string unit{};                ///< "flop" or "byte"
    std::vector<double> per_second{};  ///< one a repetition
    std::optional<double> clock_hz{};  ///< right after the last of them, where it can be read
};

/// What a launch times: LibTorch on a processor or GPU, or a synthetic machine in tests. It owns
/// the clock. Every function may throw CannotTime, which becomes a record.
class TimedMachine {
  public:
    virtual ~TimedMachine() = default;
    [[nodiscard]] virtual std::int64_t now_ns() = 0;  ///< monotonic
    /// Makes ready what the steps of this model need; called before the first of them.
    virtual void load_model(std::size_t model) = 0;
    virtual void unload_model(std::size_t model) = 0;  ///< after the last of them
    [[nodiscard]] virtual Repetition time_case(std::size_t index, RepetitionPolicy const&) = 0;
    [[nodiscard]] virtual Repetition time_whole(std::size_t model, RepetitionPolicy const&) = 0;
    [[nodiscard]] virtual InContextRun time_in_context(std::size_t model,
                                                       RepetitionPolicy const&) = 0;
    [[nodiscard]] virtual double time_drift_probe(std::size_t probe) = 0;  ///< ms
    [[nodiscard]] virtual std::vector<PeakResult> measure_peaks() = 0;
    [[nodiscard]] virtual Environment describe() = 0;  ///< what only this process can know
};

inline constexpr std::size_t compute_drift_probe = 0;
inline constexpr std::size_t bandwidth_drift_probe = 1;

/// Called after each step of the plan that ran or was skipped.
using ReportProgress = std::function<void(std::size_t steps_done, std::size_t steps)>;

/// Appends one record to the samples; must not return before the line is out of the process.
using WriteRecord = std::function<void(SampleRecord const&)>;

/// Walks the plan's steps from first to last and writes a record for each, and the launch's end.
///
/// A case or model that cannot be timed gets one failure record; its later steps are left out.
/// Steps in `plan.done` are left out.
void run_launch(Plan const& plan, TimedMachine& machine, WriteRecord const& write,
                ReportProgress const& report_progress);

}  // namespace derate
