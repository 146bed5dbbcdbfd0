#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "calibration/diagnostics.hpp"
#include "core/calibration.hpp"
#include "reports/plot.hpp"

namespace derate {

/// "conv2d", or "pool|0" for the curve of a type's zero-FLOP kernels.
[[nodiscard]] std::string curve_label(CurveDiagnostics const& curve);

/// What matters about a calibration's statistics, in sentences; the first paragraph of the report.
[[nodiscard]] std::string analysis_in_words(Calibration const& calibration,
                                            CalibrationDiagnostics const& diagnostics);

/// Pictures of one curve: histogram of efficiencies with the best fitted distribution, histogram of
/// standardised residuals with the normal distribution, and their Q-Q plot. Empty below 8 kernels,
/// whose shape no picture shows.
[[nodiscard]] std::vector<Plot> distribution_plots(CurveDiagnostics const& curve);

/// The report as Markdown, pictures embedded as SVG.
///
/// \throws EnvironmentRefused  gnuplot is not installed
[[nodiscard]] std::string analysis_markdown(Calibration const& calibration,
                                            CalibrationDiagnostics const& diagnostics);

/// The report for a terminal of `columns` letters, pictures drawn in letters.
///
/// \throws EnvironmentRefused  gnuplot is not installed
[[nodiscard]] std::string analysis_text(Calibration const& calibration,
                                        CalibrationDiagnostics const& diagnostics,
                                        int columns = 100);

/// All figures of the report.
[[nodiscard]] nlohmann::json analysis_json(Calibration const& calibration,
                                           CalibrationDiagnostics const& diagnostics);

}  // namespace derate
