#include <algorithm>
#include <cmath>
#include <utility>

#include "core/format_quantity.hpp"
#include "reports/analysis.hpp"
#include "statistics/distributions.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

constexpr std::size_t min_values = 8;

std::string plot_id(std::string text) {
    for (char& letter : text) {
        if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '-';
    }
    return text;
}

/// Bars of a histogram, with the counts that a distribution would give drawn as a line.
///
/// Bin width by Freedman and Diaconis, 2 IQR / n^(1/3), kept between 5 and 40 bins.
/// Source: Freedman, Diaconis, Z. Wahrscheinlichkeitstheorie 57 (1981).
Plot histogram(std::vector<double> values, Plot plot, DistributionFit const* fit,
               std::string const& bars_label) {
    std::ranges::sort(values);
    double const least = values.front();
    double const most = values.back();
    double const count = static_cast<double>(values.size());
    double const spread = quantile_of_sorted(values, 0.75) - quantile_of_sorted(values, 0.25);
    double const range = most > least ? most - least : std::max(std::abs(most), 1.0) * 1e-3;
    double const wanted = spread > 0 ? range / (2 * spread / std::cbrt(count)) : 5;
    auto const bins = static_cast<std::size_t>(std::clamp(std::ceil(wanted), 5.0, 40.0));
    double const width = range / static_cast<double>(bins);

    PlotSeries bars{.label = bars_label, .mark = Mark::bars};
    plot.table.header = {"from", "to", "kernels"};
    std::vector<int> counts(bins, 0);
    for (double const value : values) {
        ++counts[std::min(bins - 1, static_cast<std::size_t>((value - least) / width))];
    }
    for (std::size_t i = 0; i < bins; ++i) {
        double const lower = least + width * static_cast<double>(i);
        bars.x.push_back(lower + width / 2);
        bars.y.push_back(counts[i]);
        plot.table.rows.push_back({format_significant(lower, 3),
                                   format_significant(lower + width, 3),
                                   std::to_string(counts[i])});
    }
    plot.series.push_back(std::move(bars));
    if (fit != nullptr) {
        PlotSeries line{.label = std::string{to_string(fit->family)} + " fit", .mark = Mark::line};
        constexpr int steps = 120;
        for (int i = 0; i <= steps; ++i) {
            double const x = least + range * i / steps;
            double const density = fit->density(x);
            if (!std::isfinite(density)) continue;
            line.x.push_back(x);
            line.y.push_back(density * count * width);
        }
        plot.series.push_back(std::move(line));
    }
    return plot;
}

}  // namespace

std::vector<Plot> distribution_plots(CurveDiagnostics const& curve) {
    auto const label = curve_label(curve);
    std::vector<double> efficiencies;
    std::vector<double> standardised;
    for (auto const& kernel : curve.kernels) {
        if (kernel.efficiency) efficiencies.push_back(*kernel.efficiency);
        standardised.push_back(kernel.standardised);
    }
    std::vector<Plot> plots;
    if (efficiencies.size() >= min_values) {
        auto const& fits = curve.efficiency.fits;
        plots.push_back(histogram(
            efficiencies,
            {.id = plot_id("efficiency-" + label),
             .title = label + ": efficiencies of kernels",
             .caption = "Each kernel once, as a fraction of the stated peak, with the distribution "
                        "of the lowest AIC.",
             .x = {.title = curve.zero_flop ? "fraction of peak bandwidth" : "fraction of peak"},
             .y = {.title = "kernels"}},
            fits.empty() ? nullptr : &fits.front(), "kernels"));
    }
    if (standardised.size() < min_values || !(curve.log_residual_std > 0)) return plots;

    DistributionFit const normal{.family = DistributionFamily::normal, .first = 0, .second = 1};
    plots.push_back(
        histogram(standardised,
                  {.id = plot_id("residuals-" + label),
                   .title = label + ": standardised residuals",
                   .caption = "log(measured / served), less its mean, over its standard deviation; "
                              "the line is what a normal distribution would give.",
                   .x = {.title = "standardised log residual"},
                   .y = {.title = "kernels"}},
                  &normal, "kernels"));

    Plot quantiles{.id = plot_id("quantiles-" + label),
                   .title = label + ": are residuals normal?",
                   .caption =
                       "Sorted standardised residuals against normal quantiles (Blom's "
                       "positions). On the line they are normal; ends that leave it are "
                       "heavy tails.",
                   .x = {.title = "normal quantile"},
                   .y = {.title = "standardised log residual"},
                   .table = {.header = {"normal quantile", "standardised residual", "subgraph"}}};
    PlotSeries points{.label = "kernels", .mark = Mark::points};
    std::vector<std::size_t> order(curve.kernels.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(
        order, [&](std::size_t a, std::size_t b) { return standardised[a] < standardised[b]; });
    auto const n = static_cast<double>(order.size());
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        double const probability = (static_cast<double>(rank) + 0.625) / (n + 0.25);
        auto const& kernel = curve.kernels[order[rank]];
        auto const source = kernel.source_subgraphs.empty() ? "" : kernel.source_subgraphs.front();
        points.x.push_back(normal_quantile(probability));
        points.y.push_back(kernel.standardised);
        points.hover.push_back(source);
        quantiles.table.rows.push_back({format_significant(points.x.back(), 3),
                                        format_significant(points.y.back(), 3), source});
    }
    PlotSeries line{
        .label = "normal", .mark = Mark::line, .x = {points.x.front(), points.x.back()}};
    line.y = line.x;
    quantiles.series = {std::move(points), std::move(line)};
    plots.push_back(std::move(quantiles));
    return plots;
}

}  // namespace derate
