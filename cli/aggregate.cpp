#include <CLI/App.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "calibration/fit_calibration.hpp"
#include "calibration/rates_above_peak.hpp"
#include "cli/commands.hpp"
#include "cli/evidence_inputs.hpp"
#include "cli/json_output.hpp"
#include "cli/measuring.hpp"
#include "cli/revision.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "gate/claims.hpp"
#include "reports/report_text.hpp"
#include "storage/calibration_files.hpp"
#include "storage/calibration_json.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/registry.hpp"
#include "workloads/model_set.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct AggregateFlags {
    std::vector<fs::path> inputs;
    fs::path output;
    std::optional<std::string> hardware;
    std::optional<double> noise_floor_percent;
    std::optional<std::string> noise_floor_source;
};

std::string amount(double value, WorkAxis axis) {
    return axis == WorkAxis::flops ? format_flops(Flops{value}) : format_bytes(Bytes{value});
}

std::string optional_text(std::optional<double> value, int digits) {
    return value ? format_significant(*value, digits) : "-";
}

struct EvidenceCounts {
    std::set<std::string> models;
    std::set<std::string> families;
    std::set<std::string> at_batches;  ///< model_label()
    std::size_t kernels = 0;
    std::size_t failed = 0;
    std::int64_t repetitions = 0;
};

EvidenceCounts count(Evidence const& evidence) {
    EvidenceCounts counts;
    for (auto const& model : evidence.models) {
        counts.models.insert(model.name);
        counts.families.insert(model.family);
        counts.at_batches.insert(model_label(model.name, model.batch));
        if (model.whole_model) counts.repetitions += model.whole_model->samples;
    }
    std::map<std::string, bool> is_timed;  // by descriptor, or by place where there is none
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& kernel = evidence.cases[i];
        auto const& descriptor = kernel.subgraph.descriptor;
        auto& timed = is_timed[descriptor.empty() ? std::to_string(i) : descriptor];
        timed = timed || kernel.timing.has_value();
        if (kernel.timing) counts.repetitions += kernel.timing->samples;
    }
    for (auto const& [kernel, timed] : is_timed) ++(timed ? counts.kernels : counts.failed);
    return counts;
}

std::int64_t observations_of(EfficiencyCurve const& curve) {
    std::int64_t sum = 0;
    for (auto const& point : curve.data_points) sum += point.num_observations;
    return sum;
}

/// Lowest and highest mean efficiency of the bins: "0.05 to 0.62".
std::string efficiency_text(EfficiencyCurve const& curve) {
    if (curve.data_points.empty()) return "-";
    double least = curve.data_points.front().efficiency_mean;
    double most = least;
    for (auto const& point : curve.data_points) {
        least = std::min(least, point.efficiency_mean);
        most = std::max(most, point.efficiency_mean);
    }
    return format_significant(least, 2) + " to " + format_significant(most, 2);
}

/// A command that answers from the tree just written; empty where no shipped model goes with it.
std::string estimate_line(Calibration const& calibration, fs::path const& output) {
    if (output.extension() == ".json") return "";
    for (auto const& entry : read_catalogue(models_directory())) {
        if (entry.find(1, calibration.condition.precision) == nullptr) continue;
        auto line = "derate estimate --model " + entry.name;
        if (calibration.condition.precision != Precision::fp32) {
            line += " --precision " + std::string{to_string(calibration.condition.precision)};
        }
        line += " --registry " + shell_word(output.string()) + " --hardware " +
                calibration.hardware_id;
        // Another registry may hold fewer threads of the same hardware, which would come first.
        if (auto const threads = calibration.condition.execution.threads) {
            line += " --threads " + std::to_string(*threads);
        }
        return line;
    }
    return "";
}

