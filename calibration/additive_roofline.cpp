#include "calibration/additive_roofline.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "estimator/roofline.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

constexpr double type_prior_sd = 0.7;
constexpr double parent_prior_sd = 1.0;
constexpr double device_prior_sd = 3.0;
constexpr double residual_scale = 0.3;
constexpr double balanced_rows = 20;

using Rows = std::vector<int>;

/// Columns of terms that not every fit has; -1: this one has not.
struct OptionalColumns {
    int joined = -1;
    int cache = -1;
    int count = 3;  // of all columns
};

OptionalColumns columns_of(RooflineShape const& shape) {
    OptionalColumns columns;
    if (shape.joined_flops) columns.joined = columns.count++;
    if (shape.last_level_cache_bytes) columns.cache = columns.count++;
    return columns;
}

/// Factors of all rows, one column a coefficient; joined FLOPs and cache excess if asked for.
Eigen::MatrixXd design_matrix(std::span<RooflineRow const> rows, RooflineShape const& shape) {
    auto const columns = columns_of(shape);
    AdditiveRoofline const form{.flop_exponent = shape.flop_exponent,
                                .byte_exponent = shape.byte_exponent,
                                .last_level_cache_bytes = shape.last_level_cache_bytes.value_or(0)};
    Eigen::MatrixXd design(std::ssize(rows), columns.count);  // rows x coefficients
    for (Eigen::Index i = 0; i < design.rows(); ++i) {
        auto const factors = roofline_factors(form, rows[static_cast<std::size_t>(i)].terms);
        design(i, 0) = factors.kernels;
        design(i, 1) = factors.flops;
        design(i, 2) = factors.bytes;
        if (columns.joined >= 0) design(i, columns.joined) = factors.joined_flops;
        if (columns.cache >= 0) design(i, columns.cache) = factors.cache_excess;
    }
    return design;
}

/// The 0.2 quantile of t / x over rows that have the term, times 0.6.
Eigen::VectorXd device_centre(Eigen::MatrixXd const& design, Eigen::VectorXd const& log_seconds) {
    Eigen::VectorXd centre(design.cols());
    std::vector<double> ratios;
    for (Eigen::Index j = 0; j < design.cols(); ++j) {
        ratios.clear();
        for (Eigen::Index i = 0; i < design.rows(); ++i) {
            if (design(i, j) > 0) ratios.push_back(std::exp(log_seconds(i)) / design(i, j));
        }
        // A term that no row has stays at a value that costs nothing.
        centre(j) = ratios.empty() ? -40.0 : std::log(0.6 * quantile(ratios, 0.2));
    }
    return centre;
}

struct Solution {
    Eigen::VectorXd theta;  // coefficients
    /// Inverse of normal = data + prior, coefficients x coefficients; and of what it is made.
    Eigen::MatrixXd inverse_normal;
    Eigen::MatrixXd squared_weights;  // J' W^2 J, W the rows' precisions relative to residual_scale
    double prior_precision = 0;
    double parameters_fitted = 0;  // by the data: trace of data / normal, the rest is prior
};

Solution maximum_a_posteriori(Eigen::MatrixXd const& design, Eigen::VectorXd const& log_seconds,
                              Eigen::VectorXd const& weights, Eigen::VectorXd const& centre,
                              double prior_sd) {
    Eigen::VectorXd const row_precision = weights / (residual_scale * residual_scale);
    double const prior_precision = 1 / (prior_sd * prior_sd);
    auto const cost_at = [&](Eigen::VectorXd const& theta) {
        Eigen::ArrayXd const residual =
            log_seconds.array() - (design * theta.array().exp().matrix()).array().log();
        return (row_precision.array() * residual.square()).sum() +
               prior_precision * (theta - centre).squaredNorm();
    };
    Eigen::VectorXd theta = centre;
    Eigen::MatrixXd normal;
    Eigen::MatrixXd squared_weights;
    double cost = cost_at(theta);
    double damping = 1e-3;
    constexpr int most_iterations = 100;
    for (int iteration = 0; iteration < most_iterations; ++iteration) {
        Eigen::MatrixXd const parts = design * theta.array().exp().matrix().asDiagonal();
        Eigen::ArrayXd const sums = parts.rowwise().sum().array();
        Eigen::MatrixXd const jacobian = sums.inverse().matrix().asDiagonal() * parts;
        Eigen::VectorXd const residual = (log_seconds.array() - sums.log()).matrix();
        Eigen::MatrixXd const weighted = row_precision.asDiagonal() * jacobian;
        normal = jacobian.transpose() * weighted;
        squared_weights = weighted.transpose() * weighted * (residual_scale * residual_scale);
        normal.diagonal().array() += prior_precision;
        Eigen::VectorXd const gradient =
            weighted.transpose() * residual - prior_precision * (theta - centre);
        double next_cost = cost;
        Eigen::VectorXd next = theta;
        bool improved = false;
        while (damping < 1e12) {
            Eigen::MatrixXd damped = normal;
            damped.diagonal() *= 1 + damping;
            next = theta + damped.ldlt().solve(gradient);
            next_cost = cost_at(next);
            if (next_cost <= cost) {
                improved = true;
                break;
            }
            damping *= 4;
        }
        if (!improved) break;
        double const gain = cost - next_cost;
        double const step = (next - theta).lpNorm<Eigen::Infinity>();
        theta = next;
        cost = next_cost;
        damping = std::max(damping / 10, 1e-12);
        if (gain <= 1e-14 * (1 + cost) && step < 1e-9) break;
    }
    Eigen::MatrixXd const inverse = normal.inverse();
    auto const count = static_cast<double>(theta.size());
    return {.theta = theta,
            .inverse_normal = inverse,
            .squared_weights = squared_weights,
            .prior_precision = prior_precision,
            .parameters_fitted = count - prior_precision * inverse.trace()};
}

