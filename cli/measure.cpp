#include <fmt/core.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "campaign/child_process.hpp"
#include "campaign/drift.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "campaign/session_checks.hpp"
#include "campaign/trust_grade.hpp"
#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "cli/measuring.hpp"
#include "cli/subgraph_table.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "statistics/sample_summary.hpp"
#include "storage/file.hpp"
#include "storage/google_benchmark_export.hpp"
#include "storage/measurement_json.hpp"
#include "storage/registry.hpp"
#include "workloads/model_set.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct MeasureFlags {
    MeasuringFlags measuring;
    std::vector<std::string> models;
    std::string hardware;
    std::vector<std::string> exports;  ///< format, file
    fs::path output;
};

fs::path samples_beside(fs::path const& output) {
    auto path = output;
    return path.replace_extension(".samples.jsonl");
}

/// Where each model's measurement goes: the output itself, or a file a model in it.
std::vector<fs::path> output_files(MeasureFlags const& flags, CampaignSettings const& settings) {
    bool const one_file = settings.models.size() == 1 && settings.states.size() == 1 &&
                          flags.output.extension() == ".json";
    if (!one_file && flags.output.extension() == ".json") {
        throw InputError{flags.output.string(),
                         "one file cannot hold several models, batch sizes or states",
                         "a folder as --output"};
    }
    std::vector<fs::path> files;
    for (auto const& model : settings.models) {
        for (auto const state : settings.states) {
            if (one_file) {
                files.push_back(flags.output);
                continue;
            }
            auto name = model.name;
            if (model.batch) name += "_b" + std::to_string(*model.batch);
            if (settings.states.size() > 1) name += "_" + std::string{to_string(state)};
            files.push_back(flags.output / (name + ".json"));
        }
    }
    return files;
}

std::string table_of(CampaignResult const& result, CampaignSettings const& settings,
                     Measurement const& measurement) {
    std::string text;
    auto const label = model_label(measurement.model, measurement.batch);
    auto const add = [&](char const* what, std::string const& value) {
        text += fmt::format("  {:24} {}\n", what, value);
    };
    text += label + ", " + std::string{to_string(measurement.condition.precision)} + ", " +
            threads_text(settings.execution.threads) + ", " +
            std::string{to_string(measurement.condition.cache_state)} + "\n";
    double parts_ms = 0;
    double in_context_ms = 0;
    int failed = 0;
    for (auto const& part : measurement.subgraphs) {
        if (part.isolated) parts_ms += part.isolated->center_ms;
        if (part.in_context) in_context_ms += part.in_context->center_ms;
        failed += part.failure.has_value() ? 1 : 0;
    }
    if (measurement.whole_model) {
        auto const found = result.samples.whole.find(label);
        add("whole model",
            format_time_ms(measurement.whole_model->center_ms, relative_half_width(found->second)));
    }
    add("sum of isolated parts", format_time_ms(parts_ms, std::nullopt));
    if (in_context_ms > 0) {
        add("sum of parts in context", format_time_ms(in_context_ms, std::nullopt));
    }
    if (measurement.whole_model && parts_ms > 0 && failed == 0) {
        add("whole over parts",
            fmt::format("{:.3f}", measurement.whole_model->center_ms / parts_ms));
    }
    auto const model = std::ranges::find_if(settings.models, [&](CampaignModel const& candidate) {
        return model_label(candidate.name, candidate.batch) == label;
    });
    add("subgraphs", std::to_string(measurement.subgraphs.size()) + ", " + std::to_string(failed) +
                         " without a time");
    for (auto const& part : measurement.subgraphs) {
        if (!part.failure) continue;
        text += "    " + std::to_string(part.subgraph.id) + " " + part.subgraph.fusion_pattern +
                ": " + *part.failure + "\n";
        auto const key =
            key_of_case(settings, *model, part.subgraph, measurement.condition.cache_state);
        auto const item = std::ranges::find(result.cases, key, &DistinctCase::key);
        if (item != result.cases.end()) {
            text += "      to see it: " + repro_line(settings, *item) + "\n";
        }
    }
    return text;
}

