#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/calibration.hpp"
#include "core/kernel_features.hpp"

namespace derate {

/// One timed kernel as the fit sees it.
struct RooflineRow {
    OperationType type = OperationType::meta;
    bool zero_flop = false;
    RooflineTerms terms;
    double seconds = 0;  ///< > 0
};

/// What the form has in common over all types of a device.
struct RooflineShape {
    double flop_exponent = 1;
    double byte_exponent = 1;
    /// Charge for activations beyond this size; empty: no such term.
    std::optional<double> last_level_cache_bytes;
    /// Charge for what joined a convolution or product, as for its FLOPs, at a rate of its own.
    bool joined_flops = false;
};

using CurveKey = std::pair<OperationType, bool>;  ///< type, zero-FLOP

struct AdditiveRooflineFits {
    FittedCurve device;
    std::map<ParentType, FittedCurve> parents;
    std::map<CurveKey, FittedCurve> types;
};

/// Additive rooflines of every type, parent and the device.
///
/// Maximum a posteriori of log coefficients theta:
///
///     min over theta of sum_i w_i (log t_i - log f(x_i; theta))^2 / 0.3^2 + sum_j (theta_j -
///     c_j)^2 / s^2
///
/// where the centre c of a type is its parent's fit (s = 0.7), of a parent the device's (s = 1.0),
/// and of the device 0.6 times the 0.2 quantile of t / x_j (s = 3.0): one term alone explains more
/// than its part. At parent and device level a row weighs min(sqrt(20 / rows of its type), 1), lest
/// the commonest type decide for all. The centres make the problem strictly convex near its
/// minimum, so a damped Gauss-Newton iteration from the centre finds it. Types with few rows stay
/// near their parents. Zero-FLOP kernels are a type of their own.
///
/// parameter_covariance is the inverse of the normal matrix at the minimum, of log coefficients.
///
/// Parents and device bound what they charge for joined FLOPs by what their rows show
/// (AdditiveRoofline::joined_flops_per_byte).
///
/// \param rows  one or more
[[nodiscard]] AdditiveRooflineFits fit_additive_rooflines(std::span<RooflineRow const> rows,
                                                          RooflineShape const& shape);

}  // namespace derate
