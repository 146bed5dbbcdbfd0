#include "cli/calibration_summary.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "campaign/imprecise_cases.hpp"
#include "campaign/session_checks.hpp"
#include "campaign/stop_rule.hpp"
#include "cli/measuring.hpp"
#include "reports/report_text.hpp"
#include "statistics/quantiles.hpp"
#include "storage/fields.hpp"

namespace derate::cli {
namespace {

struct MeasuringTime {
    double wall_s = 0;
    double apart_s = 0;  ///< of it, on models that are only compared with
    double loading_s = 0;
    double timed_share = 0;
};

MeasuringTime measuring_time(CampaignResult const& result, CampaignSettings const& settings) {
    MeasuringTime time{.wall_s = result.samples.wall_s()};
    for (auto const& model : settings.models) {
        auto const spent = result.samples.spent_s.find(model_label(model.name, model.batch));
        if (!model.in_budget && spent != result.samples.spent_s.end())
            time.apart_s += spent->second;
    }
    for (auto const& [number, launch] : result.samples.launches) time.loading_s += launch.loading_s;
    if (time.wall_s > 0) time.timed_share = result.samples.timed_s() / time.wall_s;
    return time;
}

std::string accuracy_line(char const* what, std::vector<ModelOutcome> const& outcomes) {
    if (outcomes.empty()) return fmt::format("{:28} too few to say\n", what);
    std::vector<ModelOutcome> known;
    std::ranges::copy_if(outcomes, std::back_inserter(known), is_known, &ModelOutcome::interval);
    auto line = fmt::format("{:28} MAPE {:.1f} %, bias {:+.1f} %", what, mape_percent(outcomes),
                            bias_percent(outcomes));
    if (!known.empty()) {
        line += fmt::format(
            ", 95 % interval covered {} of {}, median half-width {:.0f} %",
            static_cast<int>(std::ranges::count_if(known, &ModelOutcome::inside_interval)),
            known.size(), median_half_width_percent(known));
    }
    if (known.size() < outcomes.size()) {
        line += fmt::format(", interval not known of {}", outcomes.size() - known.size());
    }
    return line + "\n";
}

std::string interval_text(ModelOutcome const& model) {
    return is_known(model.interval)
               ? fmt::format("{:.4g} - {:.4g}", model.interval.lower, model.interval.upper)
               : std::string{"not known"};
}

char const* inside_text(ModelOutcome const& model) {
    if (!is_known(model.interval)) return "-";
    return model.inside_interval() ? "yes" : "no";
}

char const* name_of(LeaveOut what) {
    switch (what) {
        case LeaveOut::family:
            return "leaving families out";
        case LeaveOut::batch:
            return "leaving batch sizes out";
        case LeaveOut::model:
            break;
    }
    return "leaving models out";
}

char const* title_of(LeaveOut what) {
    switch (what) {
        case LeaveOut::family:
            return "Leaving families out";
        case LeaveOut::batch:
            return "Leaving batch sizes out (sums of the kernels timed at them)";
        case LeaveOut::model:
            break;
    }
    return "Leaving models out";
}

/// Cases whose half-width is beyond this are named with their reason.
constexpr double wide = 0.03;

std::string percent_or_dash(std::optional<double> const& fraction) {
    return fraction ? fmt::format("{:.1f} %", 100 * *fraction) : std::string{"-"};
}

constexpr std::size_t cases_in_text = 5;

std::string imprecise_text(std::vector<ImpreciseCase> const& imprecise) {
    std::string all;
    for (std::size_t i = 0; i < std::min(imprecise.size(), cases_in_text); ++i) {
        auto const& item = imprecise[i];
        all += fmt::format("  {} ({}, subgraph {}): half-width {}, {:.1f} % of the time; {}\n",
                           item.name, item.model, item.subgraph, percent_or_dash(item.half_width),
                           100 * item.share_of_time, reason_text(item));
    }
    if (imprecise.size() > cases_in_text) {
        all += fmt::format("  and {} shorter ones; report.md names them\n",
                           imprecise.size() - cases_in_text);
    }
    return all;
}

std::string imprecise_table(std::vector<ImpreciseCase> const& imprecise) {
    if (imprecise.empty()) return "\nEvery case is within 3 %.\n";
    auto all = fmt::format(
        "\n## Cases wider than 3 %\n\n{} of them, the longest first. Share is of the "
        "isolated time, each distinct case once.\n\n"
        "| case | timed in | subgraph | ms | half-width | share | why it stopped |\n"
        "|---|---|---:|---:|---:|---:|---|\n",
        imprecise.size());
    for (auto const& item : imprecise) {
        all += fmt::format("| {} | {} | {} | {} | {} | {:.2f} % | {} |\n", markdown_cell(item.name),
                           markdown_cell(item.model), item.subgraph,
                           item.time_ms ? fmt::format("{:.4g}", *item.time_ms) : "-",
                           percent_or_dash(item.half_width), 100 * item.share_of_time,
                           markdown_cell(reason_text(item)));
    }
    return all;
}

std::map<std::string, int> stop_counts(CampaignResult const& result) {
    std::map<std::string, int> counts;
    for (auto const& [name, reason] : result.stop_reasons) ++counts[std::string{to_string(reason)}];
    return counts;
}

}  // namespace

CrossValidation predict_held_out(Evidence const& evidence, Calibration const& calibration) {
    auto held_out = evidence;
    std::erase_if(held_out.models,
                  [](EvidenceModel const& model) { return model.role != ModelRole::held_out; });
    if (held_out.models.empty()) return {};
    return predict_models(held_out, calibration);
}

std::string summary_text(CalibrationSummary const& summary, Calibration const& calibration,
                         CampaignResult const& result, CampaignSettings const& settings) {
    std::string all =
        fmt::format("\n{}, {}\n\n", calibration.hardware_id, to_text(calibration.condition));
    if (!summary.held_out.empty()) {
        all += fmt::format("{:24} {:>12} {:>12}  {:22} {:>8}\n", "held-out model", "measured ms",
                           "predicted ms", "95 % interval", "error");
        for (auto const& model : summary.held_out) {
            auto const interval = interval_text(model);
            all += fmt::format(
                "{:24} {:12.4g} {:12.4g}  {:22} {:+7.1f}%{}\n",
                model_label(model.model, model.batch), model.measured_ms, model.predicted_ms,
                interval, model.error_percent(),
                model.inside_interval() || !is_known(model.interval) ? "" : "  outside");
        }
        all += "\n" + accuracy_line("held-out models", summary.held_out);
    }
    for (auto const& part : summary.left_out)
        all += accuracy_line(name_of(part.what), part.outcomes);
    if (summary.floor) {
        all += fmt::format("{:28} {:.1f} % ({})\n", "noise floor", summary.floor->percent,
                           basis_of(*summary.floor));
    }
    auto const time = measuring_time(result, settings);
    all += fmt::format(
        "{:28} {:.0f} s in {} launches: {:.0f} s calibrating, {:.0f} s on held-out models; "
        "{:.0f} % inside timed work\n",
        "measuring", time.wall_s, result.samples.launches_begun(), time.wall_s - time.apart_s,
        time.apart_s, 100 * time.timed_share);
    all += fmt::format("{:28} {:.0f} % of the time within 3 %, {:.0f} % within 2 %;",
                       "intervals of the mean", 100 * precise_share(result, 0.03),
                       100 * precise_share(result, 0.02));
    for (auto const& [reason, count] : stop_counts(result))
        all += fmt::format(" {} {}", count, reason);
    all += "\n" + imprecise_text(imprecise_cases(result, settings, wide));
    all += fmt::format("{:28} {}\n", "false alarms",
                       to_string(compare_with_itself(result.samples.isolated)));
    all += fmt::format("{:28} {}\n", "trust grade", to_string(summary.trust.grade));
    for (auto const& reason : summary.trust.reasons) {
        all += fmt::format("  at best {}: {} ({})\n", to_string(reason.at_best), reason.what,
                           reason.remedy);
    }
    all += fmt::format("{:28} {}\n", "gate", to_string(summary.verdict));
    for (auto const& rule : summary.gate.results) {
        if (rule.verdict == Verdict::pass) continue;
        all += fmt::format("  {} {}: {}\n", to_string(rule.verdict), to_string(rule.rule),
                           rule.reason);
        all += fmt::format("      to mend it: {}\n", remedy_of(rule.rule));
    }
    return all;
}

std::string markdown_report(CalibrationSummary const& summary, Calibration const& calibration,
                            CampaignResult const& result, CampaignSettings const& settings) {
    std::string all = fmt::format("# Calibration of {}\n\n{}, {}. Trust grade {}, gate {}.\n",
                                  calibration.hardware_id, to_text(calibration.condition),
                                  days_of(calibration.provenance), to_string(summary.trust.grade),
                                  to_string(summary.verdict));
    all +=
        "\nPredicted is the time of the model's ATen operators through LibTorch's dispatcher, "
        "not of Python and not of compiled graphs.\n";
    all +=
        "\n## Held-out models\n\n"
        "| model | measured ms | predicted ms | 95 % interval | error | inside |\n"
        "|---|---:|---:|---|---:|---|\n";
    for (auto const& model : summary.held_out) {
        all += fmt::format("| {} | {:.4g} | {:.4g} | {} | {:+.1f} % | {} |\n",
                           markdown_cell(model_label(model.model, model.batch)), model.measured_ms,
                           model.predicted_ms, interval_text(model), model.error_percent(),
                           inside_text(model));
    }
    all += "\n## Accuracy\n\n";
    if (!summary.held_out.empty())
        all += "- " + accuracy_line("held-out models:", summary.held_out);
    for (auto const& part : summary.left_out) {
        all += "- " + accuracy_line(name_of(part.what), part.outcomes);
    }
    if (summary.floor) {
        all += fmt::format("- noise floor {:.1f} % ({}): differences below it mean nothing\n",
                           summary.floor->percent, basis_of(*summary.floor));
    }
    for (auto const& part : summary.left_out) {
        if (part.outcomes.empty()) continue;
        all += fmt::format(
            "\n### {}\n\n| model | family | measured ms | predicted ms | error | inside |\n"
            "|---|---|---:|---:|---:|---|\n",
            title_of(part.what));
        for (auto const& model : part.outcomes) {
            all += fmt::format("| {} | {} | {:.4g} | {:.4g} | {:+.1f} % | {} |\n",
                               markdown_cell(model_label(model.model, model.batch)),
                               markdown_cell(model.family), model.measured_ms, model.predicted_ms,
                               model.error_percent(), inside_text(model));
        }
    }
    auto const time = measuring_time(result, settings);
    all += fmt::format(
        "\n## Measuring\n\n{}; seed {}; {} repetitions in {} launches. {:.0f} s: {:.0f} s "
        "calibrating, {:.0f} s on held-out models, {:.0f} s of all loading models; {:.0f} % inside "
        "timed work. Cases whose interval of the mean is within 3 % make up {:.0f} % of the "
        "time, within 2 % {:.0f} %.\n\nCases by why they were stopped:",
        to_string(settings.rules), settings.seed, result.samples.repetitions,
        result.samples.launches_begun(), time.wall_s, time.wall_s - time.apart_s, time.apart_s,
        time.loading_s, 100 * time.timed_share, 100 * precise_share(result, 0.03),
        100 * precise_share(result, 0.02));
    for (auto const& [reason, count] : stop_counts(result))
        all += fmt::format(" {} {};", count, reason);
    all += "\n\nThe session against itself: " +
           to_string(compare_with_itself(result.samples.isolated)) +
           ". Outliers: " + to_string(classify_outliers(result.samples.isolated)) + ".\n";
    all +=
        "\n| drift probe | samples | median ms | trend | range (5 - 95 %) | drifted |\n"
        "|---|---:|---:|---:|---:|---|\n";
    for (auto const& probe : summary.quality.drift) {
        all += fmt::format("| {} | {} | {:.4g} | {:+.1f} % | {:.1f} % | {} |\n",
                           markdown_cell(probe.probe), probe.samples, probe.median_ms,
                           100 * probe.relative_trend, 100 * probe.relative_range,
                           probe.drifted ? "yes" : "no");
    }
    all +=
        "\n## Whole models and their parts\n\n"
        "| model | whole ms | whole / isolated parts | whole / parts in context |\n"
        "|---|---:|---:|---:|\n";
    for (auto const& ratio : summary.context) {
        auto const shown = [](std::optional<double> const& value) {
            return value ? fmt::format("{:.3f}", *value) : std::string{"-"};
        };
        all +=
            fmt::format("| {} | {:.4g} | {} | {} |\n", markdown_cell(ratio.model), ratio.whole_ms,
                        shown(ratio.whole_over_isolated), shown(ratio.whole_over_in_context));
    }
    if (!result.samples.failures.empty()) {
        all += "\n## What could not be timed\n\n";
        for (auto const& [name, reason] : result.samples.failures) {
            all += "- `" + name + "`: " + reason + "\n";
            auto const found = std::ranges::find(result.cases, name, &DistinctCase::key);
            if (found == result.cases.end()) continue;
            all += "  (`" + repro_line(settings, *found) + "`)\n";
        }
    }
    all += fmt::format("\n## Trust\n\nGrade {}.\n\n", to_string(summary.trust.grade));
    for (auto const& reason : summary.trust.reasons) {
        all += fmt::format("- at best {}: {} ({})\n", to_string(reason.at_best), reason.what,
                           reason.remedy);
    }
    all += "\n## Gate\n\n| rule | verdict | why |\n|---|---|---|\n";
    for (auto const& rule : summary.gate.results) {
        all += "| " + std::string{to_string(rule.rule)} + " | " +
               std::string{to_string(rule.verdict)} + " | " + markdown_cell(rule.reason) + " |\n";
    }
    all += imprecise_table(imprecise_cases(result, settings, wide));
    return all;
}

namespace {

nlohmann::json measuring_json(CampaignResult const& result, CampaignSettings const& settings) {
    using nlohmann::json;
    auto const time = measuring_time(result, settings);
    auto const self = compare_with_itself(result.samples.isolated);
    auto const outliers = classify_outliers(result.samples.isolated);
    json imprecise = json::array();
    for (auto const& item : imprecise_cases(result, settings, wide)) {
        imprecise.push_back(
            {{"case", item.key},
             {"name", item.name},
             {"model", item.model},
             {"subgraph_id", item.subgraph},
             {"time_ms", json_or_null(item.time_ms)},
             {"relative_half_width", json_or_null(item.half_width)},
             {"share_of_time", item.share_of_time},
             {"stopped", to_string(item.stopped)},
             {"reason", reason_text(item)}});
    }
    return {{"wall_s", time.wall_s},
            {"held_out_s", time.apart_s},
            {"loading_s", time.loading_s},
            {"launches", result.samples.launches_begun()},
            {"repetitions", result.samples.repetitions},
            {"timed_share", time.timed_share},
            {"share_of_time_within_3_percent", precise_share(result, 0.03)},
            {"share_of_time_within_2_percent", precise_share(result, 0.02)},
            {"stopped", stop_counts(result)},
            {"wider_than_3_percent", imprecise},
            {"outliers",
             {{"repetitions", outliers.repetitions},
              {"mild_slow", outliers.mild_slow},
              {"severe_slow", outliers.severe_slow},
              {"mild_fast", outliers.mild_fast},
              {"severe_fast", outliers.severe_fast}}},
            {"self_comparison",
             {{"cases", self.cases},
              {"alarms", self.alarms},
              {"false_alarm_rate", self.cases > 0 ? json(self.false_alarm_rate()) : json(nullptr)},
              {"median_shift", self.cases > 0 ? json(self.median_shift) : json(nullptr)}}}};
}

}  // namespace

nlohmann::json summary_json(CalibrationSummary const& summary, Calibration const& calibration,
                            CampaignResult const& result, CampaignSettings const& settings) {
    using nlohmann::json;
    auto const models_json = [](std::vector<ModelOutcome> const& outcomes) {
        json models = json::array();
        for (auto const& model : outcomes) {
            auto const limit = [&](double ms) {
                return is_known(model.interval) ? json(ms) : json(nullptr);
            };
            models.push_back({{"model", model.model},
                              {"batch", json_or_null(model.batch)},
                              {"family", model.family},
                              {"measured_ms", model.measured_ms},
                              {"predicted_ms", model.predicted_ms},
                              {"interval_lower_ms", limit(model.interval.lower)},
                              {"interval_upper_ms", limit(model.interval.upper)},
                              {"error_percent", model.error_percent()},
                              {"inside_interval", model.inside_interval()}});
        }
        return models;
    };
    auto const accuracy = [&](std::vector<ModelOutcome> const& outcomes) {
        if (outcomes.empty()) return json(nullptr);
        return json{{"mape_percent", mape_percent(outcomes)},
                    {"bias_percent", bias_percent(outcomes)},
                    {"coverage_95", coverage(outcomes)},
                    {"median_half_width_percent", median_half_width_percent(outcomes)},
                    {"models", models_json(outcomes)}};
    };
    json all{{"hardware_id", calibration.hardware_id},
             {"verdict", to_string(summary.verdict)},
             {"trust_grade", to_string(summary.trust.grade)},
             {"provisional", calibration.provisional},
             {"measured_now", !result.complete},
             {"held_out", accuracy(summary.held_out)},
             {"noise_floor_percent", summary.floor ? json(summary.floor->percent) : json(nullptr)},
             {"measuring", measuring_json(result, settings)}};
    for (auto const& rule : summary.gate.results) {
        bool const passed = rule.verdict == Verdict::pass;
        all["gate"].push_back({{"rule", to_string(rule.rule)},
                               {"verdict", to_string(rule.verdict)},
                               {"reason", rule.reason},
                               {"remedy", passed ? json(nullptr) : json(remedy_of(rule.rule))}});
    }
    for (auto const& part : summary.left_out) {
        all["leave_out_" + std::string{to_string(part.what)}] = accuracy(part.outcomes);
    }
    return all;
}

}  // namespace derate::cli
