#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/bins.hpp"
#include "core/calibration.hpp"

namespace derate {

/// Forms of efficiency against log10 of work, beside the additive roofline.
enum class CurveForm { piecewise_linear, log_linear, sigmoid };

[[nodiscard]] std::string_view to_string(CurveForm form);

inline constexpr CurveForm all_curve_forms[] = {CurveForm::piecewise_linear, CurveForm::log_linear,
                                                CurveForm::sigmoid};

/// How much each kernel counts in a fit.
enum class FitWeighting {
    /// Least squares of the log efficiency, all kernels alike: a residual of 10 % counts the same
    /// for a small and a large efficiency, as it does in the time that is predicted. The default.
    log_error,
    /// 1 / s^2 with s the standard deviation over repetitions: the roadmap's. A diagnostic, because
    /// s is the noise of a run, while kernels miss the curve by much more than that.
    inverse_variance,
    /// 1 / (SE^2 + tau^2 f^2): the error of the kernel's own mean and, beside it, a scatter tau of
    /// kernels about the curve, relative to it and estimated with it.
    random_effects,
};

[[nodiscard]] std::string_view to_string(FitWeighting weighting);

inline constexpr FitWeighting all_fit_weightings[] = {
    FitWeighting::log_error, FitWeighting::inverse_variance, FitWeighting::random_effects};

/// A fitted form with what is known of the fit.
struct CurveFit {
    CurveForm form = CurveForm::piecewise_linear;
    FitWeighting weighting = FitWeighting::log_error;
    FittedForm curve;
    int kernels = 0;           ///< that entered the fit
    int kernels_left_out = 0;  ///< without the spread that the weighting needs
    /// Piecewise linear: the efficiency at each knot. Log-linear: intercept, slope. Sigmoid:
    /// ceiling, steepness, midpoint.
    std::vector<double> parameters;
    /// Lower triangle by rows, scaled by chi^2 / degrees of freedom (weights count as relative);
    /// empty when no degree of freedom is left.
    std::vector<double> packed_covariance;
    int degrees_of_freedom = 0;
    double chi_squared = 0;     ///< sum of weight * residual^2, in the weighting's own residual
    std::optional<double> tau;  ///< random effects: relative scatter of kernels about the curve
    /// 1 - sum (log t - log f)^2 / sum (log t - mean log t)^2 over the kernels fitted: of the curve
    /// as it is served, on log time, whatever was minimised. Below 0 when a constant time would do
    /// better; empty when all times are equal.
    std::optional<double> r_squared;
    /// Standard deviation of log time about the curve, divisor degrees of freedom.
    std::optional<double> residual_std;
};

/// Efficiency of a form at this work, by the form's own formula; outside its knots a piecewise
/// linear curve keeps its end values.
///
/// \param work  > 0
/// \return      of the additive roofline: empty (it prices times, see the estimator)
[[nodiscard]] std::optional<double> efficiency_at(FittedForm const& curve, double work);

/// Fits one form.
///
/// Knots of the piecewise linear form lie at the bins' data points; no clamp and no monotonicity is
/// forced on any form. Deterministic, and independent of the order of the kernels.
///
/// \param kernels  of one curve: one peak, one axis
/// \return  empty when the form cannot be fitted: too few kernels or bins, no convergence, or a
///          fitted efficiency that is not positive where there are data
[[nodiscard]] std::optional<CurveFit> fit_curve(std::span<KernelEfficiency const> kernels,
                                                CurveForm form,
                                                FitWeighting weighting = FitWeighting::log_error);

/// Every form under every weighting that can be fitted.
[[nodiscard]] std::vector<CurveFit> fit_all_curves(std::span<KernelEfficiency const> kernels);

/// The curve at one work with both intervals, log-normal about it.
struct CurveBand {
    double efficiency = 0;
    Interval confidence;  ///< of the curve, if the form is right: parameter covariance alone
    Interval prediction;  ///< of one more kernel: residual scatter added
};

/// f exp(+- t sqrt(v)), v = g'Cg / f^2 for confidence, plus residual_std^2 for prediction; g the
/// curve's gradient, C the parameter covariance, t on the fit's degrees of freedom. First order.
///
/// \param work        > 0
/// \param confidence  between 0 and 1
/// \return  empty without degrees of freedom, or where the curve is not positive
[[nodiscard]] std::optional<CurveBand> band_at(CurveFit const& fit, double work,
                                               double confidence = 0.95);

/// Root mean square of log(measured / predicted time) over the kernels of each model in turn,
/// fitted without that model; a kernel that only the left-out model has is predicted, one that
/// others share is not.
///
/// \return  empty below two models or when a fold cannot be fitted
[[nodiscard]] std::optional<double> leave_one_model_out_error(
    std::span<KernelEfficiency const> kernels, CurveForm form, FitWeighting weighting);

/// As calibration files store it.
[[nodiscard]] FittedCurve to_fitted_curve(CurveFit const& fit);

}  // namespace derate
