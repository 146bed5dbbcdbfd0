#include "reports/html_page.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/input_error.hpp"
#include "reports/vega_scripts.hpp"

namespace derate {
namespace {

using Json = nlohmann::ordered_json;

std::string escaped(std::string_view text) {
    std::string html;
    for (char const c : text) {
        switch (c) {
            case '&':
                html += "&amp;";
                break;
            case '<':
                html += "&lt;";
                break;
            case '>':
                html += "&gt;";
                break;
            case '"':
                html += "&quot;";
                break;
            default:
                html += c;
        }
    }
    return html;
}

/// Position, scale and labels of one axis. The ticks are ours, so that HTML, SVG and terminal
/// agree.
Json axis_encoding(Plot const& plot, PlotAxis const& axis, char const* field) {
    auto const ticks = axis_ticks(plot, axis);
    Json values = Json::array();
    Json labels = Json::array();
    for (auto const& tick : ticks) {
        values.push_back(tick.position);
        labels.push_back(tick.label);
    }
    double const margin = axis.scale == AxisScale::category ? 0.5 : 0.0;
    Json const domain{ticks.front().position - margin, ticks.back().position + margin};
    Json axis_json{{"title", axis.title},
                   {"values", values},
                   {"labelExpr", labels.dump() + "[indexof(" + values.dump() + ", datum.value)]"}};
    if (axis.scale == AxisScale::category) {
        axis_json["grid"] = false;
        if (field[0] == 'x') axis_json["labelAngle"] = -35;
    } else {
        axis_json["labelOverlap"] = "greedy";
    }
    Json scale{{"type", axis.scale == AxisScale::log10 ? "log" : "linear"},
               {"domain", domain},
               {"nice", false}};
    if (axis.scale != AxisScale::log10) scale["zero"] = false;
    return {{"field", field}, {"type", "quantitative"}, {"axis", axis_json}, {"scale", scale}};
}

Json rows_of(PlotSeries const& series) {
    Json rows = Json::array();
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        Json row{{"x", series.x[i]}, {"series", series.label}};
        if (i < series.y.size()) row["y"] = series.y[i];
        if (i < series.low.size()) row["low"] = series.low[i];
        if (i < series.high.size()) row["high"] = series.high[i];
        if (i < series.value.size()) row["value"] = series.value[i];
        if (i < series.hover.size()) row["hover"] = series.hover[i];
        rows.push_back(std::move(row));
    }
    return rows;
}

/// The layers that draw one series; colour and shape come from its place in the legend.
Json layers_of(Plot const& plot, PlotSeries const& series, Json const& x, Json const& y,
               Json const& colour, Json const& shape) {
    Json const data{{"values", rows_of(series)}};
    auto const layer = [&](Json mark, Json encoding) {
        if (!series.hover.empty()) encoding["tooltip"] = {{"field", "hover"}, {"type", "nominal"}};
        return Json{{"data", data}, {"mark", std::move(mark)}, {"encoding", std::move(encoding)}};
    };
    auto const at_low = [&] {
        auto low = y;
        low["field"] = "low";
        return low;
    };
    switch (series.mark) {
        case Mark::points:
            return Json::array({layer({{"type", "point"}, {"filled", true}, {"opacity", 0.75}},
                                      {{"x", x}, {"y", y}, {"color", colour}, {"shape", shape}})});
        case Mark::line:
            return Json::array({layer({{"type", "line"}, {"interpolate", "linear"}},
                                      {{"x", x}, {"y", y}, {"color", colour}})});
        case Mark::band:
            return Json::array({layer(
                {{"type", "area"}, {"opacity", 0.3}},
                {{"x", x}, {"y", at_low()}, {"y2", {{"field", "high"}}}, {"color", colour}})});
        case Mark::intervals: {
            auto layers = Json::array({layer(
                {{"type", "rule"}, {"strokeWidth", 2}},
                {{"x", x}, {"y", at_low()}, {"y2", {{"field", "high"}}}, {"color", colour}})});
            if (!series.y.empty()) {
                layers.push_back(layer({{"type", "point"}, {"filled", true}},
                                       {{"x", x}, {"y", y}, {"color", colour}, {"shape", shape}}));
            }
            return layers;
        }
        case Mark::bars:
            return Json::array(
                {layer({{"type", "bar"}, {"opacity", 0.7}, {"width", {{"band", 0.8}}}},
                       {{"x", x}, {"y", y}, {"color", colour}})});
        case Mark::cells: {
            auto side = [](Json encoding, char const* field) {
                encoding["field"] = field;
                return encoding;
            };
            Json transform = Json::array();
            for (auto const& [field, expression] :
                 {std::pair{"left", "datum.x - 0.48"}, std::pair{"right", "datum.x + 0.48"},
                  std::pair{"bottom", "datum.y - 0.48"}, std::pair{"top", "datum.y + 0.48"}}) {
                transform.push_back({{"calculate", expression}, {"as", field}});
            }
            auto rect =
                layer({{"type", "rect"}},
                      {{"x", side(x, "left")},
                       {"x2", {{"field", "right"}}},
                       {"y", side(y, "bottom")},
                       {"y2", {{"field", "top"}}},
                       {"color",
                        {{"field", "value"},
                         {"type", "quantitative"},
                         {"legend", nullptr},
                         {"scale", {{"type", "sqrt"}, {"range", {"#cfe3f2", "#005a8d"}}}}}}});
            rect["transform"] = transform;
            // White on the dark half of the scale, black on the light half.
            double largest = 0;
            for (double const value : series.value) largest = std::max(largest, value);
            auto label = layer({{"type", "text"}, {"fontSize", 12}},
                               {{"x", x},
                                {"y", y},
                                {"text", {{"field", "value"}, {"format", ".3~g"}}},
                                {"color",
                                 {{"condition",
                                   {{"test", "datum.value > " + std::to_string(0.25 * largest)},
                                    {"value", "white"}}},
                                  {"value", "black"}}}});
            return Json::array({rect, label});
        }
    }
    (void)plot;
    return Json::array();
}

/// What stands for a label in the legend: what its series are drawn with.
///
/// \param kinds_of_points  how many labels of points came before; one more after a label of points
std::string legend_symbol(Plot const& plot, std::string const& label,
                          std::size_t& kinds_of_points) {
    static constexpr std::array point_shapes{"circle",  "square", "triangle-up",
                                             "diamond", "cross",  "triangle-right"};
    bool has_line = false;
    for (auto const& series : plot.series) {
        if (series.label != label) continue;
        if (series.mark == Mark::points || series.mark == Mark::intervals) {
            return point_shapes[kinds_of_points++ % point_shapes.size()];
        }
        has_line = has_line || series.mark == Mark::line;
    }
    // Filled, as points are: a thin bar for a line, a block for a band or bars.
    return has_line ? "M-1.3,-0.2H1.3V0.2H-1.3Z" : "M-1.3,-0.7H1.3V0.7H-1.3Z";
}

std::string table_html(PlotTable const& table) {
    if (table.header.empty()) return {};
    std::string html = "<details><summary>The numbers (" + std::to_string(table.rows.size()) +
                       " rows)</summary><div class=\"scroll\"><table><thead><tr>";
    for (auto const& cell : table.header) html += "<th>" + escaped(cell) + "</th>";
    html += "</tr></thead><tbody>";
    for (auto const& row : table.rows) {
        html += "<tr>";
        for (auto const& cell : row) html += "<td>" + escaped(cell) + "</td>";
        html += "</tr>";
    }
    return html + "</tbody></table></div></details>";
}

constexpr std::string_view style = R"css(
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #57606a; --page: #ffffff; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9da7b3; --page: #0d1117; --line: #30363d; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--page); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
figure { margin: 1.5rem 0; } figcaption { color: var(--faint); font-size: 0.95rem; }
.picture { width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.2rem 0.6rem; text-align: left; }
nav a { margin-right: 1rem; }
)css";

