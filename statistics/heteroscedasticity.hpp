#pragma once
#include <optional>
#include <span>

namespace derate {

struct BreuschPagan {
    double statistic =
        0;  ///< n R^2 of residual^2 on the regressor, chi^2(1) when variance is constant
    double p_value = 1;
    double slope = 0;  ///< of residual^2 on the regressor: its sign says where the spread grows
};

/// Does the variance of residuals change with `regressor` (say log10 of work)? Koenker's
/// studentised form, which does not assume normal residuals.
///
/// \param residuals  of a fit, about zero
/// \param regressor  as many values; an intercept is added
/// \return empty below 4 values or when either side has no spread
/// \throws std::invalid_argument  the lengths differ
/// Source: Koenker, "A note on studentizing a test for heteroscedasticity", J. Econometrics 17
/// (1981).
[[nodiscard]] std::optional<BreuschPagan> breusch_pagan(std::span<double const> residuals,
                                                        std::span<double const> regressor);

}  // namespace derate
