#pragma once
#include <nlohmann/json_fwd.hpp>

#include "core/condition.hpp"
#include "storage/fields.hpp"

namespace derate {

/// Which fields of a condition a format has, and how it spells what is unknown.
enum class ConditionDialect {
    calibration,  ///< unknown threads are null; an unknown allocator or cache state is left out
    evidence,     ///< all fields; unknown threads are 0, an unknown allocator null
    measurement,  ///< as evidence; sparse files leave out all but the precision
};

/// \throws InputError  a field is missing that the dialect demands, or holds no such value
[[nodiscard]] Condition condition_from_json(JsonFields& fields, ConditionDialect dialect);

/// Adds the condition's fields to a file's.
void add_condition(nlohmann::json& file, Condition const& condition, ConditionDialect dialect);

}  // namespace derate
