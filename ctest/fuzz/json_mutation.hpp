#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace derate {

/// JSON text with one value changed: removed, doubled, moved elsewhere, or replaced by one that
/// readers get wrong (null, another type, numbers at the ends of their types, deep nesting).
///
/// What a change of bytes alone hardly ever reaches: text that is still JSON and no longer valid.
///
/// \return empty when `text` is no JSON
[[nodiscard]] std::optional<std::string> mutate_json(std::string_view text, std::uint32_t seed);

}  // namespace derate
