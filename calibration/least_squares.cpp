#include "calibration/least_squares.hpp"

#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <unsupported/Eigen/NonLinearOptimization>

namespace derate {
namespace {

using Real = long double;
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>;
using Vector = Eigen::Matrix<Real, Eigen::Dynamic, 1>;

constexpr int max_evaluations = 20000;

void require_matching(std::size_t observations, std::size_t parameters,
                      std::span<double const> weights) {
    if (!weights.empty() && weights.size() != observations) {
        throw std::invalid_argument{"one weight an observation is required"};
    }
    for (double const weight : weights) {
        if (!(weight > 0)) throw std::invalid_argument{"weights must be positive"};
    }
    if (parameters == 0) throw std::invalid_argument{"a fit needs one parameter or more"};
    if (observations < parameters) {
        throw FitFailure{std::to_string(observations) + " observations cannot give " +
                         std::to_string(parameters) + " parameters"};
    }
}

Vector root_weights(std::size_t observations, std::span<double const> weights) {
    Vector roots = Vector::Ones(static_cast<Eigen::Index>(observations));
    for (std::size_t i = 0; i < weights.size(); ++i) {
        roots(static_cast<Eigen::Index>(i)) = std::sqrt(static_cast<Real>(weights[i]));
    }
    return roots;
}

// Columns scaled to length 1: pivoting and the rank test then compare directions, not units.
struct EquilibratedQr {
    Vector scale;  // parameters
    Eigen::ColPivHouseholderQR<Matrix> qr;

    explicit EquilibratedQr(Matrix const& jacobian) : scale{jacobian.colwise().norm()} {
        for (Eigen::Index j = 0; j < scale.size(); ++j) {
            if (!(scale(j) > 0) || !std::isfinite(scale(j))) {
                throw FitFailure{"parameter " + std::to_string(j) + " has no effect on the data"};
            }
        }
        qr.compute(jacobian * scale.cwiseInverse().asDiagonal());
        if (qr.rank() < jacobian.cols()) {
            throw FitFailure{"the data cannot tell the parameters apart"};
        }
    }

    [[nodiscard]] Vector solve(Vector const& right_side) const {
        Vector const scaled = qr.solve(right_side);
        return scaled.cwiseQuotient(scale);
    }

    // (J'J)^-1 = S^-1 P R^-1 R^-T P' S^-1.
    [[nodiscard]] Matrix inverse_normal_matrix() const {
        auto const n = scale.size();
        Matrix inverse_r =
            qr.matrixR().topLeftCorner(n, n).template triangularView<Eigen::Upper>().solve(
                Matrix::Identity(n, n));
        Matrix const rows = scale.cwiseInverse().asDiagonal() * (qr.colsPermutation() * inverse_r);
        return rows * rows.transpose();
    }
};

LeastSquaresFit fit_of(Vector const& parameters, Vector const& weighted_residuals,
                       EquilibratedQr const& decomposition) {
    LeastSquaresFit fit;
    auto const count = parameters.size();
    fit.degrees_of_freedom = static_cast<int>(weighted_residuals.size() - count);
    Real const chi_squared = weighted_residuals.squaredNorm();
    fit.chi_squared = static_cast<double>(chi_squared);
    for (Real const parameter : parameters) {
        if (!std::isfinite(parameter)) throw FitFailure{"a parameter is not finite"};
        fit.parameters.push_back(static_cast<double>(parameter));
    }
    if (fit.degrees_of_freedom == 0) return fit;

    Matrix const covariance =
        decomposition.inverse_normal_matrix() * (chi_squared / fit.degrees_of_freedom);
    for (Eigen::Index row = 0; row < count; ++row) {
        for (Eigen::Index column = 0; column <= row; ++column) {
            fit.packed_covariance.push_back(static_cast<double>(covariance(row, column)));
        }
    }
    return fit;
}

// The functor that Eigen's Levenberg-Marquardt asks for.
struct WeightedResiduals {
    ModelFunction const& function;
    std::span<double const> response;
    Vector const& root_weight;
    Eigen::Index parameter_count;

    using Scalar = Real;
    [[nodiscard]] int values() const { return static_cast<int>(response.size()); }
    [[nodiscard]] int inputs() const { return static_cast<int>(parameter_count); }

    [[nodiscard]] Real value(Vector const& parameters, std::size_t i) const {
        return function({parameters.data(), static_cast<std::size_t>(parameters.size())}, i);
    }

    int operator()(Vector const& parameters, Vector& residuals) const {
        for (std::size_t i = 0; i < response.size(); ++i) {
            auto const row = static_cast<Eigen::Index>(i);
            residuals(row) = root_weight(row) * (value(parameters, i) - response[i]);
            // A trial step may leave the function's domain: a huge residual sends it back.
            if (!std::isfinite(residuals(row))) residuals(row) = 1e30L;
        }
        return 0;
    }

