#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace derate {

enum class DistributionFamily { normal, log_normal, beta };

[[nodiscard]] std::string_view to_string(
    DistributionFamily family);  ///< "normal", "log-normal", ...

/// A distribution fitted by maximum likelihood, two parameters each:
/// normal (mean, standard deviation with divisor n), log_normal (the same of the logarithm),
/// beta (alpha, beta).
struct DistributionFit {
    DistributionFamily family = DistributionFamily::normal;
    double first = 0;
    double second = 0;
    double log_likelihood = 0;  ///< natural logarithm, of all values
    double aic = 0;             ///< 2 parameters - 2 log-likelihood; smaller is better
    double bic = 0;             ///< ln(n) parameters - 2 log-likelihood

    [[nodiscard]] double density(double x) const;
    [[nodiscard]] double quantile(double probability) const;
};

/// \return empty below two values or without spread
[[nodiscard]] std::optional<DistributionFit> fit_normal(std::span<double const> values);

/// \return empty also when a value is not positive
[[nodiscard]] std::optional<DistributionFit> fit_log_normal(std::span<double const> values);

/// \return empty also when a value lies outside (0, 1): efficiencies above 1 have no beta fit
[[nodiscard]] std::optional<DistributionFit> fit_beta(std::span<double const> values);

/// Those of the three that exist for these values, best AIC first.
[[nodiscard]] std::vector<DistributionFit> fit_distributions(std::span<double const> values);

}  // namespace derate
