#include "reports/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>
#include <stdexcept>

#include "core/format_quantity.hpp"

namespace derate {
namespace {

void require(bool holds, Plot const& plot, std::string const& problem) {
    if (!holds) throw std::invalid_argument{"plot '" + plot.id + "': " + problem};
}

void check_values(Plot const& plot, PlotAxis const& axis, std::vector<double> const& values) {
    for (double const value : values) {
        require(std::isfinite(value), plot, "a value is not finite");
        require(axis.scale != AxisScale::log10 || value > 0, plot,
                "a value on a log axis is not positive");
        require(axis.scale != AxisScale::category ||
                    (value > -1 && value < static_cast<double>(axis.categories.size())),
                plot, "a category lies outside its axis");
    }
}

struct Extent {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void include(std::vector<double> const& values) {
        for (double const value : values) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    }
};

std::vector<double> decade_ticks(Extent extent) {
    int const first = static_cast<int>(std::floor(std::log10(extent.low)));
    int last = std::max(first + 1, static_cast<int>(std::ceil(std::log10(extent.high))));
    int const step = 1 + (last - first) / 7;
    while ((last - first) % step != 0) ++last;  // the last tick must not lie below the data
    std::vector<double> ticks;
    // Less than two decades would leave two labels: the steps of 1, 2 and 5 fill them in.
    bool const fine = last - first <= 2;
    for (int decade = first; decade <= last; decade += step) {
        ticks.push_back(std::pow(10.0, decade));
        if (fine && decade < last) {
            ticks.push_back(2 * std::pow(10.0, decade));
            ticks.push_back(5 * std::pow(10.0, decade));
        }
    }
    return ticks;
}

std::vector<double> even_ticks(Extent extent) {
    double const width =
        extent.high > extent.low ? extent.high - extent.low : std::max(1.0, std::abs(extent.low));
    double const rough = width / 5;
    double const decade = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * decade;
    for (double const nice : {1.0, 2.0, 5.0}) {
        if (nice * decade >= rough) {
            step = nice * decade;
            break;
        }
    }
    std::vector<double> ticks;
    double const first = std::floor(extent.low / step);
    double const last = std::ceil(extent.high / step);
    for (double i = first; i <= last; ++i) ticks.push_back(i * step);
    return ticks;
}

}  // namespace

void check_drawable(Plot const& plot) {
    require(!plot.series.empty(), plot, "nothing to draw");
    for (auto const& series : plot.series) {
        auto const rows = series.x.size();
        bool const spans = series.mark == Mark::band || series.mark == Mark::intervals;
        require(series.y.size() == rows || (spans && series.y.empty()), plot,
                "'" + series.label + "' has x and y of unequal length");
        require(!spans || (series.low.size() == rows && series.high.size() == rows), plot,
                "'" + series.label + "' lacks a lower or upper limit");
        require(series.mark != Mark::cells || series.value.size() == rows, plot,
                "'" + series.label + "' lacks a value for each cell");
        require(series.hover.empty() || series.hover.size() == rows, plot,
                "'" + series.label + "' lacks a hover text for each point");
        check_values(plot, plot.x, series.x);
        check_values(plot, plot.y, series.y);
        check_values(plot, plot.y, series.low);
        check_values(plot, plot.y, series.high);
    }
}

std::string axis_label(double value, AxisUnit unit) {
    switch (unit) {
        case AxisUnit::flops:
            return format_flops(Flops{value});
        case AxisUnit::bytes:
            return format_bytes(Bytes{value});
        case AxisUnit::flops_per_second:
            return format_rate(FlopsPerSecond{value});
        case AxisUnit::milliseconds:
            return format_significant(value, 3) + " ms";
        case AxisUnit::percent:
            return format_significant(value, 3) + " %";
        case AxisUnit::flops_per_byte:
        case AxisUnit::none:
            return format_significant(value, 3);
    }
    return {};
}

namespace {

/// "1.00 MFLOP" is a measurement's form; a tick is exact and reads "1 MFLOP".
std::string without_trailing_zeros(std::string label) {
    auto const end = std::min(label.find(' '), label.size());
    auto const point = label.find('.');
    if (point == std::string::npos || point > end || label.find('e') < end) return label;
    auto keep = end;
    while (label[keep - 1] == '0') --keep;
    if (label[keep - 1] == '.') --keep;
    return label.erase(keep, end - keep);
}

}  // namespace

std::vector<AxisTick> axis_ticks(Plot const& plot, PlotAxis const& axis) {
    std::vector<AxisTick> ticks;
    if (axis.scale == AxisScale::category) {
        for (std::size_t i = 0; i < axis.categories.size(); ++i) {
            ticks.push_back({static_cast<double>(i), axis.categories[i]});
        }
        return ticks;
    }
    Extent extent;
    bool const horizontal = &axis == &plot.x;
    for (auto const& series : plot.series) {
        extent.include(horizontal ? series.x : series.y);
        if (horizontal) continue;
        extent.include(series.low);
        extent.include(series.high);
        if (series.mark == Mark::bars) extent.include({0.0});
    }
    auto const positions =
        axis.scale == AxisScale::log10 ? decade_ticks(extent) : even_ticks(extent);
    for (double const position : positions) {
        ticks.push_back({position, without_trailing_zeros(axis_label(position, axis.unit))});
    }
    return ticks;
}

}  // namespace derate
