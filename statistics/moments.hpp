#pragma once
#include <optional>
#include <span>
#include <vector>

namespace derate {

/// (x - mean) / s with s of divisor n - 1; zeros without spread.
///
/// Of n values none can lie further out than (n - 1) / sqrt(n): below 11 values no one is beyond 3.
[[nodiscard]] std::vector<double> standardised(std::span<double const> values);

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