/// Subgraphs by the time of each alone, slowest first.
std::string table_of_subgraphs(Measurement const& measurement) {
    std::vector<MeasuredSubgraph const*> timed;
    double sum_ms = 0;
    for (auto const& part : measurement.subgraphs) {
        if (!part.isolated) continue;
        timed.push_back(&part);
        sum_ms += part.isolated->center_ms;
    }
    if (timed.empty()) return {};
    std::ranges::stable_sort(timed, std::ranges::greater{},
                             [](auto const* part) { return part->isolated->center_ms; });
    std::vector<TableRow> rows{{"id", "pattern", "type", "work", "memory", "time alone", "share"}};
    for (auto const* part : timed) {
        auto const& subgraph = part->subgraph;
        rows.push_back({std::to_string(subgraph.id), subgraph.fusion_pattern,
                        std::string{to_string(subgraph.type)}, format_flops(subgraph.work),
                        format_bytes(subgraph.traffic.total()), timing_text(*part->isolated),
                        format_significant(100 * part->isolated->center_ms / sum_ms, 3) + " %"});
    }
    return "\n" + slowest_table(rows, 3);
}

std::string stop_summary(CampaignResult const& result) {
    std::map<StopReason, int> counts;
    for (auto const& [name, reason] : result.stop_reasons) ++counts[reason];
    std::string text;
    for (auto const& [reason, count] : counts) {
        if (!text.empty()) text += ", ";
        text += std::to_string(count) + " " + std::string{to_string(reason)};
    }
    return text;
}

/// The mean of each launch's visits to each drift probe.
DriftProbeTimes drift_of_launches(Samples const& samples) {
    DriftProbeTimes times;
    for (auto const& [probe, visits] : samples.drift) {
        std::map<int, std::vector<double>> by_launch;
        for (auto const& visit : visits) by_launch[visit.launch].push_back(visit.time_ms);
        for (auto const& [launch, all] : by_launch) times[probe].push_back(summarize(all).mean);
    }
    return times;
}

bool is_timed(Measurement const& measurement) {
    return measurement.whole_model || measurement.subgraphs.empty() ||
           std::ranges::any_of(measurement.subgraphs, [](MeasuredSubgraph const& part) {
               return part.isolated || part.in_context;
           });
}

std::string untimed_text(Measurement const& measurement) {
    return measurement.model + ": nothing of it could be timed (its file says why)";
}

/// A model that runs kernels of which not one has a time was not measured, whatever was written.
/// \return exit_inconclusive where there is one, named on standard error
ExitCode report_untimed(std::vector<Measurement> const& measurements) {
    auto code = exit_pass;
    for (auto const& measurement : measurements) {
        if (is_timed(measurement)) continue;
        code = exit_inconclusive;
        std::fprintf(stderr, "derate: %s\n", untimed_text(measurement).c_str());
    }
    return code;
}

nlohmann::json result_json(Measurement const& measurement, bool complete, fs::path const& samples) {
    auto json = to_json(measurement);
    json["device"] = to_string(measurement.hardware.kind);
    std::vector<Warning> warnings;
    if (!is_timed(measurement)) {
        warnings.push_back({WarningCode::untimed_model, untimed_text(measurement)});
    }
    if (complete) warnings.push_back({WarningCode::nothing_measured, nothing_measured(samples)});
    set_warnings(json, warnings);
    return json;
}

