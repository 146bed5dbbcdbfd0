#include "reports/calibration_plots.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "calibration/bins.hpp"
#include "calibration/size_band.hpp"
#include "core/format_quantity.hpp"
#include "statistics/distributions.hpp"

namespace derate {
namespace {

constexpr double z_95 = 1.959963984540054;  // standard normal quantile at 0.975

/// One evidence case as the served curves predict it.
struct PredictedKernel {
    int case_index = 0;
    double measured_ms = 0;
    double predicted_ms = 0;
    double log_variance = 0;

    [[nodiscard]] double log_residual() const { return std::log(measured_ms / predicted_ms); }
};

/// Each case once, though several models contain it.
std::vector<PredictedKernel> distinct_kernels(PicturedCalibration const& pictured) {
    std::map<int, PredictedKernel> kernels;
    for (auto const& model : pictured.predictions.models) {
        for (auto const& kernel : model.kernels) {
            if (!(kernel.measured_ms > 0) || !(kernel.predicted_ms > 0)) continue;
            kernels.try_emplace(kernel.case_index,
                                PredictedKernel{kernel.case_index, kernel.measured_ms,
                                                kernel.predicted_ms, kernel.log_variance});
        }
    }
    std::vector<PredictedKernel> distinct;
    for (auto const& [index, kernel] : kernels) distinct.push_back(kernel);
    return distinct;
}

/// The first place each case has in a model: "resnet18 b1 #5 and 3 more".
std::map<int, std::string> places_of_cases(Evidence const& evidence) {
    std::map<int, std::pair<std::string, int>> places;
    for (auto const& model : evidence.models) {
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            auto [at, is_new] = places.try_emplace(model.cases[i],
                                                   model.name + " b" + batch_text(model.batch) +
                                                       " #" + std::to_string(model.subgraph_id(i)),
                                                   0);
            if (!is_new) ++at->second.second;
        }
    }
    std::map<int, std::string> text;
    for (auto const& [index, place] : places) {
        text[index] = place.first +
                      (place.second > 0 ? " and " + std::to_string(place.second) + " more" : "");
    }
    return text;
}

std::string shape_text(std::vector<std::int64_t> const& shape) {
    std::string text;
    for (auto const size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
    return text;
}

std::string describe(Subgraph const& subgraph) {
    std::string text = subgraph.fusion_pattern;
    if (!subgraph.nodes.empty()) {
        text += " " + shape_text(subgraph.nodes.front().input_shape) + " to " +
                shape_text(subgraph.nodes.back().output_shape);
    }
    return text + ", " + format_flops(subgraph.work) + ", " +
           format_bytes(subgraph.traffic.total());
}

std::string evidence_of(PicturedCalibration const& pictured) {
    auto const& files = pictured.calibration.provenance.evidence;
    return files.empty() ? std::string{"no evidence file"} : "evidence/" + files.front().file;
}

double work_of(Subgraph const& subgraph, bool zero_flop) {
    return zero_flop ? subgraph.traffic.total().value() : subgraph.work.value();
}

/// Efficiency of a time on the curve's axis; empty where work or peak is missing.
std::optional<double> efficiency_at(Calibration const& calibration, Subgraph const& subgraph,
                                    bool zero_flop, double time_ms) {
    auto const& peak = zero_flop ? calibration.peak_bandwidth : calibration.peak_flops;
    double const work = work_of(subgraph, zero_flop);
    if (!peak || !(work > 0) || !(time_ms > 0)) return std::nullopt;
    return work * ms_per_second / (time_ms * peak->per_second);
}

bool belongs(Subgraph const& subgraph, OperationType type, bool zero_flop) {
    return subgraph.type == type && (subgraph.work.value() > 0) != zero_flop;
}

std::string prefix(std::span<PicturedCalibration const> all, PicturedCalibration const& one) {
    return all.size() > 1 ? one.label + ": " : "";
}

/// The type's kernels by size, and what the band says of them.
struct DrawnBand {
    PlotSeries series{.mark = Mark::band};
    int kernels = 0;
    int inside = 0;
};

DrawnBand size_band(PicturedCalibration const& pictured, OperationType type, bool zero_flop,
                    std::string label) {
    DrawnBand drawn;
    drawn.series.label = std::move(label);
    std::vector<SizedEfficiency> kernels;
    for (auto const& one : pictured.evidence->cases) {
        if (!one.timing || !belongs(one.subgraph, type, zero_flop)) continue;
        auto const efficiency =
            efficiency_at(pictured.calibration, one.subgraph, zero_flop, one.timing->center_ms);
        if (efficiency) kernels.push_back({work_of(one.subgraph, zero_flop), *efficiency});
    }
    if (kernels.size() < 2) return drawn;
    SizeBands const bands{kernels};
    for (auto const& kernel : kernels) {
        auto const band = bands.at(kernel.work).band;
        ++drawn.kernels;
        drawn.inside += band.lower <= kernel.efficiency && kernel.efficiency <= band.upper ? 1 : 0;
    }
    constexpr int places = 25;
    for (auto const& at : bands.over_range(places)) {
        drawn.series.x.push_back(at.work);
        drawn.series.y.push_back(at.center);
        drawn.series.low.push_back(at.band.lower);
        drawn.series.high.push_back(at.band.upper);
    }
    constexpr double sliver = 1.06;  // of one size alone the band is a strip that can be seen
    if (drawn.series.x.front() == drawn.series.x.back()) {
        drawn.series.x.front() /= sliver;
        drawn.series.x.back() *= sliver;
    }
    return drawn;
}

/// A sentence on kernels above a peak, where there are any: rates no device reaches.
std::string above_the_roof(std::vector<std::string> const& names) {
    if (names.empty()) return "";
    constexpr std::size_t shown = 3;
    std::string text = " Above the roof, so the stated peak is too low or the count too high: ";
    for (std::size_t i = 0; i < std::min(shown, names.size()); ++i) {
        text += (i > 0 ? ", " : "") + names[i];
    }
    if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
    return text + ".";
}

PlotSeries kernel_points(PicturedCalibration const& pictured, OperationType type, bool zero_flop,
                         std::string label, PlotTable& table) {
    PlotSeries points{.label = std::move(label), .mark = Mark::points};
    auto const places = places_of_cases(*pictured.evidence);
    std::map<int, double> predicted;
    for (auto const& kernel : distinct_kernels(pictured)) {
        predicted[kernel.case_index] = kernel.predicted_ms;
    }
    for (std::size_t i = 0; i < pictured.evidence->cases.size(); ++i) {
        auto const& one = pictured.evidence->cases[i];
        if (!one.timing || !belongs(one.subgraph, type, zero_flop)) continue;
        auto const efficiency =
            efficiency_at(pictured.calibration, one.subgraph, zero_flop, one.timing->center_ms);
        if (!efficiency) continue;
        auto const place = places.find(static_cast<int>(i));
        auto const name =
            place == places.end() ? std::string{one.probe ? "probe" : "no model"} : place->second;
        auto const expected = predicted.find(static_cast<int>(i));
        points.x.push_back(work_of(one.subgraph, zero_flop));
        points.y.push_back(*efficiency);
        points.hover.push_back(
            name + ": " + describe(one.subgraph) + "; measured " +
            format_ms(one.timing->center_ms) +
            (expected == predicted.end() ? "" : ", predicted " + format_ms(expected->second)) +
            "; efficiency " + format_significant(*efficiency, 3) + "; " + evidence_of(pictured));
        table.rows.push_back(
            {pictured.label, name, one.subgraph.fusion_pattern,
             axis_label(points.x.back(), zero_flop ? AxisUnit::bytes : AxisUnit::flops),
             format_ms(one.timing->center_ms),
             expected == predicted.end() ? "unknown" : format_ms(expected->second),
             format_significant(*efficiency, 3)});
    }
    return points;
}

/// What a calibration without evidence still shows: its bins with the mean's confidence interval.
PlotSeries bin_intervals(EfficiencyCurve const& curve, std::string label) {
    PlotSeries bins{.label = std::move(label), .mark = Mark::intervals};
    for (auto const& point : curve.data_points) {
        auto const interval = point.confidence_interval_of_mean.value_or(
            Interval{point.efficiency_mean, point.efficiency_mean});
        bins.x.push_back(point.work);
        bins.y.push_back(point.efficiency_mean);
        bins.low.push_back(std::max(interval.lower, point.efficiency_mean * 1e-3));
        bins.high.push_back(interval.upper);
        bins.hover.push_back(std::to_string(point.num_observations) + " observations, mean " +
                             format_significant(point.efficiency_mean, 3) + ", 95 % " +
                             (point.confidence_interval_of_mean
                                  ? format_significant(interval.lower, 3) + " to " +
                                        format_significant(interval.upper, 3)
                                  : std::string{"unknown"}));
    }
    return bins;
}

EfficiencyCurve const* curve_of(Calibration const& calibration, OperationType type,
                                bool zero_flop) {
    for (auto const& curve : calibration.curves) {
        if (curve.type == type && curve.zero_flop == zero_flop) return &curve;
    }
    return nullptr;
}

void keep_unless_empty(Plot& plot, PlotSeries series) {
    if (!series.x.empty()) plot.series.push_back(std::move(series));
}

std::string plot_id(std::string_view name) {
    std::string id;
    for (char const c : name) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
    return id;
}

}  // namespace

std::optional<Plot> efficiency_plot(std::span<PicturedCalibration const> calibrations,
                                    OperationType type, bool zero_flop) {
    std::string const name{to_string(type)};
    auto const unit = zero_flop ? AxisUnit::bytes : AxisUnit::flops;
    Plot plot{
        .id = plot_id("efficiency-" + name + (zero_flop ? "-bytes" : "")),
        .title = name +
                 (zero_flop ? " without FLOPs: share of peak bandwidth" : ": share of peak FLOP/s"),
        .caption =
            "Each point is a distinct kernel; the bars are the 95 % confidence interval of "
            "a bin's mean.",
        .x = {.title = zero_flop ? "bytes moved" : "work", .scale = AxisScale::log10, .unit = unit},
        .y = {.title = "efficiency", .scale = AxisScale::log10, .unit = AxisUnit::none},
        .table = {.header = {"calibration", "kernel", "pattern", zero_flop ? "bytes" : "work",
                             "measured", "predicted", "efficiency"}}};
    for (auto const& pictured : calibrations) {
        auto const before = prefix(calibrations, pictured);
        if (pictured.evidence) {
            auto band = size_band(pictured, type, zero_flop, before + "one more kernel (95 %)");
            if (band.kernels > 0) {
                plot.caption += " " + before +
                                "the band is for one more kernel of a size, "
                                "whatever its shape; it holds " +
                                std::to_string(band.inside) + " of the " +
                                std::to_string(band.kernels) + " drawn.";
            }
            keep_unless_empty(plot, std::move(band.series));
            auto points = kernel_points(pictured, type, zero_flop, before + "kernels", plot.table);
            std::vector<std::string> above;
            for (std::size_t i = 0; i < points.y.size(); ++i) {
                if (points.y[i] > 1)
                    above.push_back(points.hover[i].substr(0, points.hover[i].find(':')));
            }
            plot.caption += above_the_roof(above);
            keep_unless_empty(plot, std::move(points));
        }
        if (auto const* curve = curve_of(pictured.calibration, type, zero_flop)) {
            keep_unless_empty(plot,
                              bin_intervals(*curve, before + "mean of a bin (95 % confidence)"));
        }
    }
    if (plot.series.empty()) return std::nullopt;
    return plot;
}

std::optional<Plot> residual_plot(PicturedCalibration const& pictured) {
    Plot plot{
        .id = plot_id("residuals-" + pictured.label),
        .title = pictured.label + ": measured over predicted, kernel by kernel",
        .caption =
            "At 1 the served curve is right; a cloud that leaves 1 as time grows is a curve of the "
            "wrong shape. Held-out kernels are unseen, the others were fitted on.",
        .x = {.title = "predicted time", .scale = AxisScale::log10, .unit = AxisUnit::milliseconds},
        .y = {.title = "measured / predicted", .scale = AxisScale::log10},
        .table = {.header = {"kernel", "type", "measured", "predicted", "measured / predicted"}}};
    if (!pictured.evidence) return std::nullopt;
    auto const places = places_of_cases(*pictured.evidence);
    std::map<ParentType, PlotSeries> by_parent;
    for (auto const& kernel : distinct_kernels(pictured)) {
        auto const& subgraph = pictured.evidence->cases.at(kernel.case_index).subgraph;
        auto& series = by_parent[parent_of(subgraph.type)];
        series.label = to_string(parent_of(subgraph.type));
        series.x.push_back(kernel.predicted_ms);
        series.y.push_back(kernel.measured_ms / kernel.predicted_ms);
        auto const place = places.find(kernel.case_index);
        auto const name = place == places.end() ? std::string{"no model"} : place->second;
        series.hover.push_back(name + ": " + describe(subgraph) + "; measured " +
                               format_ms(kernel.measured_ms) + ", predicted " +
                               format_ms(kernel.predicted_ms));
        plot.table.rows.push_back({name, std::string{to_string(subgraph.type)},
                                   format_ms(kernel.measured_ms), format_ms(kernel.predicted_ms),
                                   format_significant(series.y.back(), 3)});
    }
    for (auto& [parent, series] : by_parent) keep_unless_empty(plot, std::move(series));
    if (plot.series.empty()) return std::nullopt;
    return plot;
}

std::optional<Plot> normal_quantile_plot(PicturedCalibration const& pictured) {
    if (!pictured.evidence) return std::nullopt;
    std::vector<double> standardised;
    for (auto const& kernel : distinct_kernels(pictured)) {
        if (kernel.log_variance > 0) {
            standardised.push_back(kernel.log_residual() / std::sqrt(kernel.log_variance));
        }
    }
    if (standardised.size() < 3) return std::nullopt;
    std::ranges::sort(standardised);
    Plot plot{.id = plot_id("quantiles-" + pictured.label),
              .title = pictured.label + ": are residuals normal?",
              .caption =
                  "Standardised log residuals of kernels against the normal distribution: on the "
                  "line they "
                  "are as large as predicted, flatter is a variance that claims too much, tails "
                  "that bend "
                  "away are outliers.",
              .x = {.title = "normal quantile", .scale = AxisScale::linear},
              .y = {.title = "standardised residual", .scale = AxisScale::linear},
              .table = {.header = {"normal quantile", "standardised residual"}}};
    PlotSeries points{.label = "kernels", .mark = Mark::points};
    auto const n = static_cast<double>(standardised.size());
    for (std::size_t i = 0; i < standardised.size(); ++i) {
        // Blom's plotting position: nearly unbiased for normal order statistics.
        double const quantile = normal_quantile((static_cast<double>(i) + 1 - 0.375) / (n + 0.25));
        points.x.push_back(quantile);
        points.y.push_back(standardised[i]);
        plot.table.rows.push_back(
            {format_significant(quantile, 3), format_significant(standardised[i], 3)});
    }
    PlotSeries diagonal{
        .label = "as predicted", .mark = Mark::line, .x = {points.x.front(), points.x.back()}};
    diagonal.y = diagonal.x;
    plot.series = {std::move(points), std::move(diagonal)};
    return plot;
}

std::optional<Plot> coverage_plot(PicturedCalibration const& pictured) {
    std::map<OperationType, std::map<double, double>> kernels;
    std::map<double, std::string> bins;
    auto const count = [&](OperationType type, double work, double number) {
        auto const bin = work_bin_of(work);
        bins[bin.lower] = to_string(bin);
        kernels[type][bin.lower] += number;
    };
    if (pictured.evidence) {
        for (auto const& one : pictured.evidence->cases) {
            bool const zero_flop = !(one.subgraph.work.value() > 0);
            double const work = work_of(one.subgraph, zero_flop);
            if (one.timing && work > 0) count(one.subgraph.type, work, 1);
        }
    } else {
        for (auto const& curve : pictured.calibration.curves) {
            for (auto const& point : curve.data_points) {
                count(curve.type, point.work, static_cast<double>(point.source_subgraphs.size()));
            }
        }
    }
    if (kernels.empty()) return std::nullopt;
    Plot plot{.id = plot_id("coverage-" + pictured.label),
              .title = pictured.label + ": distinct kernels by type and size",
              .caption =
                  "An empty cell is a size nobody measured: a kernel there is extrapolated and its "
                  "interval "
                  "widened. Kernels without FLOPs are binned by bytes.",
              .x = {.title = "work (FLOPs, or bytes)", .scale = AxisScale::category},
              .y = {.title = "operation type", .scale = AxisScale::category},
              .series = {{.label = "kernels", .mark = Mark::cells}},
              .table = {.header = {"type", "size", "distinct kernels"}}};
    std::map<double, double> column;
    for (auto const& [lower, name] : bins) {
        column[lower] = static_cast<double>(plot.x.categories.size());
        plot.x.categories.push_back(name);
    }
    auto& cells = plot.series.front();
    for (auto const& [type, row] : kernels) {
        for (auto const& [lower, number] : row) {
            cells.x.push_back(column[lower]);
            cells.y.push_back(static_cast<double>(plot.y.categories.size()));
            cells.value.push_back(number);
            cells.hover.push_back(std::string{to_string(type)} + ", " + bins[lower] + ": " +
                                  format_significant(number, 3) + " distinct kernels");
            plot.table.rows.push_back({std::string{to_string(type)}, bins[lower],
                                       std::to_string(static_cast<long>(number))});
        }
        plot.y.categories.emplace_back(to_string(type));
    }
    return plot;
}

std::optional<Plot> whole_model_plot(PicturedCalibration const& pictured) {
    if (!pictured.evidence || pictured.predictions.models.empty()) return std::nullopt;
    Plot plot{
        .id = plot_id("models-" + pictured.label),
        .title = pictured.label + ": whole models, predicted and measured",
        .caption =
            "A bar is the 95 % prediction interval; it should cross the line where prediction "
            "equals "
            "measurement. Held-out models were never fitted on.",
        .x = {.title = "measured", .scale = AxisScale::log10, .unit = AxisUnit::milliseconds},
        .y = {.title = "predicted", .scale = AxisScale::log10, .unit = AxisUnit::milliseconds},
        .table = {.header = {"model", "batch", "role", "measured", "predicted", "95 % interval",
                             "error", "truth"}}};
    PlotSeries fitted{.label = "calibrated on", .mark = Mark::intervals};
    PlotSeries unseen{.label = "held out", .mark = Mark::intervals};
    PlotSeries equal{.label = "predicted = measured", .mark = Mark::line};
    for (auto const& model : pictured.predictions.models) {
        bool const held_out =
            pictured.evidence->models.at(model.model_index).role == ModelRole::held_out;
        auto& series = held_out ? unseen : fitted;
        auto const& predicted = model.predicted;
        double const half = (predicted.ci_95_upper_ms - predicted.ci_95_lower_ms) / 2;
        auto const error =
            format_significant(100 * (predicted.latency_ms / model.measured_ms - 1), 2) + " %";
        auto const truth = model.independent_truth ? "timed whole" : "sum of parts";
        auto const name = model.model + " b" + batch_text(model.batch);
        series.x.push_back(model.measured_ms);
        series.y.push_back(predicted.latency_ms);
        series.low.push_back(predicted.ci_95_lower_ms);
        series.high.push_back(predicted.ci_95_upper_ms);
        series.hover.push_back(name + ": measured " + format_ms(model.measured_ms, half) + " (" +
                               truth + "), predicted " + format_ms(predicted.latency_ms, half) +
                               ", 95 % " + format_ms(predicted.ci_95_lower_ms, half) + " to " +
                               format_ms(predicted.ci_95_upper_ms, half) + ", error " + error);
        plot.table.rows.push_back(
            {model.model, batch_text(model.batch), held_out ? "held out" : "calibrated on",
             format_ms(model.measured_ms, half), format_ms(predicted.latency_ms, half),
             format_ms(predicted.ci_95_lower_ms, half) + " to " +
                 format_ms(predicted.ci_95_upper_ms, half),
             error, truth});
        equal.x.push_back(model.measured_ms);
    }
    auto const [least, most] = std::ranges::minmax(equal.x);
    equal.x = {least, most};
    equal.y = equal.x;
    keep_unless_empty(plot, std::move(fitted));
    keep_unless_empty(plot, std::move(unseen));
    keep_unless_empty(plot, std::move(equal));
    return plot;
}

std::optional<Plot> roofline_plot(PicturedCalibration const& pictured, std::string const& model,
                                  std::span<RooflinePoint const> points) {
    auto const& calibration = pictured.calibration;
    if (!calibration.peak_flops || !calibration.peak_bandwidth) return std::nullopt;
    Plot plot{
        .id = plot_id("roofline-" + pictured.label + "-" + model),
        .title = pictured.label + ": roofline of " + model,
        .caption =
            "Each point is a subgraph at its predicted rate. Under the slanted roof memory "
            "bounds it, under the flat one arithmetic, unless the cost of each operator takes "
            "most of its time (overhead).",
        .x = {.title = "arithmetic intensity (FLOP per byte)",
              .scale = AxisScale::log10,
              .unit = AxisUnit::flops_per_byte},
        .y = {.title = "rate", .scale = AxisScale::log10, .unit = AxisUnit::flops_per_second},
        .table = {
            .header = {"subgraph", "pattern", "type", "FLOP per byte", "rate", "time", "bound"}}};
    std::map<Bound, PlotSeries> by_bound;
    std::vector<std::string> above;
    double least = calibration.peak_flops->per_second / calibration.peak_bandwidth->per_second;
    double most = least;
    for (auto const& point : points) {
        double const work = point.subgraph.work.value();
        double const traffic = point.subgraph.traffic.total().value();
        if (!(work > 0) || !(traffic > 0) || !(point.latency_ms > 0) || !point.bound) continue;
        auto& series = by_bound[*point.bound];
        series.label = std::string{to_string(*point.bound)} + " bound";
        series.x.push_back(work / traffic);
        series.y.push_back(work * ms_per_second / point.latency_ms);
        series.hover.push_back("#" + std::to_string(point.subgraph.id) + " " +
                               describe(point.subgraph) + "; " + format_ms(point.latency_ms));
        plot.table.rows.push_back(
            {std::to_string(point.subgraph.id), point.subgraph.fusion_pattern,
             std::string{to_string(point.subgraph.type)}, format_significant(series.x.back(), 3),
             format_rate(FlopsPerSecond{series.y.back()}), format_ms(point.latency_ms),
             std::string{to_string(*point.bound)}});
        if (series.y.back() > std::min(calibration.peak_flops->per_second,
                                       series.x.back() * calibration.peak_bandwidth->per_second)) {
            above.push_back("#" + std::to_string(point.subgraph.id));
        }
        least = std::min(least, series.x.back());
        most = std::max(most, series.x.back());
    }
    if (by_bound.empty()) return std::nullopt;
    plot.caption += above_the_roof(above);
    double const ridge =
        calibration.peak_flops->per_second / calibration.peak_bandwidth->per_second;
    double const left = std::min(least, ridge) / 2;
    plot.series.push_back(
        {.label = "roof",
         .mark = Mark::line,
         .x = {left, ridge, std::max(most, ridge) * 2},
         .y = {left * calibration.peak_bandwidth->per_second, calibration.peak_flops->per_second,
               calibration.peak_flops->per_second}});
    for (auto& [bound, series] : by_bound) plot.series.push_back(std::move(series));
    return plot;
}

std::vector<PageSection> calibration_sections(std::span<PicturedCalibration const> calibrations) {
    std::vector<PageSection> sections;
    auto const keep = [](PageSection& section, std::optional<Plot> plot) {
        if (plot) section.plots.push_back(std::move(*plot));
    };
    PageSection models{.title = "Whole models"}, coverage{.title = "Where there are data"},
        residuals{.title = "Residuals"};
    for (auto const& pictured : calibrations) {
        auto const& provenance = pictured.calibration.provenance;
        models.paragraphs.push_back(
            pictured.label + ": " + std::string{to_string(pictured.calibration.source)} + ", " +
            (provenance.date.empty() ? "date unknown" : days_of(provenance)) + ", " +
            std::to_string(provenance.models_used.size()) + " models, " +
            std::to_string(provenance.num_samples) + " repetitions" +
            (provenance.trust_grade ? ", trust grade " + *provenance.trust_grade : "") + "." +
            (pictured.evidence ? "" : " Its evidence is not at hand: only its bins can be drawn."));
        keep(models, whole_model_plot(pictured));
        keep(coverage, coverage_plot(pictured));
        keep(residuals, residual_plot(pictured));
        keep(residuals, normal_quantile_plot(pictured));
    }
    PageSection efficiencies{.title = "Efficiency curves"};
    for (auto const type : all_operation_types) {
        for (bool const zero_flop : {false, true}) {
            keep(efficiencies, efficiency_plot(calibrations, type, zero_flop));
        }
    }
    for (auto* section : {&models, &coverage, &efficiencies, &residuals}) {
        if (!section->plots.empty() || !section->paragraphs.empty()) {
            sections.push_back(std::move(*section));
        }
    }
    return sections;
}

}  // namespace derate
