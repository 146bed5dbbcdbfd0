#pragma once
#include <string>

#include "reports/plot.hpp"

namespace derate {

/// The picture as a self-contained SVG element, `width` pixels wide, drawn by gnuplot's svg
/// terminal.
///
/// \throws EnvironmentRefused  gnuplot is not installed
/// \throws std::invalid_argument  see check_drawable()
[[nodiscard]] std::string draw_svg(Plot const& plot, int width = 720);

/// The picture in letters, `columns` wide, drawn by gnuplot's dumb terminal; a heatmap is a table.
///
/// \throws as draw_svg()
[[nodiscard]] std::string draw_text(Plot const& plot, int columns = 100);

/// The script both hand to gnuplot, data included: for tests and for people who want to restyle it.
[[nodiscard]] std::string gnuplot_script(Plot const& plot, std::string const& terminal);

}  // namespace derate