FittedCurve fitted_curve(Solution const& solution, RooflineShape const& shape,
                         Eigen::MatrixXd const& design, Eigen::VectorXd const& log_seconds) {
    auto const columns = columns_of(shape);
    AdditiveRoofline form{
        .kernel_seconds = std::exp(solution.theta(0)),
        .flop_coefficient = design.col(1).maxCoeff() > 0 ? std::exp(solution.theta(1)) : 0,
        .flop_exponent = shape.flop_exponent,
        .byte_coefficient = std::exp(solution.theta(2)),
        .byte_exponent = shape.byte_exponent,
        .joined_flop_coefficient =
            columns.joined >= 0 ? std::exp(solution.theta(columns.joined)) : 0,
        .cache_byte_seconds = columns.cache >= 0 ? std::exp(solution.theta(columns.cache)) : 0,
        .last_level_cache_bytes = shape.last_level_cache_bytes.value_or(0),
    };
    FittedCurve curve{.form = form,
                      .r_squared = std::nullopt,
                      .residual_std = std::nullopt,
                      .parameter_covariance = {}};
    Eigen::ArrayXd const residual =
        log_seconds.array() - (design * solution.theta.array().exp().matrix()).array().log();
    auto const rows = static_cast<double>(design.rows());
    double const total = (log_seconds.array() - log_seconds.mean()).square().sum();
    if (total > 0) curve.r_squared = 1 - residual.square().sum() / total;
    double const degrees_of_freedom = rows - solution.parameters_fitted;
    double variance = residual_scale * residual_scale;  // as the fit weighs, where nothing tells
    if (rows > 1 && degrees_of_freedom > 0) {
        variance = residual.square().sum() / degrees_of_freedom;
        curve.residual_std = std::sqrt(variance);
    }
    // Of theta about the truth, when rows scatter by `variance` and the truth about the prior's
    // centre as the prior says. Without a prior it is variance (J'J)^-1, without rows the prior's.
    Eigen::MatrixXd middle =
        variance / (residual_scale * residual_scale) * solution.squared_weights;
    middle.diagonal().array() += solution.prior_precision;
    Eigen::MatrixXd const covariance = solution.inverse_normal * middle * solution.inverse_normal;
    for (Eigen::Index i = 0; i < covariance.rows(); ++i) {
        for (Eigen::Index j = 0; j <= i; ++j) curve.parameter_covariance.push_back(covariance(i, j));
    }
    return curve;
}

/// Most joined FLOPs a byte of activations. A parent's joined term knows norms and activations,
/// whose work goes with what they pass over; of products that joined in a type it never saw,
/// nothing.
double most_joined_flops_per_byte(std::span<RooflineRow const> rows, Rows const& members) {
    double most = 0;
    for (int const i : members) {
        auto const& terms = rows[static_cast<std::size_t>(i)].terms;
        if (!(terms.activation_bytes > 0)) continue;
        most = std::max(most, terms.joined_flops / terms.activation_bytes);
    }
    return most;
}

/// A fit that prices types it has not seen.
FittedCurve bounded(FittedCurve curve, RooflineShape const& shape,
                    std::span<RooflineRow const> rows, Rows const& members) {
    if (shape.joined_flops) {
        std::get<AdditiveRoofline>(curve.form).joined_flops_per_byte =
            most_joined_flops_per_byte(rows, members);
    }
    return curve;
}

}  // namespace

AdditiveRooflineFits fit_additive_rooflines(std::span<RooflineRow const> rows,
                                            RooflineShape const& shape) {
    auto const design = design_matrix(rows, shape);
    Eigen::VectorXd log_seconds(design.rows());
    std::map<CurveKey, Rows> rows_of_type;
    std::map<ParentType, Rows> rows_of_parent;
    for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
        auto const& row = rows[static_cast<std::size_t>(i)];
        log_seconds(i) = std::log(row.seconds);
        rows_of_type[{row.type, row.zero_flop}].push_back(i);
        rows_of_parent[parent_of(row.type)].push_back(i);
    }
    Eigen::VectorXd balance(design.rows());
    for (auto const& [key, members] : rows_of_type) {
        double const weight =
            std::min(1.0, std::sqrt(balanced_rows / static_cast<double>(members.size())));
        for (int const i : members) balance(i) = weight;
    }

    AdditiveRooflineFits fits;
    auto const device = maximum_a_posteriori(design, log_seconds, balance,
                                             device_centre(design, log_seconds), device_prior_sd);
    Rows everything(rows.size());
    std::iota(everything.begin(), everything.end(), 0);
    fits.device =
        bounded(fitted_curve(device, shape, design, log_seconds), shape, rows, everything);
    std::map<ParentType, Eigen::VectorXd> centre_of;
    for (auto const& [parent, members] : rows_of_parent) {
        Eigen::MatrixXd const part = design(members, Eigen::all);
        Eigen::VectorXd const times = log_seconds(members);
        auto const solution =
            maximum_a_posteriori(part, times, balance(members), device.theta, parent_prior_sd);
        fits.parents.emplace(
            parent, bounded(fitted_curve(solution, shape, part, times), shape, rows, members));
        centre_of[parent] = solution.theta;
    }
    for (auto const& [key, members] : rows_of_type) {
        Eigen::MatrixXd const part = design(members, Eigen::all);
        Eigen::VectorXd const times = log_seconds(members);
        auto const solution =
            maximum_a_posteriori(part, times, Eigen::VectorXd::Ones(part.rows()),
                                 centre_of.at(parent_of(key.first)), type_prior_sd);
        fits.types.emplace(key, fitted_curve(solution, shape, part, times));
    }
    return fits;
}

}  // namespace derate
