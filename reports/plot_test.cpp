#include "reports/plot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "reports/gnuplot.hpp"
#include "reports/html_page.hpp"

namespace derate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Plot curve_of_three_points() {
    return {.id = "efficiency-conv2d",
            .title = "conv2d",
            .caption = "Efficiency against work.",
            .x = {.title = "work", .scale = AxisScale::log10, .unit = AxisUnit::flops},
            .y = {.title = "efficiency", .scale = AxisScale::linear},
            .series = {{.label = "measured",
                        .mark = Mark::points,
                        .x = {2e6, 3e7, 4e9},
                        .y = {0.1, 0.3, 0.62},
                        .hover = {"resnet18/1/0", "it's", "</script>"}},
                       {.label = "95 % band",
                        .mark = Mark::band,
                        .x = {2e6, 4e9},
                        .low = {0.05, 0.5},
                        .high = {0.2, 0.7}}},
            .table = {.header = {"work"}, .rows = {{"2 MFLOP"}}}};
}

TEST(AxisTicks, EncloseTheDataWithDecadesInWords) {
    auto const plot = curve_of_three_points();
    auto const ticks = axis_ticks(plot, plot.x);
    EXPECT_DOUBLE_EQ(ticks.front().position, 1e6);
    EXPECT_EQ(ticks.front().label, "1 MFLOP");
    EXPECT_DOUBLE_EQ(ticks.back().position, 1e10);
}

TEST(AxisTicks, EncloseAnyNumberOfDecades) {
    for (int decades = 0; decades <= 20; ++decades) {
        auto plot = curve_of_three_points();
        plot.series.resize(1);
        plot.series[0].x = {1, 1, std::pow(10.0, decades)};
        auto const ticks = axis_ticks(plot, plot.x);
        EXPECT_LE(ticks.front().position, 1) << decades;
        EXPECT_GE(ticks.back().position, std::pow(10.0, decades)) << decades;
        EXPECT_GT(ticks.size(), 1U) << decades;
        EXPECT_LE(ticks.size(), 8U) << decades;
    }
}

TEST(AxisTicks, AreRoundNumbersAroundTheBandToo) {
    auto const plot = curve_of_three_points();
    auto const ticks = axis_ticks(plot, plot.y);
    EXPECT_LE(ticks.front().position, 0.05);
    EXPECT_GE(ticks.back().position, 0.7);
    EXPECT_LE(ticks.size(), 8U);
}

TEST(CheckDrawable, RefusesWhatNoAxisCanHold) {
    auto negative = curve_of_three_points();
    negative.series[0].x[1] = -1;
    EXPECT_THROW(check_drawable(negative), std::invalid_argument);
    auto not_finite = curve_of_three_points();
    not_finite.series[0].y[1] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_THROW(check_drawable(not_finite), std::invalid_argument);
    auto unequal = curve_of_three_points();
    unequal.series[1].high.pop_back();
    EXPECT_THROW(check_drawable(unequal), std::invalid_argument);
    EXPECT_NO_THROW(check_drawable(curve_of_three_points()));
}

std::ptrdiff_t symbols_in(Plot plot, std::size_t points) {
    plot.series.resize(1);
    plot.series[0].x.resize(points);
    plot.series[0].y.resize(points);
    plot.series[0].hover.clear();
    auto const svg = draw_svg(plot);
    EXPECT_TRUE(svg.starts_with("<svg"));
    std::ptrdiff_t symbols = 0;
    for (auto at = svg.find("<use "); at != std::string::npos; at = svg.find("<use ", at + 1)) {
        ++symbols;
    }
    return symbols;
}

TEST(Gnuplot, DrawsOneSymbolForEachPoint) {
    auto const plot = curve_of_three_points();
    EXPECT_EQ(symbols_in(plot, 3) - symbols_in(plot, 1), 2);
}

TEST(Gnuplot, QuotesWhatAModelMayBeCalled) {
    auto plot = curve_of_three_points();
    plot.title = "it's `date` $HOME \"quoted\" {/Bold x}";
    EXPECT_THAT(gnuplot_script(plot, "svg"), HasSubstr("'it''s `date` $HOME"));
    EXPECT_THAT(draw_text(plot), HasSubstr("it's `date` $HOME \"quoted\" {/Bold x}"));
}

TEST(Gnuplot, WritesAHeatmapAsATableInATerminal) {
    Plot const coverage{
        .id = "coverage",
        .title = "kernels",
        .caption = "",
        .x = {.title = "bin", .scale = AxisScale::category, .categories = {"1M", "3M"}},
        .y = {.title = "type", .scale = AxisScale::category, .categories = {"conv2d", "linear"}},
        .series = {{.label = "", .mark = Mark::cells, .x = {1}, .y = {0}, .value = {17}}},
        .table = {}};
    auto const text = draw_text(coverage);
    EXPECT_THAT(text, HasSubstr("conv2d    .   17"));
    EXPECT_THAT(text, HasSubstr("linear    .    ."));
}

TEST(VegaLite, HoldsEveryPointWithItsHoverText) {
    auto const json = nlohmann::json::parse(vega_lite_specification(curve_of_three_points()));
    auto const& points = json.at("layer").at(0).at("data").at("values");
    ASSERT_EQ(points.size(), 3U);
    EXPECT_EQ(points[0].at("hover"), "resnet18/1/0");
    EXPECT_EQ(json.at("layer").at(1).at("mark").at("type"), "area");
}

TEST(HtmlPage, LetsNoTextEndAnElement) {
    if (!vega_scripts_missing().empty()) {
        EXPECT_THROW((void)html_page("x", {}), std::exception);
        return;
    }
    auto const page = html_page(
        "A & <b>", {{.title = "s", .paragraphs = {"<i>"}, .plots = {curve_of_three_points()}}});
    EXPECT_THAT(page, HasSubstr("<h1>A &amp; &lt;b&gt;</h1>"));
    EXPECT_THAT(page, HasSubstr("<\\/script>"));
    EXPECT_THAT(page, Not(HasSubstr("src=\"http")));
}

}  // namespace
}  // namespace derate