// Draws every specification into its figure; again when the reader's theme changes.
constexpr std::string_view drawing_script = R"js(
const dark = window.matchMedia('(prefers-color-scheme: dark)');
function theme() {
  const ink = dark.matches ? '#e6edf3' : '#1b1f24', line = dark.matches ? '#30363d' : '#d0d7de';
  return {background: null, font: 'system-ui, sans-serif', view: {stroke: line},
          axis: {labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line,
                 labelFontSize: 12, titleFontSize: 13, labelLimit: 140, labelBound: true},
          legend: {labelColor: ink, titleColor: ink, labelFontSize: 12, labelLimit: 400, orient: 'bottom', symbolOpacity: 1,
                   direction: 'vertical'},
          title: {color: ink}, text: {color: ink}};
}
async function drawAll() {
  for (const script of document.querySelectorAll('script[type="application/vega-lite+json"]')) {
    const place = document.getElementById(script.dataset.picture);
    await vegaEmbed(place, JSON.parse(script.textContent),
                    {actions: false, renderer: 'svg', config: theme()});
  }
  document.body.dataset.drawn = 'all';
}
drawAll();
dark.addEventListener('change', drawAll);
)js";

}  // namespace

std::string vega_lite_specification(Plot const& plot) {
    check_drawable(plot);
    Json labels = Json::array();
    for (auto const& series : plot.series) {
        bool const seen = std::find(labels.begin(), labels.end(), series.label) != labels.end();
        if (!seen && series.mark != Mark::cells && !series.label.empty())
            labels.push_back(series.label);
    }
    // Okabe and Ito's colours, told apart with the common kinds of colour blindness; shapes differ
    // too.
    static Json const palette = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                 "#E69F00", "#56B4E9", "#8C8C8C"};
    Json range = Json::array(), shape_range = Json::array();
    std::size_t kinds_of_points = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        range.push_back(palette[i % palette.size()]);
        shape_range.push_back(legend_symbol(plot, labels[i], kinds_of_points));
    }
    Json const legend = labels.size() > 1 ? Json{{"title", nullptr}} : Json(nullptr);
    Json const colour{{"field", "series"},
                      {"type", "nominal"},
                      {"scale", {{"domain", labels}, {"range", range}}},
                      {"legend", legend}};
    Json const shape{{"field", "series"},
                     {"type", "nominal"},
                     {"scale", {{"domain", labels}, {"range", shape_range}}},
                     {"legend", legend}};
    auto const x = axis_encoding(plot, plot.x, "x");
    auto const y = axis_encoding(plot, plot.y, "y");
    bool const cells = plot.y.scale == AxisScale::category;
    Json layers = Json::array();
    for (auto const& series : plot.series) {
        for (auto& layer : layers_of(plot, series, x, y, colour, shape)) {
            layers.push_back(std::move(layer));
        }
    }
    Json const specification{
        {"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
        {"description", plot.title + ". " + plot.caption},
        {"width", "container"},
        {"height", cells ? 28 * static_cast<int>(plot.y.categories.size()) + 20 : 340},
        {"autosize", {{"type", "fit-x"}, {"contains", "padding"}}},
        {"layer", layers}};
    return specification.dump();
}

