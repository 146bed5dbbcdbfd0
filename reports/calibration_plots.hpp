#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "reports/html_page.hpp"
#include "reports/plot.hpp"

namespace derate {

/// One calibration as it enters a page of pictures.
struct PicturedCalibration {
    std::string label;  ///< unique on the page: hardware, precision, threads, or the file's name
    Calibration calibration;
    std::optional<Evidence> evidence;  ///< empty: only data points can be drawn
    /// The evidence's models as the served curves predict them; empty without evidence.
    CrossValidation predictions;
};

/// A subgraph of one model on the roofline: what it does, and how fast that is predicted to be.
struct RooflinePoint {
    Subgraph subgraph;
    double latency_ms = 0;  ///< > 0
    std::optional<Bound> bound;
};

/// Efficiency against work for one operation type: every kernel, the bins' confidence intervals of
/// the mean, and the band of one more kernel of a size, whatever its shape (SizeBands). Kernels
/// above 1 are named in the caption.
///
/// Zero-FLOP kernels are drawn against bytes, as a fraction of the bandwidth peak.
///
/// \return empty where no calibration has a kernel of this type
[[nodiscard]] std::optional<Plot> efficiency_plot(std::span<PicturedCalibration const> calibrations,
                                                  OperationType type, bool zero_flop);

/// Log residuals of kernels, log(measured / predicted), against predicted time; a series a type.
[[nodiscard]] std::optional<Plot> residual_plot(PicturedCalibration const& calibration);

/// Quantiles of the standardised residuals of kernels against those of the normal distribution.
[[nodiscard]] std::optional<Plot> normal_quantile_plot(PicturedCalibration const& calibration);

/// Number of distinct kernels by operation type and half decade of work: where are there data?
[[nodiscard]] std::optional<Plot> coverage_plot(PicturedCalibration const& calibration);

/// Predicted whole-model latency with its 95 % interval against the measured one.
[[nodiscard]] std::optional<Plot> whole_model_plot(PicturedCalibration const& calibration);

/// Achieved rate against arithmetic intensity, under the peaks of the calibration.
///
/// \return empty where a peak is unknown or no point has FLOPs and bytes
[[nodiscard]] std::optional<Plot> roofline_plot(PicturedCalibration const& calibration,
                                                std::string const& model,
                                                std::span<RooflinePoint const> points);

/// All of the above but the roofline, in the order of a page: coverage, whole models, then types.
[[nodiscard]] std::vector<PageSection> calibration_sections(
    std::span<PicturedCalibration const> calibrations);

}  // namespace derate
