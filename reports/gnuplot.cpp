#include "reports/gnuplot.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

// Okabe and Ito's colours, told apart with the common kinds of colour blindness; shapes and dashes
// differ as well, for prints without colour.
constexpr std::array<std::string_view, 7> colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                  "#E69F00", "#56B4E9", "#8C8C8C"};
constexpr std::array<int, 7> point_types{7, 5, 9, 13, 6, 4, 8};

/// A gnuplot string literal: in single quotes nothing is substituted.
std::string literal(std::string_view text) {
    std::string written = "'";
    for (char const c : text) {
        if (c == '\'') written += '\'';
        written += c == '\n' ? ' ' : c;
    }
    return written + "'";
}

std::string axis_clauses(char name, Plot const& plot, PlotAxis const& axis) {
    auto const ticks = axis_ticks(plot, axis);
    auto script = fmt::format("set {}label {}\n", name, literal(axis.title));
    if (axis.scale == AxisScale::log10) script += fmt::format("set logscale {} 10\n", name);
    script += fmt::format("set {}tics (", name);
    for (std::size_t i = 0; i < ticks.size(); ++i) {
        script += fmt::format("{}{} {:.9g}", i == 0 ? "" : ", ", literal(ticks[i].label),
                              ticks[i].position);
    }
    bool const category = axis.scale == AxisScale::category;
    double const margin = category ? 0.5 : 0.0;
    return script + fmt::format("){}\nset {}range [{:.9g}:{:.9g}]\n",
                                name == 'x' && category ? " rotate by -35" : "", name,
                                ticks.front().position - margin, ticks.back().position + margin);
}

bool has_cells(Plot const& plot) {
    return std::ranges::any_of(plot.series,
                               [](PlotSeries const& s) { return s.mark == Mark::cells; });
}

/// How one series is drawn; `n` numbers it among the series, `text` is the dumb terminal.
std::string plot_clause(PlotSeries const& series, std::size_t n, bool text) {
    auto const colour = "lc rgb " + literal(colours[n % colours.size()]);
    auto const title =
        series.label.empty() ? std::string{" notitle"} : " title " + literal(series.label);
    auto const data = "$data" + std::to_string(n);
    auto const dashes = " dt " + std::to_string(1 + n % 5);
    switch (series.mark) {
        case Mark::points:
            return data + " using 1:2 with points pt " +
                   std::to_string(point_types[n % point_types.size()]) + " ps 0.5 " + colour +
                   title;
        case Mark::line:
            return data + " using 1:2 with lines lw 2 " + colour + dashes + title;
        case Mark::band:
            if (text) {
                return data + " using 1:3 with lines" + title + ", " + data +
                       " using 1:4 with lines notitle";
            }
            return data + " using 1:3:4 with filledcurves fs transparent solid 0.18 noborder " +
                   colour + title;
        case Mark::intervals:
            if (text) {
                // A bar in the legend is three lines high and overprints those beside it.
                return data + " using 1:2:3:4 with yerrorbars pt 7 notitle, " + data +
                       " using 1:2 with points pt 7" + title;
            }
            return data + " using 1:2:3:4 with yerrorbars pt 7 ps 0.4 " + colour + title;
        case Mark::bars:
            return data + " using 1:2 with boxes fs transparent solid 0.5 " + colour + title;
        case Mark::cells:
            return data +
                   " using 1:2:($1-0.48):($1+0.48):($2-0.48):($2+0.48):5 with boxxyerror fs "
                   "solid 1 lc palette notitle, " +
                   data + " using 1:2:6 with labels font ',11' notitle";
    }
    return {};
}

/// Counts stay counts: 17, not 17.0.
std::string cell_text(double value) {
    return value == std::floor(value) && std::abs(value) < 1e6
               ? std::to_string(static_cast<long>(value))
               : format_significant(value, 3);
}

std::string data_block(PlotSeries const& series, std::size_t n) {
    auto block = fmt::format("$data{} << end_of_data\n", n);
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        auto const at = [i](std::vector<double> const& values, double otherwise) {
            return i < values.size() ? values[i] : otherwise;
        };
        double const low = at(series.low, 0);
        double const high = at(series.high, 0);
        block += fmt::format("{:.9g} {:.9g} {:.9g} {:.9g}", series.x[i],
                             at(series.y, (low + high) / 2), low, high);
        if (series.mark == Mark::cells) {
            block += fmt::format(" {:.9g} {}", series.value[i], cell_text(series.value[i]));
        }
        block += "\n";
    }
    return block + "end_of_data\n";
}

