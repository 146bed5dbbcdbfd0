#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/allocator.hpp"
#include "measuring/environment.hpp"
#include "measuring/plan.hpp"

namespace derate {

/// First line: what the file belongs to. What must agree for a run to resume is in it.
struct CampaignLine {
    std::string date{};   ///< of the visit, UTC
    Plan settings{};      ///< without steps
    std::string rules{};  ///< how many launches and repetitions there are, and when to stop

    friend bool operator==(CampaignLine const&, CampaignLine const&) = default;
};

/// The machine (written by the campaign, launch -1) or the libraries (written by each launch).
struct EnvironmentLine {
    Environment environment{};  ///< only what the writer can know

    friend bool operator==(EnvironmentLine const&, EnvironmentLine const&) = default;
};

/// What a repetition took. Times are empty where the clock gave no number.
struct RepetitionTimes {
    int iterations = 1;               ///< timed; runs, for a whole model
    std::optional<double> time_ms{};  ///< mean of one iteration
    std::optional<double> fast_ms{};  ///< mean of their faster half; older files lack it
    bool steady = true;               ///< the warm-up was seen to end
    int warmup = 0;                   ///< iterations run and thrown away before the timed ones

    friend bool operator==(RepetitionTimes const&, RepetitionTimes const&) = default;
};

/// One repetition of a case.
struct IsolatedLine {
    std::string case_key{};
    std::string model{};
    std::optional<int> batch{};
    int subgraph = 0;  ///< Subgraph::id in `model`
    RepetitionTimes times{};

    friend bool operator==(IsolatedLine const&, IsolatedLine const&) = default;
};

/// One run of a model with every subgraph timed inside it.
struct InContextLine {
    std::string model{};
    std::optional<int> batch{};
    int iterations = 1;                 ///< instrumented runs, of which this was the fastest
    std::optional<double> time_ms{};    ///< of the run
    std::vector<double> subgraph_ms{};  ///< by Subgraph::id
    std::optional<int> warmup{};        ///< runs before them; older files lack it

    friend bool operator==(InContextLine const&, InContextLine const&) = default;
};

/// One repetition of a whole model.
struct WholeLine {
    std::string model{};
    std::optional<int> batch{};
    RepetitionTimes times{};

    friend bool operator==(WholeLine const&, WholeLine const&) = default;
};

/// One run of a drift probe.
struct DriftLine {
    std::string probe{};  ///< "compute", "bandwidth"
    std::optional<double> time_ms{};

    friend bool operator==(DriftLine const&, DriftLine const&) = default;
};

/// One result of a peak probe.
struct PeakLine {
    std::string probe{};                 ///< e.g. "fma_avx512"
    std::optional<double> per_second{};  ///< FLOP/s or bytes/s
    std::string unit{};                  ///< "flop" or "byte"
    std::optional<double> clock_hz{};    ///< of the core that ran it, right after it

    friend bool operator==(PeakLine const&, PeakLine const&) = default;
};

/// Why a case or whole model was not timed further; written before the last line.
struct StoppedLine {
    std::optional<std::string> case_key{};  ///< without it, the model as a whole
    std::optional<std::string> model{};
    std::optional<int> batch{};
    std::string reason{};

    friend bool operator==(StoppedLine const&, StoppedLine const&) = default;
};

/// A case, model or probe that cannot be timed, and why; its later steps are skipped.
struct FailureLine {
    std::optional<std::string> case_key{};  ///< without it, the model as a whole
    std::optional<std::string> model{};     ///< without it, a drift probe
    std::optional<int> batch{};
    std::optional<int> subgraph{};
    std::optional<std::string> probe{};
    std::string reason{};

    friend bool operator==(FailureLine const&, FailureLine const&) = default;
};

/// The launch came to an end by itself.
struct LaunchEndLine {
    std::string reason{};  ///< "complete", "time_limit"
    double wall_s = 0;     ///< the process, from start to here
    double loading_s = 0;  ///< of it, loading models and capturing cases

    friend bool operator==(LaunchEndLine const&, LaunchEndLine const&) = default;
};

/// Last line: nothing is left to do.
struct FinishedLine {
    friend bool operator==(FinishedLine const&, FinishedLine const&) = default;
};

using SampleContent =
    std::variant<CampaignLine, EnvironmentLine, IsolatedLine, InContextLine, WholeLine, DriftLine,
                 PeakLine, StoppedLine, FailureLine, LaunchEndLine, FinishedLine>;

/// One line of `X.samples.jsonl`, the source of truth of a measurement: append-only, a line a
/// repetition, flushed as it comes.
struct SampleRecord {
    int launch = 0;
    std::optional<std::int64_t> sequence{};  ///< position of the step in Plan::steps
    std::int64_t time_ns = 0;                ///< CLOCK_MONOTONIC when it began
    SampleContent content{};
    /// On each line of a launch that was not pinned; campaign: of all launches but those beside.
    std::optional<Allocator> allocator{};

    friend bool operator==(SampleRecord const&, SampleRecord const&) = default;
};

/// The word by which a file names what a line says: "isolated", "launch_end".
[[nodiscard]] std::string_view kind_of(SampleContent const& content);

/// Nothing but the kind, to be filled in; empty for a word that names none.
[[nodiscard]] std::optional<SampleContent> content_of_kind(std::string_view kind);

}  // namespace derate
