#include "storage/condition_json.hpp"

#include <nlohmann/json.hpp>

namespace derate {

Condition condition_from_json(JsonFields& fields, ConditionDialect dialect) {
    using enum ConditionDialect;
    Condition condition;
    condition.precision = fields.word("precision", parse_precision, "FP32, FP16, BF16 or INT8");
    if (dialect == evidence || fields.find("threads")) {
        int const threads = fields.integer<int>("threads", dialect == calibration ? 1 : 0);
        if (threads > 0) condition.execution.threads = threads;
    }
    if (dialect == evidence || fields.find("cache_state")) {
        condition.cache_state =
            fields.word("cache_state", parse_cache_state, "a cache state of docs/measuring.md");
    }
    if (fields.find("allocator")) {
        condition.execution.allocator =
            fields.word("allocator", parse_allocator, "pinned or default");
    }
    // Sparse files cut models and count work by the rules of the project they come from.
    auto const rule = [&](char const* name) {
        return dialect == measurement ? fields.optional_text(name).value_or("foreign")
                                      : fields.text(name);
    };
    condition.partition = rule("partition");
    condition.flop_rule = rule("flop_rule");
    return condition;
}

void add_condition(nlohmann::json& file, Condition const& condition, ConditionDialect dialect) {
    bool const spells_unknown = dialect != ConditionDialect::calibration;
    file["precision"] = to_string(condition.precision);
    if (condition.execution.threads) {
        file["threads"] = *condition.execution.threads;
    } else {
        file["threads"] = spells_unknown ? nlohmann::json(0) : nlohmann::json();
    }
    if (condition.cache_state != CacheState::unknown || spells_unknown) {
        file["cache_state"] = to_string(condition.cache_state);
    }
    if (condition.execution.allocator) {
        file["allocator"] = to_string(*condition.execution.allocator);
    } else if (spells_unknown) {
        file["allocator"] = nullptr;
    }
    file["partition"] = condition.partition;
    file["flop_rule"] = condition.flop_rule;
}

}  // namespace derate
