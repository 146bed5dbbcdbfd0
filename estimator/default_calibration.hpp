#pragma once
#include "core/calibration.hpp"
#include "core/default_rules.hpp"
#include "core/hardware.hpp"

namespace derate {

/// The conservative default as curves for one piece of hardware: the rules' fractions of its peaks.
///
/// A precision whose peak the hardware does not state takes that of FP32, and hardware without any
/// takes the rules' own assumptions.
///
/// \param defaults  calibration of source conservative_default; has default_rules
/// \throws std::invalid_argument  there are no default rules, or neither hardware nor rules state a
///         peak
[[nodiscard]] Calibration default_calibration(Calibration const& defaults,
                                              std::optional<Hardware> const& hardware,
                                              Precision precision);

}  // namespace derate
