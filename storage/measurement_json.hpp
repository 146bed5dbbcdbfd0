#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "core/hardware.hpp"
#include "core/measurement.hpp"

namespace derate {

/// The format of a measurement file: `"format": "derate_measurement", "version": 1`.
///
/// Reads the full form that `derate measure` writes and the sparse one of imported data (a plain
/// `mean, std, min, max, samples` per subgraph). Fields that are computed from others (efficiency,
/// achieved_flops, ...) are written for people and not read back.
///
/// \param where  file name, for messages
/// \throws InputError naming the JSON pointer of the first fault: unknown field, missing field,
///         wrong type, value out of range, a newer version
[[nodiscard]] Measurement measurement_from_json(nlohmann::json const& json, std::string_view where);

[[nodiscard]] nlohmann::json to_json(Measurement const& measurement);

/// Parts that other files share.
[[nodiscard]] Subgraph subgraph_from_json(nlohmann::json const& json, std::string_view where);
[[nodiscard]] nlohmann::json to_json(Subgraph const& subgraph);
[[nodiscard]] Timing timing_from_json(nlohmann::json const& json, std::string_view where);
[[nodiscard]] nlohmann::json to_json(Timing const& timing);
/// A peak rate, or null.
[[nodiscard]] std::optional<PeakRate> peak_from_json(nlohmann::json const& json,
                                                     std::string_view where);
[[nodiscard]] nlohmann::json to_json(std::optional<PeakRate> const& peak);
/// The hardware block of files that know one precision and thread count: at most one peak each.
[[nodiscard]] Hardware measured_hardware_from_json(nlohmann::json const& json,
                                                   std::string_view where,
                                                   Condition const& condition);
[[nodiscard]] nlohmann::json measured_hardware_to_json(Hardware const& hardware,
                                                       Condition const& condition);

}  // namespace derate
