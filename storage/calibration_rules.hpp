#pragma once
#include <string>
#include <vector>

#include "core/calibration.hpp"
#include "storage/schema_check.hpp"

namespace derate {

/// The rules of a calibration that a schema cannot say: knots and data points increase,
/// min <= mean <= max, limits in order, lists of equal length, the right content for the source.
/// docs/schemas/efficiency_calibration.md lists them.
///
/// \return every broken rule with the JSON pointer of its place in the file; empty if all hold
[[nodiscard]] std::vector<Violation> broken_rules(Calibration const& calibration);

}  // namespace derate