std::string html_page(std::string const& title, std::vector<PageSection> const& sections) {
    if (auto const reason = vega_scripts_missing(); !reason.empty()) {
        throw EnvironmentRefused{"HTML", reason,
                                 "run cmake/fetch_vega.sh and build again, or use --ascii"};
    }
    std::string html =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n<title>" +
        escaped(title) + "</title>\n<style>" + std::string{style} +
        "</style>\n</head>\n<body>\n<h1>" + escaped(title) + "</h1>\n";
    for (auto const& section : sections) {
        html += "<section>\n<h2>" + escaped(section.title) + "</h2>\n";
        for (auto const& paragraph : section.paragraphs)
            html += "<p>" + escaped(paragraph) + "</p>\n";
        for (auto const& plot : section.plots) {
            auto specification = vega_lite_specification(plot);
            // "</script" inside a string would end the element.
            for (auto at = specification.find("</"); at != std::string::npos;
                 at = specification.find("</", at + 3)) {
                specification.replace(at, 2, "<\\/");
            }
            html += "<figure>\n<h3>" + escaped(plot.title) + "</h3>\n<div class=\"picture\" id=\"" +
                    escaped(plot.id) + "\" role=\"img\" aria-label=\"" + escaped(plot.title) +
                    "\"></div>\n<script type=\"application/vega-lite+json\" data-picture=\"" +
                    escaped(plot.id) + "\">" + specification + "</script>\n<figcaption>" +
                    escaped(plot.caption) + "</figcaption>\n" + table_html(plot.table) +
                    "</figure>\n";
        }
        html += "</section>\n";
    }
    html += "<script>";
    html += vega_scripts();
    html += "</script>\n<script>";
    html += drawing_script;
    html += "</script>\n</body>\n</html>\n";
    return html;
}

}  // namespace derate
