#pragma once

namespace derate {

/// Distribution functions and quantiles, computed by Boost.Math; callers need not link it.
/// Arguments out of range throw std::domain_error; `probability` lies strictly between 0 and 1.

[[nodiscard]] double normal_cdf(double z);       ///< P(Z <= z)
[[nodiscard]] double normal_survival(double z);  ///< P(Z > z), exact far out
[[nodiscard]] double normal_quantile(double probability);

/// \param degrees_of_freedom  > 0, need not be whole; infinity gives the normal distribution
[[nodiscard]] double student_t_cdf(double t, double degrees_of_freedom);
[[nodiscard]] double student_t_survival(double t, double degrees_of_freedom);
[[nodiscard]] double student_t_quantile(double probability, double degrees_of_freedom);

[[nodiscard]] double chi_squared_cdf(double x, double degrees_of_freedom);
[[nodiscard]] double chi_squared_survival(double x, double degrees_of_freedom);
[[nodiscard]] double chi_squared_quantile(double probability, double degrees_of_freedom);

[[nodiscard]] double fisher_f_survival(double f, double degrees_of_freedom_between,
                                       double degrees_of_freedom_within);

[[nodiscard]] double beta_quantile(double probability, double alpha, double beta);

}  // namespace derate
