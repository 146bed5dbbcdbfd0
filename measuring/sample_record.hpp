#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.hpp"
#include "measuring/environment.hpp"

namespace derate {

/// What one line of a samples file says.
enum class SampleKind {
    campaign,     ///< first line: what the file belongs to
    environment,  ///< the machine (written by the campaign) or the libraries (written per launch)
    isolated,     ///< one repetition of a case
    in_context,   ///< one run of a model with every subgraph timed inside it
    whole,        ///< one repetition of a whole model
    drift,        ///< one run of a drift probe
    peak,         ///< one result of a peak probe
    stopped,      ///< why a case or whole model was not timed further (written before `finished`)
    failure,      ///< a case or model that cannot be timed, and why; its later steps are skipped
    launch_end,   ///< the launch came to an end by itself
    finished,     ///< last line: nothing is left to do
};

[[nodiscard]] std::string_view to_string(SampleKind kind);
[[nodiscard]] std::optional<SampleKind> parse_sample_kind(std::string_view name);

/// One line of `X.samples.jsonl`, the source of truth of a measurement: append-only, a line a
/// repetition, flushed as it comes. Which fields a line has depends on its kind; absent is unknown.
struct SampleRecord {
    SampleKind kind = SampleKind::isolated;
    int launch = 0;
    std::optional<std::int64_t> sequence{};  ///< position of the step in Plan::steps
    std::int64_t time_ns = 0;                ///< CLOCK_MONOTONIC when it began
    std::optional<std::string> case_key{};   ///< isolated; failure of a case
    std::optional<std::string> model{};      ///< isolated, in_context, whole; failure
    std::optional<int> batch{};
    std::optional<int> subgraph{};      ///< isolated: Subgraph::id in `model`
    std::optional<int> iterations{};    ///< timed iterations (runs, for a whole model)
    std::optional<double> time_ms{};    ///< mean of one iteration; in_context: the instrumented run
    std::optional<double> fast_ms{};    ///< isolated, whole: mean of the faster half of iterations
    std::vector<double> subgraph_ms{};  ///< in_context: by Subgraph::id
    std::optional<bool> steady{};       ///< the warm-up was seen to end
    std::optional<int> warmup{};        ///< iterations run and thrown away before the timed ones
    std::optional<std::string> probe{};  ///< drift: "compute", "bandwidth"; peak: e.g. "fma_avx512"
    std::optional<double> per_second{};  ///< peak: FLOP/s or bytes/s
    std::optional<std::string> unit{};   ///< peak: "flop" or "byte"
    std::optional<double> clock_hz{};    ///< peak: of the core that ran it, right after it
    std::optional<std::string>
        reason{};                       ///< failure; stopped; launch_end: "complete", "time_limit"
    std::optional<double> wall_s{};     ///< launch_end: the process, from start to here
    std::optional<double> loading_s{};  ///< launch_end: of it, loading models and capturing cases
    std::optional<Environment> environment{};  ///< environment: only what the writer can know
    /// On each line of a launch that was not pinned; campaign: of all launches but those beside.
    std::optional<Allocator> allocator{};
    /// campaign: what must agree for a run to resume. `settings` is a plan without steps as JSON
    /// text, `rules` says how many launches and repetitions there are and when to stop.
    std::optional<std::string> settings{};
    std::optional<std::string> rules{};

    friend bool operator==(SampleRecord const&, SampleRecord const&) = default;
};

}  // namespace derate
