#pragma once
#include <optional>
#include <span>

namespace derate {

struct ShapiroWilk {
    double w = 1;  ///< between 0 and 1, near 1 for normal data
    double p_value = 1;
};

/// Is the sample normal? Royston's approximation to the Shapiro-Wilk W and its p-value.
///
/// \return empty below 3 or above 5000 values (the approximation's range) or without spread
/// Source: Royston, "Remark AS R94", Applied Statistics 44 (1995) 547-551.
[[nodiscard]] std::optional<ShapiroWilk> shapiro_wilk(std::span<double const> values);

struct AndersonDarling {
    double a_squared = 0;           ///< with mean and variance estimated from the sample
    double adjusted_a_squared = 0;  ///< a_squared (1 + 0.75/n + 2.25/n^2)
    double p_value = 1;             ///< D'Agostino and Stephens' formula on the adjusted value
};

/// Is the sample normal? Weighs the tails more than Shapiro-Wilk does.
///
/// \return empty below 8 values (the p-value's range) or without spread
/// Source: D'Agostino, Stephens, "Goodness-of-fit techniques", Dekker 1986, tables 4.7 and 4.9.
[[nodiscard]] std::optional<AndersonDarling> anderson_darling_normal(
    std::span<double const> values);

}  // namespace derate