void print_text(EvidenceInputs const& inputs, Calibration const& calibration,
                fs::path const& curves, fs::path const& output, OwnAccuracy const& own) {
    auto const counts = count(inputs.evidence);
    std::printf("%s, %s: %s of %s at %zu (model, batch), %s\n", calibration.hardware_id.c_str(),
                to_text(calibration.condition).c_str(),
                count_of(counts.models.size(), "model", "models").c_str(),
                count_of(counts.families.size(), "family", "families").c_str(),
                counts.at_batches.size(),
                count_of(inputs.evidence.campaigns.size(), "campaign", "campaigns").c_str());
    std::printf("%s, %s timed (%zu failed), %lld repetitions\n\n",
                count_of(static_cast<std::size_t>(inputs.files), "file", "files").c_str(),
                count_of(counts.kernels, "distinct kernel", "distinct kernels").c_str(), counts.failed,
                static_cast<long long>(counts.repetitions));

    std::vector<TableRow> rows{{"curve", "axis", "work", "bins", "repetitions", "efficiency",
                                "R2 of log time", "spread of kernels"}};
    for (auto const& curve : calibration.curves) {
        auto const& fit = curve.fitted_curve;
        rows.push_back(
            {curve_key(curve), curve.axis == WorkAxis::flops ? "FLOP" : "bytes",
             curve.work_range ? amount(curve.work_range->lower, curve.axis) + " to " +
                                    amount(curve.work_range->upper, curve.axis)
                              : "-",
             std::to_string(curve.data_points.size()), std::to_string(observations_of(curve)),
             efficiency_text(curve), fit ? optional_text(fit->r_squared, 3) : "-",
             curve.log_variance
                 ? format_significant(100 * std::expm1(std::sqrt(*curve.log_variance)), 2) + " %"
                 : "-"});
    }
    std::fputs(text_table(rows, 3).c_str(), stdout);
    std::printf(
        "\nefficiency: mean of the lowest and the highest bin, of the stated peak; spread: one\n"
        "standard deviation of a kernel about its curve, from kernels the curve never saw\n\n");
    for (auto const& claim : own.claims) {
        std::printf("leaving %s out: MAPE %.1f %% of %d models, bias %+.1f %%, %.0f %% covered\n",
                    claim.leave_out == "model"    ? "models"
                    : claim.leave_out == "family" ? "families"
                                                  : "batch sizes",
                    claim.mape_percent, claim.models, claim.bias_percent,
                    100 * claim.coverage_95.value_or(0));
    }
    if (own.claims.empty()) std::puts("too few models to leave one out: accuracy is unknown");
    for (auto const& above : rates_above_peak(calibration, inputs.evidence)) {
        std::printf("%s\n", in_words(above).c_str());
    }
    if (own.floor) {
        std::printf("noise floor %.1f %% (%s)\n", own.floor->percent, basis_of(*own.floor).c_str());
    }
    std::printf("gate %s\n\n", std::string{to_string(own.gate.verdict())}.c_str());
    std::printf("wrote %s\n", curves.string().c_str());
    bool const families = std::ranges::any_of(
        own.claims, [](ValidationClaim const& claim) { return claim.leave_out == "family"; });
    std::printf("next: derate validate --calibration %s%s\n", shell_word(curves.string()).c_str(),
                families ? " --leave-out family" : "");
    if (auto const line = estimate_line(calibration, output); !line.empty()) {
        std::printf("      %s\n", line.c_str());
    }
}

std::string duplicate_text(fs::path const& path) {
    return path.string() + ": left out, another file has the same content";
}

nlohmann::json result_json(EvidenceInputs const& inputs, Calibration const& calibration,
                           fs::path const& curves) {
    auto const counts = count(inputs.evidence);
    nlohmann::json json{{"calibration", curves.string()},
                        {"hardware_id", calibration.hardware_id},
                        {"files", inputs.files},
                        {"duplicate_files", nlohmann::json::array()},
                        {"models", counts.models},
                        {"families", counts.families},
                        {"campaigns", inputs.evidence.campaigns.size()},
                        {"kernels", counts.kernels},
                        {"failed_kernels", counts.failed},
                        {"repetitions", counts.repetitions},
                        {"curves", nlohmann::json::array()}};
    json["rates_above_peak"] = nlohmann::json::array();
    std::vector<Warning> warnings;
    for (auto const& path : inputs.duplicates) {
        json["duplicate_files"].push_back(path.string());
        warnings.push_back({WarningCode::duplicate_file, duplicate_text(path)});
    }
    for (auto const& note : inputs.notes) warnings.push_back({WarningCode::left_out, note});
    for (auto const& above : rates_above_peak(calibration, inputs.evidence)) {
        json["rates_above_peak"].push_back(in_words(above));
        warnings.push_back({WarningCode::rate_above_peak, in_words(above)});
    }
    set_warnings(json, warnings);
    set_condition(json, &calibration, &inputs.evidence);
    for (auto const& curve : calibration.curves) {
        auto const& fit = curve.fitted_curve;
        json["curves"].push_back(
            {{"curve", curve_key(curve)},
             {"data_points", curve.data_points.size()},
             {"repetitions", observations_of(curve)},
             {"r_squared", json_or_null(fit ? fit->r_squared : std::nullopt)},
             {"residual_std", json_or_null(fit ? fit->residual_std : std::nullopt)},
             {"log_variance", json_or_null(curve.log_variance)},
             {"work_range", curve.work_range
                                ? nlohmann::json{curve.work_range->lower, curve.work_range->upper}
                                : nlohmann::json(nullptr)}});
    }
    return json;
}

