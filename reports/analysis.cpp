#include "reports/analysis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "core/format_quantity.hpp"
#include "reports/gnuplot.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"

namespace derate {
namespace {

constexpr double significance = 0.05;
constexpr std::size_t outliers_shown = 20;
constexpr std::size_t curves_pictured = 12;  // those with the most time; tables hold all
constexpr std::string_view unknown = "-";

using Row = std::vector<std::string>;

std::string percent_of_log(double log_std) {
    return percent_of(std::expm1(log_std));
}

std::string root_percent(std::optional<double> variance) {
    return variance ? percent_of_log(std::sqrt(*variance)) : std::string{unknown};
}

std::string number(std::optional<double> value, int digits = 3) {
    return value ? format_significant(*value, digits) : std::string{unknown};
}

std::string p_text(std::optional<double> p) {
    if (!p) return std::string{unknown};
    return *p < 1e-4 ? "< 0.0001" : format_significant(*p, 2);
}

std::string work_text(CurveDiagnostics const& curve, double work) {
    return curve.zero_flop ? format_bytes(Bytes{work}) : format_flops(Flops{work});
}

/// "1.80 times the served time", "0.55 times the served time".
std::string factor_text(double log_residual) {
    return format_significant(std::exp(log_residual), 3);
}

bool is_not_normal(DistributionDiagnostics const& sample) {
    return sample.shapiro_wilk && sample.shapiro_wilk->p_value < significance;
}

struct FoundOutlier {
    CurveDiagnostics const* curve;
    KernelResidual const* kernel;
};

std::vector<FoundOutlier> outliers_of(CalibrationDiagnostics const& diagnostics) {
    std::vector<FoundOutlier> all;
    for (auto const& curve : diagnostics.curves) {
        for (auto const index : curve.outliers) all.push_back({&curve, &curve.kernels[index]});
    }
    std::ranges::stable_sort(all, std::greater{}, [](FoundOutlier const& outlier) {
        return std::abs(outlier.kernel->log_residual);
    });
    return all;
}

// ---------------------------------------------------------------------------------------------
// Tables

TextTable distribution_table(CalibrationDiagnostics const& diagnostics) {
    TextTable table{.header = {"curve", "kernels", "time", "mean", "median", "std", "min", "max",
                               "best fit", "AIC", "next fit", "AIC", "BIC of both"}};
    for (auto const& curve : diagnostics.curves) {
        auto const& sample = curve.efficiency;
        Row row{curve_label(curve), std::to_string(curve.kernels.size()),
                percent_of(curve.time_share)};
        if (sample.summary.count == 0) {
            row.resize(table.header.size(), std::string{unknown});
            table.rows.push_back(std::move(row));
            continue;
        }
        auto const variance = sample.summary.variance();
        row.push_back(format_significant(sample.summary.mean, 3));
        row.push_back(format_significant(sample.median, 3));
        row.push_back(variance ? format_significant(std::sqrt(*variance), 2)
                               : std::string{unknown});
        row.push_back(format_significant(sample.min, 2));
        row.push_back(format_significant(sample.max, 3));
        std::string both;
        for (std::size_t i = 0; i < 2; ++i) {
            bool const there = i < sample.fits.size();
            row.push_back(there ? std::string{to_string(sample.fits[i].family)}
                                : std::string{unknown});
            row.push_back(there ? format_significant(sample.fits[i].aic, 4) : std::string{unknown});
            if (there) both += (i > 0 ? ", " : "") + format_significant(sample.fits[i].bic, 4);
        }
        row.push_back(both.empty() ? std::string{unknown} : both);
        table.rows.push_back(std::move(row));
    }
    return table;
}

TextTable residual_table(CalibrationDiagnostics const& diagnostics) {
    TextTable table{.header = {"curve", "kernels", "bias", "std", "skewness", "excess kurtosis",
                               "Shapiro-Wilk W", "p", "Anderson-Darling A2", "p", "Breusch-Pagan",
                               "p", "spread grows to", "outliers"}};
    for (auto const& curve : diagnostics.curves) {
        auto const& sample = curve.residual;
        auto const& shapiro = sample.shapiro_wilk;
        auto const& anderson = sample.anderson_darling;
        auto const& breusch = curve.heteroscedasticity;
        bool const changes = breusch && breusch->p_value < significance;
        table.rows.push_back(
            {curve_label(curve), std::to_string(curve.kernels.size()),
             percent_of_log(curve.mean_log_residual),
             curve.kernels.size() > 1 ? percent_of_log(curve.log_residual_std)
                                      : std::string{unknown},
             number(sample.skewness, 2), number(sample.excess_kurtosis, 2),
             number(shapiro ? std::optional{shapiro->w} : std::nullopt, 3),
             p_text(shapiro ? std::optional{shapiro->p_value} : std::nullopt),
             number(anderson ? std::optional{anderson->adjusted_a_squared} : std::nullopt, 3),
             p_text(anderson ? std::optional{anderson->p_value} : std::nullopt),
             number(breusch ? std::optional{breusch->statistic} : std::nullopt, 3),
             p_text(breusch ? std::optional{breusch->p_value} : std::nullopt),
             !changes             ? std::string{unknown}
             : breusch->slope > 0 ? "large kernels"
                                  : "small kernels",
             std::to_string(curve.outliers.size())});
    }
    return table;
}

Row budget_row(std::string const& label, VarianceBudget const& budget) {
    return {label,
            root_percent(budget.within_launch),
            root_percent(budget.between_launches),
            root_percent(budget.noise_of_mean),
            root_percent(budget.between_models),
            root_percent(budget.lack_of_fit),
            root_percent(budget.total)};
}

TextTable variance_table(CalibrationDiagnostics const& diagnostics) {
    TextTable table{.header = {"curve", "within launch", "between launches", "noise of the mean",
                               "between models", "lack of fit", "all"}};
    table.rows.push_back(budget_row("all kernels", diagnostics.variance));
    for (auto const& curve : diagnostics.curves) {
        table.rows.push_back(budget_row(curve_label(curve), curve.variance));
    }
    return table;
}

TextTable consistency_table(CalibrationDiagnostics const& diagnostics) {
    TextTable table{.header = {"curve", "model", "kernels", "measured / served", "p (Holm)",
                               "p of all models alike"},
                    .first_number = 2};
    auto const add = [&](std::string const& label, ModelConsistency const& consistency,
                         std::size_t most) {
        for (std::size_t i = 0; i < std::min(most, consistency.models.size()); ++i) {
            auto const& shift = consistency.models[i];
            table.rows.push_back({label, shift.model, std::to_string(shift.kernels),
                                  factor_text(shift.mean_log_residual), p_text(shift.p_value),
                                  p_text(consistency.p_value)});
        }
    };
    add("all kernels", diagnostics.consistency, 5);
    for (auto const& curve : diagnostics.curves) add(curve_label(curve), curve.consistency, 1);
    return table;
}

TextTable outlier_table(CalibrationDiagnostics const& diagnostics) {
    TextTable table{.header = {"curve", "subgraph", "work", "measured ms", "served ms",
                               "measured / served", "sigmas", "evidence"},
                    .first_number = 2};
    auto const all = outliers_of(diagnostics);
    for (std::size_t i = 0; i < std::min(outliers_shown, all.size()); ++i) {
        auto const& [curve, kernel] = all[i];
        table.rows.push_back(
            {curve_label(*curve), listed(kernel->source_subgraphs, 2),
             work_text(*curve, kernel->work), format_significant(kernel->measured_ms, 4),
             format_significant(kernel->predicted_ms, 4), factor_text(kernel->log_residual),
             format_significant(kernel->standardised, 2),
             "case " + std::to_string(kernel->case_index)});
    }
    return table;
}

// ---------------------------------------------------------------------------------------------
// Sections, the same in both forms

std::vector<ReportSection> sections_of(CalibrationDiagnostics const& diagnostics) {
    auto const outliers = outliers_of(diagnostics);
    return {
        {"Efficiencies",
         "Each distinct kernel once; efficiency is work over served time and stated peak (of "
         "bandwidth for |0 curves). Distributions are fitted by maximum likelihood; the lower AIC "
         "or "
         "BIC is the better description. A beta distribution exists only where all efficiencies "
         "lie "
         "below 1.",
         distribution_table(diagnostics)},
        {"Residuals",
         "log(measured / served) of the kernels that the curves were fitted to: bias is its mean, "
         "std its standard deviation, both as percent of time. p below 0.05 says: not normal "
         "(Shapiro-Wilk, Anderson-Darling), or the spread changes with the logarithm of work "
         "(Breusch-Pagan, Koenker's form). A large sample finds small deviations; look at kurtosis "
         "and pictures too.",
         residual_table(diagnostics)},
        {"Where the variance comes from",
         "Standard deviations of one kernel's log time, as percent. Noise of the mean is what "
         "launches leave of the served centre; between models is how far whole models are shifted "
         "against the curve; lack of fit is the rest. \"-\" is not known from this evidence: "
         "imported files have no launches.",
         variance_table(diagnostics)},
        {"Do models agree?",
         "Mean of measured / served over a model's kernels, the five models furthest from 1 and "
         "for "
         "each curve the furthest. p compares it with the other models' kernels (Welch, Holm over "
         "models); the last column tests that all models are alike (one-way analysis of variance).",
         consistency_table(diagnostics)},
        {"Outliers",
         outliers.empty()
             ? "No kernel lies beyond 3 standard deviations of its curve."
             : count_of(outliers.size(), "kernel lies", "kernels lie") +
                   " beyond 3 standard deviations of their curve; the " +
                   std::to_string(std::min(outliers.size(), outliers_shown)) +
                   " furthest are listed. Evidence names the case in the evidence file.",
         outlier_table(diagnostics)},
    };
}

std::string title_of(Calibration const& calibration) {
    std::string title = "Analysis of " + calibration.hardware_id + ", " +
                        std::string{to_string(calibration.condition.precision)};
    if (auto const threads = calibration.condition.execution.threads)
        title += ", " + threads_text(threads);
    return title;
}

/// Draws many pictures at once: each is a gnuplot process that mostly starts up.
std::vector<std::string> draw_all(std::vector<Plot> const& plots,
                                  std::function<std::string(Plot const&)> const& draw) {
    constexpr std::size_t at_once = 4;
    std::vector<std::string> drawn(plots.size());
    std::vector<std::future<void>> workers;
    for (std::size_t worker = 0; worker < at_once; ++worker) {
        workers.push_back(std::async(std::launch::async, [&, worker] {
            for (std::size_t i = worker; i < plots.size(); i += at_once) drawn[i] = draw(plots[i]);
        }));
    }
    for (auto& worker : workers) worker.get();
    return drawn;
}

std::vector<Plot> pictured(CalibrationDiagnostics const& diagnostics) {
    std::vector<Plot> plots;
    std::size_t curves = 0;
    for (auto const& curve : diagnostics.curves) {
        if (curves == curves_pictured) break;
        auto more = distribution_plots(curve);
        if (!more.empty()) ++curves;
        std::ranges::move(more, std::back_inserter(plots));
    }
    return plots;
}

nlohmann::json json_of(VarianceBudget const& budget) {
    return {{"within_launch", json_or_null(budget.within_launch)},
            {"between_launches", json_or_null(budget.between_launches)},
            {"noise_of_mean", json_or_null(budget.noise_of_mean)},
            {"between_models", json_or_null(budget.between_models)},
            {"lack_of_fit", json_or_null(budget.lack_of_fit)},
            {"total", budget.total}};
}

nlohmann::json json_of(ModelConsistency const& consistency) {
    nlohmann::json models = nlohmann::json::array();
    for (auto const& shift : consistency.models) {
        models.push_back({{"model", shift.model},
                          {"kernels", shift.kernels},
                          {"mean_log_residual", shift.mean_log_residual},
                          {"p_value_holm", json_or_null(shift.p_value)}});
    }
    return {{"models", std::move(models)}, {"p_value", json_or_null(consistency.p_value)}};
}

nlohmann::json json_of(DistributionDiagnostics const& sample) {
    if (sample.summary.count == 0) return nullptr;
    nlohmann::json fits = nlohmann::json::array();
    for (auto const& fit : sample.fits) {
        fits.push_back({{"family", to_string(fit.family)},
                        {"parameters", {fit.first, fit.second}},
                        {"log_likelihood", fit.log_likelihood},
                        {"aic", fit.aic},
                        {"bic", fit.bic}});
    }
    auto const variance = sample.summary.variance();
    nlohmann::json json{
        {"count", sample.summary.count},
        {"mean", sample.summary.mean},
        {"median", sample.median},
        {"std", json_or_null(variance ? std::optional{std::sqrt(*variance)} : std::nullopt)},
        {"min", sample.min},
        {"max", sample.max},
        {"skewness", json_or_null(sample.skewness)},
        {"excess_kurtosis", json_or_null(sample.excess_kurtosis)},
        {"shapiro_wilk", nullptr},
        {"anderson_darling", nullptr},
        {"fits", std::move(fits)}};
    if (auto const& test = sample.shapiro_wilk) {
        json["shapiro_wilk"] = {{"w", test->w}, {"p_value", test->p_value}};
    }
    if (auto const& test = sample.anderson_darling) {
        json["anderson_darling"] = {{"a_squared", test->a_squared},
                                    {"adjusted_a_squared", test->adjusted_a_squared},
                                    {"p_value", test->p_value}};
    }
    return json;
}

}  // namespace

std::string curve_label(CurveDiagnostics const& curve) {
    return curve_key(to_string(curve.type), curve.zero_flop);
}

std::string analysis_in_words(Calibration const& calibration,
                              CalibrationDiagnostics const& diagnostics) {
    std::string words =
        "The curves rest on " + std::to_string(diagnostics.kernels) + " kernels of " +
        count_of(static_cast<std::size_t>(diagnostics.models), "model", "models") + " (" +
        std::to_string(calibration.provenance.num_samples) + " repetitions). ";
    if (diagnostics.kernels == 0) return words + "There is nothing to analyse.";

    words += "A kernel's time lies within " + root_percent(diagnostics.variance.total) +
             " (one standard deviation) of its curve";
    if (auto const noise = diagnostics.variance.noise_of_mean) {
        words += "; " + root_percent(noise) + " of that is noise of the measurement";
    } else if (auto const within = diagnostics.variance.within_launch) {
        words += "; single repetitions scatter by " + root_percent(within) +
                 ", and what another run would change is not known from these files";
    }
    words += ". ";

    std::vector<std::string> tested;
    std::vector<std::string> not_normal;
    std::vector<std::string> heavy;
    std::vector<std::string> uneven;
    for (auto const& curve : diagnostics.curves) {
        if (curve.residual.shapiro_wilk) tested.push_back(curve_label(curve));
        if (is_not_normal(curve.residual)) not_normal.push_back(curve_label(curve));
        if (curve.residual.excess_kurtosis.value_or(0) > 1) heavy.push_back(curve_label(curve));
        if (curve.heteroscedasticity && curve.heteroscedasticity->p_value < significance) {
            uneven.push_back(curve_label(curve));
        }
    }
    if (not_normal.empty()) {
        words += "Residuals look normal on the " + count_of(tested.size(), "curve", "curves") +
                 " that can be tested. ";
    } else {
        words += "Residuals are not normal on " + std::to_string(not_normal.size()) + " of " +
                 count_of(tested.size(), "curve", "curves") + " (" + listed(not_normal) + ")";
        if (!heavy.empty()) words += ", with heavy tails on " + listed(heavy);
        words += ": trust intervals that were checked by cross-validation, not 1.96 sigma. ";
    }
    if (!uneven.empty()) {
        words += "The spread changes with size on " + listed(uneven) + ". ";
    }

    for (auto const& above : diagnostics.above_peak) words += in_words(above) + ". ";

    auto const outliers = outliers_of(diagnostics);
    if (!outliers.empty()) {
        auto const& [curve, kernel] = outliers.front();
        words += count_of(outliers.size(), "kernel lies", "kernels lie") +
                 " beyond 3 sigma; the furthest, " + listed(kernel->source_subgraphs, 1) + " (" +
                 curve_label(*curve) + ", " + work_text(*curve, kernel->work) + "), takes " +
                 factor_text(kernel->log_residual) + " times what its curve says. ";
    }
    for (auto const& shift : diagnostics.consistency.models) {
        if (!shift.p_value || !(*shift.p_value < significance)) continue;
        double const percent = 100 * std::expm1(shift.mean_log_residual);
        words += shift.model + " stands out: its kernels take " +
                 format_significant(std::abs(percent), 2) + " % " +
                 (percent > 0 ? "more" : "less") + " than the curves that all models share. ";
        break;
    }
    words.erase(words.find_last_not_of(' ') + 1);
    return words;
}

std::string analysis_markdown(Calibration const& calibration,
                              CalibrationDiagnostics const& diagnostics) {
    auto const plots = pictured(diagnostics);
    auto const drawn = draw_all(plots, [](Plot const& plot) { return draw_svg(plot, 640); });
    std::string text = "# " + title_of(calibration) + "\n\n" +
                       analysis_in_words(calibration, diagnostics) + "\n\n";
    for (auto const& section : sections_of(diagnostics)) {
        text += markdown_section(section, 2);
    }
    if (!plots.empty()) text += "## Pictures\n\n";
    for (std::size_t i = 0; i < plots.size(); ++i) {
        // A blank line inside would end the HTML block that the element is to Markdown.
        std::string svg;
        for (std::size_t j = 0; j < drawn[i].size(); ++j) {
            if (drawn[i][j] == '\n' && !svg.empty() && svg.back() == '\n') continue;
            svg += drawn[i][j];
        }
        text += "### " + plots[i].title + "\n\n" + svg + "\n\n" + plots[i].caption + "\n\n";
    }
    return text;
}

std::string analysis_text(Calibration const& calibration, CalibrationDiagnostics const& diagnostics,
                          int columns) {
    auto const plots = pictured(diagnostics);
    auto const drawn =
        draw_all(plots, [columns](Plot const& plot) { return draw_text(plot, columns); });
    std::string text = underlined(title_of(calibration), '-') +
                       wrapped(analysis_in_words(calibration, diagnostics), columns) + "\n";
    for (auto const& section : sections_of(diagnostics)) {
        text += plain_section(section, columns);
    }
    for (std::size_t i = 0; i < plots.size(); ++i) {
        text += underlined(plots[i].title, '-') + drawn[i] + "\n" +
                wrapped(plots[i].caption, columns) + "\n";
    }
    return text;
}

nlohmann::json analysis_json(Calibration const& calibration,
                             CalibrationDiagnostics const& diagnostics) {
    nlohmann::json curves = nlohmann::json::array();
    for (auto const& curve : diagnostics.curves) {
        nlohmann::json outliers = nlohmann::json::array();
        for (auto const index : curve.outliers) {
            auto const& kernel = curve.kernels[index];
            outliers.push_back({{"case", kernel.case_index},
                                {"subgraphs", kernel.source_subgraphs},
                                {"work", kernel.work},
                                {"measured_ms", kernel.measured_ms},
                                {"served_ms", kernel.predicted_ms},
                                {"standardised", kernel.standardised}});
        }
        nlohmann::json entry{{"curve", curve_label(curve)},
                             {"kernels", curve.kernels.size()},
                             {"time_share", curve.time_share},
                             {"mean_log_residual", curve.mean_log_residual},
                             {"log_residual_std", curve.log_residual_std},
                             {"efficiency", json_of(curve.efficiency)},
                             {"standardised_residual", json_of(curve.residual)},
                             {"breusch_pagan", nullptr},
                             {"outliers", std::move(outliers)},
                             {"consistency", json_of(curve.consistency)},
                             {"variance", json_of(curve.variance)}};
        if (auto const& test = curve.heteroscedasticity) {
            entry["breusch_pagan"] = {
                {"statistic", test->statistic}, {"p_value", test->p_value}, {"slope", test->slope}};
        }
        curves.push_back(std::move(entry));
    }
    auto above_peak = nlohmann::json::array();
    for (auto const& above : diagnostics.above_peak) above_peak.push_back(in_words(above));
    return {{"hardware_id", calibration.hardware_id},
            {"precision", to_string(calibration.condition.precision)},
            {"summary", analysis_in_words(calibration, diagnostics)},
            {"kernels", diagnostics.kernels},
            {"models", diagnostics.models},
            {"variance", json_of(diagnostics.variance)},
            {"consistency", json_of(diagnostics.consistency)},
            {"rates_above_peak", std::move(above_peak)},
            {"curves", std::move(curves)}};
}

}  // namespace derate
