#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/evidence.hpp"

namespace derate {

/// `"format": "derate_evidence", "version": 2`; on disk compressed, in `evidence/` beside the
/// curves. Version 1 is read: its launches carry no number, so that they are told apart by content
/// alone.
///
/// \param where  file name, for messages
/// \throws InputError naming the JSON pointer of the first fault, or the first broken rule of
///         violations()
[[nodiscard]] Evidence evidence_from_json(nlohmann::json const& json, std::string_view where);
[[nodiscard]] nlohmann::json to_json(Evidence const& evidence);

}  // namespace derate
