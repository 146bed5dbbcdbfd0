#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/default_rules.hpp"
#include "core/legacy_rules.hpp"

namespace derate {

/// Field `legacy_rules` of efficiency_curves.json.
///
/// \param where  "<file>#<pointer>", for messages
/// \throws InputError naming the JSON pointer of the first fault: a field of the wrong kind, a
///         condition that names an unknown feature, segments with a gap or out of order
[[nodiscard]] LegacyRules legacy_rules_from_json(nlohmann::json const& json,
                                                 std::string_view where);
[[nodiscard]] nlohmann::json to_json(LegacyRules const& rules);

/// Field `default_rules` of efficiency_curves.json.
[[nodiscard]] DefaultRules default_rules_from_json(nlohmann::json const& json,
                                                   std::string_view where);
[[nodiscard]] nlohmann::json to_json(DefaultRules const& rules);

}  // namespace derate
