#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.hpp"
#include "core/measurement.hpp"
#include "core/precision.hpp"

namespace derate {

/// A model that a launch needs in memory.
struct PlannedModel {
    std::string name{};  ///< as reports call it
    std::string file{};  ///< absolute path of the .pt2 or the shipped export
    std::optional<int> batch = 1;  ///< empty: its inputs share none
    Precision precision = Precision::fp32;
    /// Values of a symbolic export's symbols; empty for a static one.
    std::map<std::string, std::int64_t> dimensions{};
    bool held_out = false;  ///< a truth to compare with; the program that times need not know
    bool partial = false;   ///< the cases are some of its kernels, and no more are asked for

    friend bool operator==(PlannedModel const&, PlannedModel const&) = default;
};

/// One distinct subgraph in one cache state; timed inside the first planned model that holds it.
struct PlannedCase {
    std::string key{};      ///< case_key(), unique in the plan
    std::size_t model = 0;  ///< index into Plan::models: where its tensors are captured
    int subgraph = 0;       ///< Subgraph::id in that model
    CacheState state = CacheState::cold_all;  ///< hot, cold_activations or cold_all

    friend bool operator==(PlannedCase const&, PlannedCase const&) = default;
};

/// What one step of a launch times, once.
enum class StepKind {
    isolated,    ///< case `index`: one repetition
    in_context,  ///< model `index`: one run with every subgraph timed inside it
    whole,       ///< model `index`: one repetition of whole runs
    drift,       ///< drift probe `index`: 0 compute, 1 bandwidth
};

[[nodiscard]] std::string_view to_string(StepKind kind);

struct PlannedStep {
    StepKind kind = StepKind::isolated;
    std::size_t index = 0;

    friend bool operator==(PlannedStep const&, PlannedStep const&) = default;
};

/// How one repetition is taken: warm up until steady, then time iterations.
///
/// A repetition re-warms itself, because another case ran before it. Its time is the mean over its
/// iterations.
struct RepetitionPolicy {
    double min_timed_ms = 5;    ///< iterate until this much was timed ...
    int min_iterations = 4;     ///< ... and at least this often: one time alone shows no trend
    int max_iterations = 1000;  ///< the shortest kernels: enough for their mean
    double max_warmup_ms = 20;  ///< give up waiting for steadiness after this; then steady: false
    int min_warmup_iterations = 1;  ///< the first call is never timed

    friend bool operator==(RepetitionPolicy const&, RepetitionPolicy const&) = default;
};

/// Everything derate-bench does in one process launch: `derate-bench --plan FILE --samples FILE`.
///
/// The planner decides the order; derate-bench walks `steps` from first to last. The position of a
/// step is its sequence number. A model is loaded (seeded weights and inputs, one whole run to
/// capture the tensors of its cases) at the first step that needs it and freed after the last.
struct Plan {
    std::string campaign{};    ///< id of the visit; every record's launch belongs to it
    int launch = 0;            ///< from 0
    std::uint64_t seed = 0;    ///< of weights, inputs; the order was drawn from it too
    std::string value_rule{};  ///< by which weights and inputs get their values; "derate_2"
    Execution execution{.threads = 1, .allocator = Allocator::pinned};
    RepetitionPolicy repetition;
    double time_limit_s = 0;  ///< of the steps: end at the first boundary after this; 0: none
    bool peaks = false;       ///< run the peak probes before the first step
    std::vector<PlannedModel> models{};
    std::vector<PlannedCase> cases{};
    std::vector<PlannedStep> steps{};
    /// Sequence numbers that an interrupted process of this launch has recorded already; ascending.
    std::vector<std::int64_t> done;

    friend bool operator==(Plan const&, Plan const&) = default;
};

/// "<descriptor hash>/<cache state>/t<threads>@<CPUs>/<precision>", e.g.
/// "9b2f00c3a1d4e587/cold_all/t1@1/FP32": all that a kernel's time depends on beside the machine.
/// Without '@' where the process is not bound; "/default_malloc" is appended under that allocator.
[[nodiscard]] std::string case_key(std::string_view descriptor, CacheState state,
                                   Execution const& execution, Precision precision);

}  // namespace derate
