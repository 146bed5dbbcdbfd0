#pragma once
#include <optional>
#include <span>

#include "core/calibration.hpp"
#include "core/evidence.hpp"

namespace derate {

/// What stands beside the additive roofline.
enum class ResidualForm { none, gaussian_process };

struct FitOptions {
    ResidualForm residual = ResidualForm::gaussian_process;
    /// Intervals need inner folds, which cost most of the time; without them `intervals` and each
    /// curve's log variance come from the residuals of the fit and are too narrow to be served.
    bool nested_intervals = true;
    /// Fits each curve's other shapes too (`EfficiencyCurve::diagnostics`), which are shown but
    /// price nothing.
    bool other_shapes = true;
    /// Whether `items_feature` may count; empty: where enough batch sizes were timed to tell.
    /// Cross-validation says what the served fit does, which a fold with fewer batches would not.
    std::optional<bool> batches_tell{};
};

/// Curves, residual model, interval model and context factor from timings.
///
/// Fits on every case with a timing that a calibration model contains or that is a probe; models of
/// role held_out take no part. Deterministic, and independent of the order of the evidence's parts.
///
/// \throws InputError  `violations(evidence)` is not empty, or no model can be used
[[nodiscard]] Calibration fit_calibration(Evidence const& evidence, FitOptions const& options = {});

}  // namespace derate
