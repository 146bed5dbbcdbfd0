#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "calibration/fit_calibration.hpp"
#include "cli/commands.hpp"
#include "cli/evidence_inputs.hpp"
#include "cli/revision.hpp"
#include "cli/text_table.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/json/calibration_files.hpp"
#include "core/json/calibration_json.hpp"
#include "core/json/file.hpp"
#include "core/json/hardware_json.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct AggregateFlags {
    std::vector<fs::path> inputs;
    fs::path output;
    std::optional<std::string> hardware;
};

std::string curve_name(EfficiencyCurve const& curve) {
    return std::string{to_string(curve.type)} + (curve.zero_flop ? "|0" : "");
}

std::string amount(double value, WorkAxis axis) {
    return axis == WorkAxis::flops ? format_flops(Flops{value}) : format_bytes(Bytes{value});
}

std::string optional_text(std::optional<double> value, int digits) {
    return value ? format_significant(*value, digits) : "-";
}

struct EvidenceCounts {
    std::set<std::string> models;
    std::set<std::string> families;
    std::size_t kernels = 0;
    std::size_t failed = 0;
    std::int64_t repetitions = 0;
};

EvidenceCounts count(Evidence const& evidence) {
    EvidenceCounts counts;
    for (auto const& model : evidence.models) {
        counts.models.insert(model.name);
        counts.families.insert(model.family);
        if (model.whole_model) counts.repetitions += model.whole_model->samples;
    }
    for (auto const& kernel : evidence.cases) {
        ++(kernel.timing ? counts.kernels : counts.failed);
        if (kernel.timing) counts.repetitions += kernel.timing->samples;
    }
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

void print_text(EvidenceInputs const& inputs, Calibration const& calibration,
                fs::path const& curves, fs::path const& output) {
    auto const counts = count(inputs.evidence);
    std::printf("%s, %s, %s: %zu models of %zu families at %zu (model, batch), %zu campaign%s\n",
                calibration.hardware_id.c_str(),
                std::string{to_string(calibration.precision)}.c_str(),
                calibration.threads > 0 ? (std::to_string(calibration.threads) +
                                           (calibration.threads == 1 ? " thread" : " threads"))
                                              .c_str()
                                        : "threads unknown",
                counts.models.size(), counts.families.size(), inputs.evidence.models.size(),
                inputs.evidence.campaigns.size(), inputs.evidence.campaigns.size() == 1 ? "" : "s");
    std::printf("%d files, %zu distinct kernels timed (%zu failed), %lld repetitions\n\n",
                inputs.files, counts.kernels, counts.failed,
                static_cast<long long>(counts.repetitions));

    std::vector<TableRow> rows{{"curve", "axis", "work", "bins", "repetitions", "efficiency",
                                "R2 of log time", "spread of kernels"}};
    for (auto const& curve : calibration.curves) {
        auto const& fit = curve.fitted_curve;
        rows.push_back(
            {curve_name(curve), curve.axis == WorkAxis::flops ? "FLOP" : "bytes",
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
    std::printf("wrote %s\n", curves.string().c_str());
    std::printf("next: derate validate --calibration %s --leave-out family\n",
                curves.string().c_str());
    if (output.extension() != ".json") {
        std::printf("      derate estimate --model resnet50 --registry %s --hardware %s\n",
                    output.string().c_str(), calibration.hardware_id.c_str());
    }
}

nlohmann::json result_json(EvidenceInputs const& inputs, Calibration const& calibration,
                           fs::path const& curves) {
    auto const counts = count(inputs.evidence);
    nlohmann::json json{{"calibration", curves.string()},
                        {"hardware_id", calibration.hardware_id},
                        {"precision", to_string(calibration.precision)},
                        {"threads", calibration.threads > 0 ? nlohmann::json(calibration.threads)
                                                            : nlohmann::json(nullptr)},
                        {"files", inputs.files},
                        {"duplicate_files", nlohmann::json::array()},
                        {"models", counts.models},
                        {"families", counts.families},
                        {"campaigns", inputs.evidence.campaigns.size()},
                        {"kernels", counts.kernels},
                        {"failed_kernels", counts.failed},
                        {"repetitions", counts.repetitions},
                        {"curves", nlohmann::json::array()}};
    for (auto const& path : inputs.duplicates) json["duplicate_files"].push_back(path.string());
    auto const or_null = [](std::optional<double> value) {
        return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
    };
    for (auto const& curve : calibration.curves) {
        auto const& fit = curve.fitted_curve;
        json["curves"].push_back(
            {{"curve", curve_name(curve)},
             {"data_points", curve.data_points.size()},
             {"repetitions", observations_of(curve)},
             {"r_squared", or_null(fit ? fit->r_squared : std::nullopt)},
             {"residual_std", or_null(fit ? fit->residual_std : std::nullopt)},
             {"log_variance", or_null(curve.log_variance)},
             {"work_range", curve.work_range
                                ? nlohmann::json{curve.work_range->lower, curve.work_range->upper}
                                : nlohmann::json(nullptr)}});
    }
    return json;
}

/// Peaks of other precisions and thread counts that an earlier run left stay.
Hardware with_known_peaks(Hardware hardware, fs::path const& path) {
    if (!fs::exists(path)) return hardware;
    auto const known = hardware_from_json(read_json(path), path.string());
    for (auto const& peak : known.compute_peaks) {
        if (!hardware.compute_peak(peak.precision, peak.threads)) {
            hardware.compute_peaks.push_back(peak);
        }
    }
    for (auto const& peak : known.bandwidth_peaks) {
        if (!hardware.bandwidth_peak(peak.threads)) hardware.bandwidth_peaks.push_back(peak);
    }
    return hardware;
}

ExitCode aggregate(AggregateFlags const& flags, CommonFlags const& common) {
    auto const inputs = read_evidence_inputs(flags.inputs, flags.hardware);
    if (!common.quiet) {
        for (auto const& path : inputs.duplicates) {
            std::fprintf(stderr, "derate: %s: left out, another file has the same content\n",
                         path.string().c_str());
        }
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

    if (common.json) {
        std::puts(result_json(inputs, calibration, curves).dump(2).c_str());
    } else {
        print_text(inputs, calibration, curves, flags.output);
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
    return [flags](CommonFlags const& common) { return aggregate(*flags, common); };
}

}  // namespace derate::cli
