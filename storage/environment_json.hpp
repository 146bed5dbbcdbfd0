#pragma once
#include <string>
#include <string_view>

#include "measuring/environment.hpp"

namespace derate {

/// One JSON object with every field, null where unknown, keys sorted, no white space: the canonical
/// form that is hashed.
[[nodiscard]] std::string to_json_text(Environment const& environment);

/// \throws InputError  not JSON, an unknown field, a field of the wrong type
[[nodiscard]] Environment environment_from_json(std::string_view text, std::string_view where);

/// SHA-256 (64 hex digits) of the canonical JSON without volatile fields: equal where two runs may
/// be compared without a second thought.
[[nodiscard]] std::string environment_hash(Environment const& environment);

}  // namespace derate
