#pragma once
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace derate {

/// Why a fit has no answer: fewer observations than parameters, parameters the data cannot tell
/// apart, no convergence. A result of data, not of a broken program.
class FitFailure : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Parameters of a weighted least-squares fit and how well they are known.
///
/// The covariance is (J'WJ)^-1 scaled by chi^2 / degrees of freedom: weights count as relative.
/// Where they are 1/variance in truth, divide by `chi_squared / degrees_of_freedom` for the
/// absolute covariance.
struct LeastSquaresFit {
    std::vector<double> parameters;
    std::vector<double> packed_covariance;  ///< lower triangle by rows; empty without freedom left
    double chi_squared = 0;                 ///< sum of weight * residual^2
    int degrees_of_freedom = 0;             ///< observations - parameters, >= 0

    /// sqrt of the covariance's diagonal. \throws std::logic_error when there is none
    [[nodiscard]] std::vector<double> standard_errors() const;
};

/// Row and column of a symmetric matrix packed by rows of its lower triangle.
[[nodiscard]] std::size_t packed_index(std::size_t row, std::size_t column);

/// gradient' * covariance * gradient.
[[nodiscard]] double quadratic_form(std::span<double const> packed_covariance,
                                    std::span<double const> gradient);

/// Minimises sum_i w_i (y_i - sum_j X_ij b_j)^2 by QR with column pivoting of the equilibrated
/// design in extended precision: nearly collinear polynomials (NIST's Filip, condition 1e10) keep
/// eight digits and more.
///
/// \param design       observations x parameters, by rows
/// \param response     one an observation
/// \param weights      one an observation, > 0; empty: all 1
/// \throws std::invalid_argument  sizes that do not match, or a weight that is not positive
/// \throws FitFailure             fewer observations than parameters, or dependent columns
[[nodiscard]] LeastSquaresFit linear_least_squares(std::span<long double const> design,
                                                   std::span<double const> response,
                                                   std::span<double const> weights = {});

/// Value of a model function at one observation. Extended precision, because the derivatives come
/// from central differences.
using ModelFunction =
    std::function<long double(std::span<long double const> parameters, std::size_t observation)>;

/// Minimises sum_i w_i (y_i - f(b, i))^2 by Levenberg-Marquardt (MINPACK's, as Eigen has it) from
/// `start`, in extended precision.
///
/// A minimum found is a local one: try several starts where the function is not convex.
///
/// \throws std::invalid_argument  sizes that do not match, or a weight that is not positive
/// \throws FitFailure             fewer observations than parameters, no convergence, a singular
///                                normal matrix, or values that are not finite
/// Source: More, "The Levenberg-Marquardt algorithm", LNM 630 (1978); MINPACK-1, ANL-80-74.
[[nodiscard]] LeastSquaresFit nonlinear_least_squares(ModelFunction const& function,
                                                      std::span<double const> start,
                                                      std::span<double const> response,
                                                      std::span<double const> weights = {});

}  // namespace derate