/// The evidence keeps it, as nothing in it could show the figure.
std::optional<StatedNoiseFloor> stated_noise_floor(AggregateFlags const& flags) {
    if (!flags.noise_floor_percent) return std::nullopt;
    if (!(*flags.noise_floor_percent > 0 && *flags.noise_floor_percent < 100)) {
        throw InputError{"--noise-floor",
                         "got " + format_significant(*flags.noise_floor_percent, 3),
                         "percent of a model's total, above 0 and below 100"};
    }
    return StatedNoiseFloor{.percent = *flags.noise_floor_percent,
                            .source = *flags.noise_floor_source};
}

ExitCode aggregate(AggregateFlags const& flags, CommonFlags const& common) {
    refuse_shipped_tree(flags.output);
    if (flags.output.extension() != ".json") {
        require_folder_name(flags.output, "a file X.json, or a folder");
    }
    if (flags.hardware) require_hardware_id(*flags.hardware, "--hardware");
    require_writable(flags.output.extension() == ".json" ? flags.output
                                                         : flags.output / "any_file");
    auto inputs = read_evidence_inputs(flags.inputs, flags.hardware);
    if (flags.hardware && inputs.evidence.hardware.id != *flags.hardware) {
        throw InputError{"--hardware " + *flags.hardware,
                         "the input carries its name: " + inputs.evidence.hardware.id,
                         "no --hardware"};
    }
    if (auto const stated = stated_noise_floor(flags)) {
        for (auto& campaign : inputs.evidence.campaigns) campaign.noise_floor = stated;
    }
    if (!common.quiet) {
        for (auto const& path : inputs.duplicates) {
            std::fprintf(stderr, "derate: %s\n", duplicate_text(path).c_str());
        }
        for (auto const& note : inputs.notes) std::fprintf(stderr, "derate: %s\n", note.c_str());
    }
    auto calibration = fit_calibration(inputs.evidence);
    calibration.provenance.tool_version = DERATE_VERSION;
    calibration.provenance.git_revision = git_revision();

    auto const curves = curve_file_in(flags.output, calibration);
    if (flags.output.extension() != ".json") {
        auto const path = curves.parent_path() / "hardware.json";
        write_atomically(path,
                         pretty_json(to_json(with_known_peaks(inputs.evidence.hardware, path))));
    }
    write_calibration(calibration, inputs.evidence, curves);
    if (!common.quiet)
        std::fprintf(stderr, "leaving models, families and batch sizes out, to see how well\n");
    auto const own = store_claims(curves);

    if (common.json) {
        auto result = result_json(inputs, calibration, curves);
        result["verdict"] = to_string(own.gate.verdict());
        calibration.claims = own.claims;
        result["claims"] = to_json(calibration).value("validation_claims", nlohmann::json::array());
        print_json("output_aggregate_v1.json", std::move(result));
    } else {
        print_text(inputs, calibration, curves, flags.output, own);
    }
    return exit_pass;
}

}  // namespace

Run add_aggregate(CLI::App& command) {
    auto flags = std::make_shared<AggregateFlags>();
    command
        .add_option(
            "--input", flags->inputs,
            "Measurement files, evidence, samples (.samples.jsonl) or derate-bench's Google "
            "Benchmark JSON, of one hardware and precision (repeatable)")
        ->required();
    command
        .add_option("--output", flags->output,
                    "Folder that gets <cpu|gpu>/<hardware>/ with hardware.json, curves and "
                    "evidence/; or X.json with evidence/ beside it")
        ->required();
    command.add_option("--hardware", flags->hardware,
                       "Name of the machine, where the input does not carry one");
    auto* const noise_floor = command.add_option(
        "--noise-floor", flags->noise_floor_percent,
        "How far a repeated campaign moves a model's total (%), where others repeated "
        "it and their repeats are not among the input");
    noise_floor->needs(command
                           .add_option("--noise-floor-source", flags->noise_floor_source,
                                       "Who states that, and of what")
                           ->needs(noise_floor));
    return [flags](CommonFlags const& common) { return aggregate(*flags, common); };
}

}  // namespace derate::cli
