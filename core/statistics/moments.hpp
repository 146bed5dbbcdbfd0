#pragma once
#include <optional>
#include <span>

namespace derate {

/// m3 / m2^1.5 with divisor n (Fisher-Pearson g1): 0 for symmetric data.
/// \return empty below two values or without spread
[[nodiscard]] std::optional<double> skewness(std::span<double const> values);

/// m4 / m2^2 - 3 with divisor n (g2): 0 for normal data, positive for heavy tails.
/// \return empty below two values or without spread
[[nodiscard]] std::optional<double> excess_kurtosis(std::span<double const> values);

/// Lag-1 autocorrelation: sum (x_i - m)(x_{i+1} - m) / sum (x_i - m)^2.
/// \return empty below two values or without spread
[[nodiscard]] std::optional<double> lag_one_autocorrelation(std::span<double const> values);

}  // namespace derate
