#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/calibration.hpp"

namespace derate {

/// Content of efficiency_curves.json (schema efficiency_calibration_v1.json).
///
/// \param where  file name, for messages
/// \throws InputError naming the JSON pointer of the first fault
[[nodiscard]] Calibration calibration_from_json(nlohmann::json const& json, std::string_view where);
[[nodiscard]] nlohmann::json to_json(Calibration const& calibration);

/// The same without `broken_rules` (storage/calibration_rules.hpp), for whoever reports them all.
[[nodiscard]] Calibration calibration_without_rules(nlohmann::json const& json,
                                                    std::string_view where);

}  // namespace derate
