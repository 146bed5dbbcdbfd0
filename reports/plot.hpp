#pragma once
#include <optional>
#include <string>
#include <vector>

namespace derate {

/// How an axis counts, and how its numbers are written.
enum class AxisScale { linear, log10, category };
enum class AxisUnit { none, flops, bytes, milliseconds, percent, flops_per_second, flops_per_byte };

struct PlotAxis {
    std::string title;  ///< without the unit
    AxisScale scale = AxisScale::linear;
    AxisUnit unit = AxisUnit::none;
    std::vector<std::string>
        categories;  ///< of a category axis, in order; x or y then counts them from 0
};

enum class Mark {
    points,
    line,
    band,       ///< between `low` and `high`
    intervals,  ///< a vertical bar from `low` to `high` at each x
    bars,       ///< from 0 to y, centred on x
    cells,      ///< a heatmap: `value` at (x, y), both category axes
};

/// What is drawn with one mark and one colour. All non-empty vectors have the length of `x`.
struct PlotSeries {
    std::string label;
    Mark mark = Mark::points;
    std::vector<double> x;
    std::vector<double> y;
    std::vector<double> low;         ///< band and intervals
    std::vector<double> high;        ///< band and intervals
    std::vector<double> value;       ///< cells
    std::vector<std::string> hover;  ///< what a point is: model, shape, evidence; may be empty
};

/// The series' numbers as people read them, shown under the picture.
struct PlotTable {
    std::vector<std::string> header;
    std::vector<std::vector<std::string>> rows;
};

/// One picture, prepared once and drawn by any of the renderers below: SVG for Markdown, text for a
/// terminal, Vega-Lite for HTML. What a picture shows is decided here, never by a renderer.
struct Plot {
    std::string id;       ///< unique in a page; letters, digits and '-'
    std::string title;    ///< what it shows
    std::string caption;  ///< how to read it, one or two sentences
    PlotAxis x;
    PlotAxis y;
    std::vector<PlotSeries> series;
    PlotTable table;
};

/// A picture whose numbers cannot be drawn is a fault of whoever prepared it.
/// \throws std::invalid_argument  vectors of unequal length, a value that is not finite, a
///         non-positive value on a log axis, a category outside its axis
void check_drawable(Plot const& plot);

/// A tick or cell as a person reads it: "12.5 MFLOP", "3 MB", "0.35", "87 %".
[[nodiscard]] std::string axis_label(double value, AxisUnit unit);

struct AxisTick {
    double position = 0;
    std::string label;
};

/// Where an axis of `plot` is labelled: decades, round steps or its categories. The outermost ticks
/// of a numeric axis enclose all that is drawn, so they are its range too.
///
/// \param axis  `plot.x` or `plot.y` itself
[[nodiscard]] std::vector<AxisTick> axis_ticks(Plot const& plot, PlotAxis const& axis);

}  // namespace derate