/// Runs gnuplot on a script and returns what it prints.
std::string run_gnuplot(std::string const& script) {
    auto name = (temporary_folder() / "derate-plot-XXXXXX").string();
    int const file = mkstemp(name.data());
    if (file < 0) throw InputError{name, "cannot be created", "a writable temporary folder"};
    std::unique_ptr<char const, void (*)(char const*)> const removed{
        name.c_str(), [](char const* path) { std::remove(path); }};
    std::unique_ptr<FILE, int (*)(FILE*)> out{fdopen(file, "w"), &std::fclose};
    bool const written = std::fwrite(script.data(), 1, script.size(), out.get()) == script.size() &&
                         std::fflush(out.get()) == 0;
    if (!written) throw InputError{name, "cannot be written", "free space in the temporary folder"};

    FILE* const pipe = popen(("LC_ALL=C.UTF-8 gnuplot " + shell_word(name) + " 2>&1").c_str(), "r");
    if (pipe == nullptr) throw EnvironmentRefused{"gnuplot", "cannot be started", "free memory"};
    std::string printed;
    std::array<char, 4096> buffer{};
    while (std::size_t const n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        printed.append(buffer.data(), n);
    }
    int const status = pclose(pipe);
    if (status != 0 && printed.find("not found") != std::string::npos) {
        throw EnvironmentRefused{"gnuplot", "is not installed", "apt-get install gnuplot-nox"};
    }
    if (status != 0) throw std::logic_error{"gnuplot refused a script of ours: " + printed};
    return printed;
}

std::string cells_as_text(Plot const& plot) {
    std::size_t label_width = 0;
    for (auto const& label : plot.y.categories) label_width = std::max(label_width, label.size());
    std::size_t column_width = 5;
    for (auto const& label : plot.x.categories)
        column_width = std::max(column_width, label.size() + 1);
    auto text = fmt::format("{}\n{:{}}", plot.title, "", label_width);
    for (auto const& label : plot.x.categories) text += fmt::format("{:>{}}", label, column_width);
    text += "\n";
    for (std::size_t row = plot.y.categories.size(); row-- > 0;) {
        text += fmt::format("{:{}}", plot.y.categories[row], label_width);
        for (std::size_t column = 0; column < plot.x.categories.size(); ++column) {
            std::string cell = ".";
            for (auto const& series : plot.series) {
                for (std::size_t i = 0; i < series.x.size() && i < series.value.size(); ++i) {
                    if (series.x[i] == static_cast<double>(column) &&
                        series.y[i] == static_cast<double>(row)) {
                        cell = cell_text(series.value[i]);
                    }
                }
            }
            text += fmt::format("{:>{}}", cell, column_width);
        }
        text += "\n";
    }
    return text;
}

}  // namespace

std::string gnuplot_script(Plot const& plot, std::string const& terminal) {
    check_drawable(plot);
    bool const text = terminal.starts_with("dumb");
    auto script = fmt::format("set encoding utf8\nset terminal {}\nset title {}\n", terminal,
                              literal(plot.title));
    if (!text) {
        // Grey reads on a white and on a dark page alike; the background stays the page's.
        script +=
            "set border 3 lc rgb '#808080'\nset tics nomirror textcolor rgb '#808080'\n"
            "set title textcolor rgb '#808080'\nset key outside bottom center horizontal "
            "textcolor rgb '#808080'\nset xlabel textcolor rgb '#808080'\nset ylabel "
            "textcolor rgb '#808080'\nset grid lc rgb '#808080' lw 0.3\n"
            "set palette defined (0 '#e8f1f8', 1 '#0072B2')\nunset colorbox\n";
    } else {
        script += "set key outside bottom center horizontal\nset tics nomirror\n";
    }
    script += axis_clauses('x', plot, plot.x) + axis_clauses('y', plot, plot.y);
    for (std::size_t n = 0; n < plot.series.size(); ++n) script += data_block(plot.series[n], n);
    script += "plot ";
    for (std::size_t n = 0; n < plot.series.size(); ++n) {
        script += (n == 0 ? "" : ", ") + plot_clause(plot.series[n], n, text);
    }
    return script + "\n";
}

std::string draw_svg(Plot const& plot, int width) {
    // gnuplot allows only letters, digits and '_' in the name that prefixes the element's ids.
    auto name = plot.id;
    std::ranges::replace(name, '-', '_');
    bool const tall = has_cells(plot);
    int const height = tall ? std::max(240, 40 * static_cast<int>(plot.y.categories.size()) + 140)
                            : width * 9 / 16;
    auto svg = run_gnuplot(gnuplot_script(
        plot, "svg noenhanced size " + std::to_string(width) + "," + std::to_string(height) +
                  " dynamic font 'sans-serif,13' name '" + name + "'"));
    // Inside Markdown and HTML only the element may stand, without the XML prologue.
    auto const start = svg.find("<svg");
    return start == std::string::npos ? svg : svg.substr(start);
}

std::string draw_text(Plot const& plot, int columns) {
    if (has_cells(plot)) {
        check_drawable(plot);
        return cells_as_text(plot);
    }
    return run_gnuplot(
        gnuplot_script(plot, "dumb noenhanced size " + std::to_string(columns) + ",24"));
}

}  // namespace derate
