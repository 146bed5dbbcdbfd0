#pragma once
#include <optional>
#include <span>
#include <vector>

#include "statistics/interval.hpp"

namespace derate {

/// Sample quantile of type 7 (linear between order statistics; the default of R and numpy).
/// \param values       one or more, in any order
/// \param probability  0 to 1
/// \throws std::invalid_argument otherwise
/// Source: Hyndman, Fan, "Sample quantiles in statistical packages", American Statistician 50
/// (1996).
[[nodiscard]] double quantile(std::span<double const> values, double probability);

/// The same of values that are already sorted, without copying them.
[[nodiscard]] double quantile_of_sorted(std::span<double const> sorted, double probability);

[[nodiscard]] double median(std::span<double const> values);

/// Expected least of `drawn` values that are drawn without replacement: sum over i of
/// sorted[i] C(n - 1 - i, drawn - 1) / C(n, drawn), the U-statistic of the least of `drawn`. So the
/// leasts of samples of unequal size are compared at one size, of which the least itself is no
/// function.
///
/// \param sorted  one or more, ascending
/// \param drawn   1 (then it is the mean) to as many as there are (then it is the first)
/// \throws std::invalid_argument otherwise
/// Source: Hoeffding, "A class of statistics with asymptotically normal distribution", Annals of
/// Mathematical Statistics 19 (1948).
[[nodiscard]] double expected_least_of_sorted(std::span<double const> sorted, std::size_t drawn);

/// Median absolute deviation from the median, not scaled to a standard deviation.
[[nodiscard]] double median_absolute_deviation(std::span<double const> values);

/// Tukey's fences on the logarithm, returned in the values' own unit: exp of (lower quartile -
/// multiplier IQR, upper quartile + multiplier IQR) of log x. For positive, right-skewed times,
/// where fences on the plain scale would name too many. \return empty below four values or when one
/// is not positive Source: Tukey, "Exploratory Data Analysis", Addison-Wesley 1977, section 2.
[[nodiscard]] std::optional<Interval> tukey_fences_of_log(std::span<double const> values,
                                                          double multiplier = 1.5);

/// Indices of the values outside tukey_fences_of_log(), ascending.
[[nodiscard]] std::vector<std::size_t> outliers_of_log(std::span<double const> values,
                                                       double multiplier = 1.5);

}  // namespace derate
