#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.hpp"
#include "core/device_kind.hpp"
#include "core/precision.hpp"

namespace derate {

/// What lay in the caches when a case was timed.
enum class CacheState { hot, cold_activations, cold_all, in_context, unknown };

[[nodiscard]] std::string_view to_string(CacheState state);
[[nodiscard]] std::optional<CacheState> parse_cache_state(std::string_view name);

/// What cuts a model into kernels, makes one of them runnable and runs it.
enum class Backend {
    eager,  ///< operators one by one through LibTorch's dispatcher
};

[[nodiscard]] std::string_view to_string(Backend backend);
[[nodiscard]] std::optional<Backend> parse_backend(std::string_view name);

/// How a process runs what it times: decided once, before it starts.
struct Execution {
    DeviceKind device = DeviceKind::cpu;
    Backend backend = Backend::eager;
    std::optional<int> threads{};  ///< 1 or more; empty: unknown, or a GPU, where it means nothing
    std::vector<int> cpus{};       ///< affinity, ascending; empty: not bound, or unknown
    std::optional<Allocator> allocator{};  ///< empty: unknown

    friend bool operator==(Execution const&, Execution const&) = default;
};

/// What the timings of one piece of hardware, and the curves made of them, hold under.
struct Condition {
    Execution execution{};
    Precision precision = Precision::fp32;
    CacheState cache_state = CacheState::unknown;  ///< of kernels timed alone
    std::string
        partition{};  ///< the rule that cuts models into subgraphs: "derate_1", or a foreign name
    std::string
        flop_rule{};  ///< the rule that counts work and traffic: "derate_2", or a foreign name

    friend bool operator==(Condition const&, Condition const&) = default;
};

/// One of its parts in words.
struct ConditionPart {
    std::string_view key;   ///< as files spell it: "cache_state"
    std::string_view name;  ///< as people do: "cache state"
    std::string value;      ///< "unknown" where it is
};
[[nodiscard]] std::vector<ConditionPart> parts_of(Condition const& condition);

/// "0-1,4" for CPUs 0, 1 and 4. \param cpus  ascending
[[nodiscard]] std::string cpu_list(std::span<int const> cpus);

/// "2 threads", "threads unknown"
[[nodiscard]] std::string threads_text(std::optional<int> threads);

/// For people: "cpu, 2 threads, CPUs 0-1, allocator pinned".
[[nodiscard]] std::string to_text(Execution const& execution);

/// For people: "FP32, 2 threads".
[[nodiscard]] std::string to_text(Condition const& condition);

/// What it adds to a file's name: "" for FP32 at one thread, else "_bf16", "_t2", "_bf16_t2",
/// "_default_malloc".
[[nodiscard]] std::string file_suffix(Condition const& condition);

}  // namespace derate
