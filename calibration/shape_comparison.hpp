#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "calibration/curve_fits.hpp"
#include "core/evidence.hpp"
#include "core/operation_type.hpp"

namespace derate {

/// How far each shape misses the kernels of models it was not fitted on: root mean square of
/// log(measured / predicted time), in every case over kernels that only the left-out model has.
/// Empty where a shape cannot be fitted.
struct ShapeComparison {
    OperationType type = OperationType::meta;
    bool zero_flop = false;
    int kernels = 0;
    std::optional<double> residual_model;     ///< additive roofline with the residual model on it
    std::optional<double> additive_roofline;  ///< alone
    std::array<std::optional<double>, std::size(all_curve_forms)> curves;  ///< by all_curve_forms

    /// The shape with the least error, in words; empty when none could be fitted.
    [[nodiscard]] std::string winner() const;
    /// Error of the served shape, the first of the above that there is, over the best other's:
    /// below 1 it won.
    [[nodiscard]] std::optional<double> served_over_next() const;
};

/// One row a curve, most kernels first. Every shape of efficiency against work is fitted to log
/// errors, as the additive roofline is.
///
/// \throws InputError  as cross_validate: fewer than two models
[[nodiscard]] std::vector<ShapeComparison> compare_shapes(Evidence const& evidence);

}  // namespace derate