    int df(Vector const& parameters, Matrix& jacobian) const {
        // Error of a central difference ~ step^2 + eps / step, least at the cube root.
        static Real const step_scale = std::cbrt(std::numeric_limits<Real>::epsilon());
        Vector moved = parameters;
        for (Eigen::Index j = 0; j < parameter_count; ++j) {
            Real const step = step_scale * (parameters(j) == 0 ? Real{1} : std::abs(parameters(j)));
            for (std::size_t i = 0; i < response.size(); ++i) {
                auto const row = static_cast<Eigen::Index>(i);
                moved(j) = parameters(j) + step;
                Real const above = value(moved, i);
                Real const upper = moved(j);
                moved(j) = parameters(j) - step;
                Real const below = value(moved, i);
                jacobian(row, j) = root_weight(row) * (above - below) / (upper - moved(j));
            }
            moved(j) = parameters(j);
        }
        return 0;
    }
};

}  // namespace

std::size_t packed_index(std::size_t row, std::size_t column) {
    if (row < column) std::swap(row, column);
    return row * (row + 1) / 2 + column;
}

double quadratic_form(std::span<double const> packed_covariance, std::span<double const> gradient) {
    double sum = 0;
    for (std::size_t row = 0; row < gradient.size(); ++row) {
        for (std::size_t column = 0; column < gradient.size(); ++column) {
            sum += gradient[row] * gradient[column] * packed_covariance[packed_index(row, column)];
        }
    }
    return sum;
}

std::vector<double> LeastSquaresFit::standard_errors() const {
    if (packed_covariance.empty()) throw std::logic_error{"no degrees of freedom, no errors"};
    std::vector<double> errors;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        errors.push_back(std::sqrt(packed_covariance[packed_index(i, i)]));
    }
    return errors;
}

LeastSquaresFit linear_least_squares(std::span<long double const> design,
                                     std::span<double const> response,
                                     std::span<double const> weights) {
    if (response.empty() || design.size() % response.size() != 0) {
        throw std::invalid_argument{"the design needs as many values in every row"};
    }
    auto const rows = static_cast<Eigen::Index>(response.size());
    auto const columns = static_cast<Eigen::Index>(design.size()) / rows;
    require_matching(response.size(), static_cast<std::size_t>(columns), weights);

    using RowMajor = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    Vector const roots = root_weights(response.size(), weights);
    Matrix const weighted =
        roots.asDiagonal() * Eigen::Map<RowMajor const>{design.data(), rows, columns};
    Vector const weighted_response =
        Eigen::Map<Eigen::VectorXd const>{response.data(), rows}.cast<Real>().cwiseProduct(roots);

    EquilibratedQr const decomposition{weighted};
    Vector parameters = decomposition.solve(weighted_response);
    // One step of refinement gains the digits that an ill-conditioned design loses.
    parameters += decomposition.solve(weighted_response - weighted * parameters);
    return fit_of(parameters, weighted_response - weighted * parameters, decomposition);
}

LeastSquaresFit nonlinear_least_squares(ModelFunction const& function,
                                        std::span<double const> start,
                                        std::span<double const> response,
                                        std::span<double const> weights) {
    require_matching(response.size(), start.size(), weights);
    Vector const roots = root_weights(response.size(), weights);
    auto const count = static_cast<Eigen::Index>(start.size());
    WeightedResiduals residuals{function, response, roots, count};
    Vector const first = Eigen::Map<Eigen::VectorXd const>{start.data(), count}.cast<Real>();

    // From a poor start a long first step can land where the function is flat (NIST's BoxBOD); a
    // shorter one walks there.
    std::string failure;
    for (Real const step_bound : {100.0L, 1.0L, 0.1L}) {
        Vector parameters = first;
        Eigen::LevenbergMarquardt<WeightedResiduals, Real> solver{residuals};
        solver.parameters.maxfev = max_evaluations;
        solver.parameters.ftol = solver.parameters.xtol = 1e-16L;
        solver.parameters.factor = step_bound;
        auto const status = solver.minimize(parameters);
        if (status == Eigen::LevenbergMarquardtSpace::TooManyFunctionEvaluation) {
            failure = "no convergence in " + std::to_string(max_evaluations) + " evaluations";
            continue;
        }
        Vector at_minimum{static_cast<Eigen::Index>(response.size())};
        residuals(parameters, at_minimum);
        Matrix jacobian{at_minimum.size(), count};
        residuals.df(parameters, jacobian);
        try {
            if (!jacobian.allFinite())
                throw FitFailure{"the function is not finite at its minimum"};
            return fit_of(parameters, at_minimum, EquilibratedQr{jacobian});
        } catch (FitFailure const& reason) {
            failure = reason.what();
        }
    }
    throw FitFailure{failure};
}

}  // namespace derate
