#include "core/condition.hpp"

#include <cctype>

#include "core/name_table.hpp"

namespace derate {
namespace {

constexpr NameTable<CacheState, 5> cache_state_names{{
    {CacheState::hot, "hot"},
    {CacheState::cold_activations, "cold_activations"},
    {CacheState::cold_all, "cold_all"},
    {CacheState::in_context, "in_context"},
    {CacheState::unknown, "unknown"},
}};

constexpr NameTable<Backend, 1> backend_names{{{Backend::eager, "eager"}}};

}  // namespace

std::string_view to_string(CacheState state) {
    return name_of(state, cache_state_names);
}

std::optional<CacheState> parse_cache_state(std::string_view text) {
    return value_named(text, cache_state_names);
}

std::string_view to_string(Backend backend) { return name_of(backend, backend_names); }

std::optional<Backend> parse_backend(std::string_view name) {
    return value_named(name, backend_names);
}

std::vector<ConditionPart> parts_of(Condition const& condition) {
    auto const& [execution, precision, cache_state, partition, flop_rule] = condition;
    auto const& [device, backend, threads, cpus, allocator] = execution;
    static_cast<void>(backend);  // there is one
    return {{"device", "device", std::string{torch_name(device)}},
            {"affinity", "affinity", cpus.empty() ? "unknown" : cpu_list(cpus)},
            {"precision", "precision", std::string{to_string(precision)}},
            {"threads", "thread count", threads ? std::to_string(*threads) : "unknown"},
            {"cache_state", "cache state", std::string{to_string(cache_state)}},
            {"allocator", "allocator",
             allocator ? std::string{to_string(*allocator)} : std::string{"unknown"}},
            {"partition", "partition", partition},
            {"flop_rule", "FLOP rule", flop_rule}};
}

std::string cpu_list(std::span<int const> cpus) {
    std::string text;
    for (std::size_t first = 0; first < cpus.size();) {
        auto last = first;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
        if (!text.empty()) text += ",";
        text += std::to_string(cpus[first]);
        if (last > first) text += "-" + std::to_string(cpus[last]);
        first = last + 1;
    }
    return text;
}

std::string threads_text(std::optional<int> threads) {
    if (!threads) return "threads unknown";
    return std::to_string(*threads) + (*threads == 1 ? " thread" : " threads");
}

std::string to_text(Execution const& execution) {
    return std::string{to_string(execution.device)} + ", " + threads_text(execution.threads) +
           (execution.cpus.empty() ? ", not bound" : ", CPUs " + cpu_list(execution.cpus)) +
           ", allocator " +
           (execution.allocator ? std::string{to_string(*execution.allocator)} : "unknown");
}

std::string to_text(Condition const& condition) {
    return std::string{to_string(condition.precision)} + ", " +
           threads_text(condition.execution.threads);
}

std::string file_suffix(Condition const& condition) {
    std::string suffix;
    if (condition.precision != Precision::fp32) {
        suffix += '_';
        for (char const letter : to_string(condition.precision)) {
            suffix += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
        }
    }
    if (condition.execution.threads && *condition.execution.threads > 1) {
        suffix += "_t" + std::to_string(*condition.execution.threads);
    }
    if (condition.execution.allocator == Allocator::untouched) suffix += "_default_malloc";
    return suffix;
}

}  // namespace derate
