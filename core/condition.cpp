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

}  // namespace

std::string_view to_string(CacheState state) {
    return name_of(state, cache_state_names);
}

std::optional<CacheState> parse_cache_state(std::string_view text) {
    return value_named(text, cache_state_names);
}

std::vector<ConditionPart> parts_of(Condition const& condition) {
    auto const& [precision, threads, cache_state, allocator, partition, flop_rule] = condition;
    return {{"precision", "precision", std::string{to_string(precision)}},
            {"threads", "thread count", threads ? std::to_string(*threads) : "unknown"},
            {"cache_state", "cache state", std::string{to_string(cache_state)}},
            {"allocator", "allocator",
             allocator ? std::string{to_string(*allocator)} : std::string{"unknown"}},
            {"partition", "partition", partition},
            {"flop_rule", "FLOP rule", flop_rule}};
}

std::string threads_text(std::optional<int> threads) {
    if (!threads) return "threads unknown";
    return std::to_string(*threads) + (*threads == 1 ? " thread" : " threads");
}

std::string to_text(Condition const& condition) {
    return std::string{to_string(condition.precision)} + ", " + threads_text(condition.threads);
}

std::string file_suffix(Condition const& condition) {
    std::string suffix;
    if (condition.precision != Precision::fp32) {
        suffix += '_';
        for (char const letter : to_string(condition.precision)) {
            suffix += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
        }
    }
    if (condition.threads && *condition.threads > 1) {
        suffix += "_t" + std::to_string(*condition.threads);
    }
    if (condition.allocator == Allocator::untouched) suffix += "_default_malloc";
    return suffix;
}

}  // namespace derate
