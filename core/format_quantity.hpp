#pragma once
#include <optional>
#include <string>

#include "core/quantity.hpp"

namespace derate {

/// Three significant digits with a decimal prefix: "12.5 MFLOP", "950 FLOP", "0 FLOP".
[[nodiscard]] std::string format_flops(Flops work);

/// Three significant digits with a binary prefix: "1.50 MiB", "612 B".
[[nodiscard]] std::string format_bytes(Bytes traffic);

/// Three significant digits with a decimal prefix: "1.28 TFLOP/s", "31.4 GB/s".
[[nodiscard]] std::string format_rate(FlopsPerSecond rate);
[[nodiscard]] std::string format_rate(BytesPerSecond rate);

/// A time in ms with no digit beyond what its interval supports: the last digit shown is the second
/// significant digit of the half-width. 12.3456 with half-width 0.87 is "12.35 ms", 1234.5 with 87
/// is "1234 ms".
///
/// \param half_width_ms  of the interval; without one, four significant digits are shown
[[nodiscard]] std::string format_ms(double time_ms, std::optional<double> half_width_ms = {});

/// The number alone, for tables whose head holds the unit.
[[nodiscard]] std::string format_significant(double value, int digits);

}  // namespace derate
