#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/calibration.hpp"
#include "core/subgraph.hpp"

namespace derate {

/// Name of the rule by which weights and inputs get their values (docs/measuring.md), as
/// plans, measurements, evidence and calibrations carry it.
inline constexpr std::string_view value_rule = "derate_2";
/// Ids that did not reach an embedding directly were 0 and 1, masks and maps were noise. Files of
/// derate's that name no rule are of this one.
inline constexpr std::string_view first_value_rule = "derate_1";

/// The rule of a file of derate's that has no such field.
[[nodiscard]] std::optional<std::string> unstated_value_rule(bool own);

/// Its time depends on values, not on shapes alone: its descriptor says what kind they are of.
[[nodiscard]] bool depends_on_values(Subgraph const& subgraph);

/// One line where the calibration was timed by an earlier rule and some of the subgraphs depend on
/// values; empty otherwise, and where the rule is a foreign one.
///
/// \param latency_ms  of each subgraph
[[nodiscard]] std::optional<std::string> value_rule_note(Calibration const& calibration,
                                                         std::span<Subgraph const> subgraphs,
                                                         std::span<double const> latency_ms);

}  // namespace derate