ExitCode measure(CommonFlags const& common, MeasureFlags const& flags) {
    auto settings = settings_of(flags.measuring);
    auto const precision = precision_to_measure(flags.measuring.precision);
    auto const batches = batches_of(flags.measuring);
    if (!flags.hardware.empty()) require_hardware_id(flags.hardware, "--hardware");
    if (!flags.exports.empty() && flags.exports[0] != "gbench") {
        throw InputError{"--export", "got '" + flags.exports[0] + "'", "gbench FILE"};
    }
    for (auto const& name : flags.models) {
        for (auto const batch : batches) {
            settings.models.push_back(model_to_time(flags.measuring, name, batch));
        }
    }
    refuse_equal_labels(settings);
    if (flags.measuring.dry_run) {
        print_dry_run(settings, common.json);
        return exit_pass;
    }
    if (flags.output.empty()) {
        throw InputError{"--output", "not given", "a file for the measurement, such as m.json"};
    }
    refuse_shipped_tree(flags.output);
    if (flags.output.extension() != ".json") {
        require_folder_name(flags.output, "a file X.json, or a folder");
    }
    auto const outputs = output_files(flags, settings);
    for (auto const& output : outputs) require_writable(output);
    if (!flags.exports.empty()) require_writable(flags.exports[1]);
    auto const samples = outputs.size() == 1 && outputs[0] == flags.output
                             ? samples_beside(flags.output)
                             : flags.output / "measurement.samples.jsonl";
    CampaignFiles const files{.samples = samples,
                              .bench_program = find_bench_program(settings.execution.device)};
    auto const machine = machine_environment(settings, files.bench_program);
    auto printer = std::make_unique<ProgressPrinter>(common.quiet);
    auto const result = run_campaign(settings, files, machine,
                                     [&](CampaignProgress const& now) { (*printer)(now); });
    printer.reset();

    auto const hardware_id =
        flags.hardware.empty() ? hardware_id_of(result.samples.environment) : flags.hardware;
    auto const hardware = hardware_of(result.samples, hardware_id, settings.execution, precision);
    auto const trust = judge_trust(result.samples.environment,
                                   quality_of(result, flags.measuring.quick));
    std::vector<Measurement> measurements;
    for (auto const& model : settings.models) {
        for (auto const state : settings.states) {
            auto& measurement = measurements.emplace_back(
                measurement_of(result, settings, model, state, hardware,
                               samples.filename().string(), DERATE_VERSION));
            measurement.source.trust_grade = to_string(trust.grade);
        }
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        write_atomically(outputs[i], pretty_json(to_json(measurements[i])));
    }
    if (!flags.exports.empty()) {
        write_atomically(
            flags.exports[1],
            google_benchmark_export(measurements, result.samples.environment,
                                    drift_of_launches(result.samples), "derate measure"));
    }

    auto const code = report_untimed(measurements);
    if (result.complete && !common.quiet) {
        std::fprintf(stderr, "derate: %s\n", nothing_measured(samples).c_str());
    }
    if (common.json) {
        std::vector<nlohmann::json> all;
        for (auto const& measurement : measurements) {
            all.push_back(result_json(measurement, result.complete, samples));
        }
        print_json("output_measure_v1.json", with_others(std::move(all)));
        return code;
    }
    for (auto const& measurement : measurements) {
        std::fputs(table_of(result, settings, measurement).c_str(), stdout);
        std::fputs(table_of_subgraphs(measurement).c_str(), stdout);
    }
    auto const wall_s = result.samples.wall_s();
    std::printf("\n%lld repetitions in %d launches, %.0f s, %.0f %% of it inside timed work; %s\n",
                static_cast<long long>(result.samples.repetitions), result.samples.launches_begun(),
                wall_s, wall_s > 0 ? 100 * result.samples.timed_s() / wall_s : 0,
                stop_summary(result).c_str());
    if (auto const budget_s = settings.rules.budget_s; budget_s && wall_s > 1.2 * *budget_s) {
        std::printf(
            "longer than the budget of %.0f s: %d launches are the least that show how far "
            "they differ\n",
            *budget_s, settings.rules.min_launches);
    }
    std::printf("%.0f %% of the isolated time within 3 %%; %s\n", 100 * precise_share(result, 0.03),
                to_string(compare_with_itself(result.samples.isolated)).c_str());
    std::printf("%s\n", to_string(classify_outliers(result.samples.isolated)).c_str());
    std::printf("trust grade %s\n", std::string{to_string(trust.grade)}.c_str());
    for (auto const& reason : trust.reasons) {
        std::printf("  at best %s: %s (%s)\n", std::string{to_string(reason.at_best)}.c_str(),
                    reason.what.c_str(), reason.remedy.c_str());
    }
    if (result.complete) std::printf("%s\n", nothing_measured(samples).c_str());
    std::printf("written: %s%s and %s\n", outputs[0].c_str(),
                outputs.size() > 1 ? " and others" : "", samples.c_str());
    std::printf("every subgraph with its time: derate inspect --model %s\n",
                shell_word(outputs[0].string()).c_str());
    return code;
}

}  // namespace

Run add_measure(CLI::App& command) {
    auto flags = std::make_shared<MeasureFlags>();
    command
        .add_option("--model", flags->models, "Names of shipped models or .pt2 files (repeatable)")
        ->required()
        ->delimiter(',');
    command.add_option("--hardware", flags->hardware,
                       "Name of this machine (default: from its processor)");
    command.add_option("--export", flags->exports, "gbench FILE: a Google Benchmark result file")
        ->expected(2);
    command.add_option("--output", flags->output,
                       "Measurement file X.json (X.samples.jsonl is written beside it), or a "
                       "folder, as several models or cache states need; required, but for "
                       "--dry-run");
    add_measuring_flags(command, flags->measuring, "--runs");
    return [flags](CommonFlags const& common) { return measure(common, *flags); };
}

}  // namespace derate::cli
