#pragma once
#include <optional>
#include <span>

namespace derate {

struct ChiSquaredTest {
    double statistic = 0;
    double degrees_of_freedom = 0;
    double p_greater = 1;  ///< P(chi^2 >= statistic): small when the variance is understated
    double p_less = 1;     ///< P(chi^2 <= statistic): small when the variance is overstated
    double p_value = 1;    ///< two-sided, twice the smaller, at most 1
};

/// Do standardised residuals have variance 1 about zero? sum z^2 against chi^2(n).
///
/// The mean is given (zero), so n degrees of freedom, not n - 1. Assumes independent normal z:
/// models of one family are not independent and heavy tails inflate the statistic, so a verdict
/// should come from a bootstrap over families (statistics/bootstrap.hpp).
/// \return empty for an empty sample
[[nodiscard]] std::optional<ChiSquaredTest> unit_variance_test(
    std::span<double const> standardised_residuals);

/// Is the variance of a normal population `hypothesised_variance`, the mean unknown?
/// (n - 1) s^2 / sigma^2 against chi^2(n - 1).
/// \param hypothesised_variance  > 0
/// \return empty below two values
[[nodiscard]] std::optional<ChiSquaredTest> variance_test(std::span<double const> values,
                                                          double hypothesised_variance);

}  // namespace derate
