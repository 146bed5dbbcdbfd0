#pragma once
#include <span>
#include <vector>

namespace derate {

/// Holm's step-down adjusted p-values, in the order given. Rejecting where the adjusted value is
/// below alpha keeps the chance of even one false rejection below alpha, under any dependence.
/// \param p_values  each between 0 and 1
/// Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
[[nodiscard]] std::vector<double> holm_adjusted(std::span<double const> p_values);

/// Benjamini-Hochberg adjusted p-values, in the order given: the expected share of false ones among
/// the rejected stays below alpha, for independent or positively dependent tests.
/// Source: Benjamini, Hochberg, J. Royal Statistical Society B 57 (1995) 289-300.
[[nodiscard]] std::vector<double> benjamini_hochberg_adjusted(std::span<double const> p_values);

}  // namespace derate
