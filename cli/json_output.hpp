#pragma once
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "cli/estimate_breakdown.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "core/warning.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate::cli {

/// Prints what a command found: an object, or a list of them, as hardware_registry/schema/ has it
/// (docs/schemas/output.md). An object names its schema; each says which derate printed it.
void print_json(std::string_view schema, nlohmann::json result);

/// Several results as one object: the first, which holds the further ones as its "others".
[[nodiscard]] nlohmann::json with_others(std::vector<nlohmann::json> results);

/// Sets "threads", "precision", "device", "allocator" and "cache_state", which timings or curves
/// hold under; null where unknown.
///
/// \param calibration, evidence  nullptr: not at hand
void set_condition(nlohmann::json& result, Calibration const* calibration, Evidence const* evidence);

/// Values of a symbolic export's symbols, as "dimensions" has them.
[[nodiscard]] nlohmann::json dimensions_json(std::span<BoundDimension const> dimensions);

/// Sets "trust_grade", "verdict" and "provisional" as the first of the calibrations that says has
/// them.
void set_judgement(nlohmann::json& result, std::span<UsedCalibration const> used);

/// Sets "warnings" (sentences) and "coded_warnings" (each with its code).
void set_warnings(nlohmann::json& result, std::span<Warning const> warnings);

}  // namespace derate::cli
