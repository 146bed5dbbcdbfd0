#include "cli/estimate_inputs.hpp"

#include <CLI/App.hpp>
#include <set>
#include <utility>

#include "cli/curve_file_choice.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "workloads/count_again.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"
#include "workloads/program_warnings.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

std::optional<Precision> requested_precision(EstimateFlags const& flags) {
    if (!flags.precision) return std::nullopt;
    return precision_of_flag(*flags.precision);
}

ModelToPrice measured_model(fs::path const& file, EstimateFlags const& flags) {
    auto const measurement = read_measurement(file);
    auto const precision = requested_precision(flags).value_or(measurement.condition.precision);
    if (flags.dimensions.sequence || !flags.dimensions.named.empty()) {
        throw InputError{flags.dimensions.sequence ? "--seq" : "--dim",
                         "a measurement file has its own sizes", "an export, or no such flag"};
    }
    auto const& batch = flags.dimensions.batch;
    if (batch && *batch != measurement.batch) {
        throw InputError{"--batch",
                         measurement.batch ? "the file holds batch " + batch_text(measurement.batch)
                                           : "the file holds a model whose inputs share no batch",
                         "the batch that the file was made with"};
    }
    ModelToPrice model{.name = measurement.model,
                       .batch = measurement.batch,
                       .precision = precision,
                       .partition = measurement.condition.partition,
                       .allocator = measurement.condition.execution.allocator};
    for (auto const& measured : measurement.subgraphs) model.subgraphs.push_back(measured.subgraph);
    return model;
}

/// All but its subgraphs.
ModelToPrice uncut(LoadedModel const& loaded) {
    ModelToPrice model{.name = loaded.name,
                       .batch = loaded.batch,
                       .precision = loaded.precision,
                       .partition = std::string{partition_rule(Backend::eager)},
                       .warnings = warnings_of(loaded.program),
                       .dimensions = loaded.dimensions};
    for (auto const& note : loaded.notes) {
        model.warnings.push_back({WarningCode::dimensions, note});
    }
    return model;
}

ModelToPrice to_price(LoadedModel const& loaded) {
    auto model = uncut(loaded);
    model.unknown = unknown_work(loaded.program);
    for (auto& item : partition(loaded.program).subgraphs) {
        model.subgraphs.push_back(std::move(item.subgraph));
    }
    return model;
}

Target from_file(fs::path const& file, Precision precision) {
    Target target{.calibrations = {read_calibration(file)}, .files = {file}};
    auto const& calibration = target.calibrations.front();
    if (!holds_rules(calibration) && calibration.condition.precision != precision) {
        throw InputError{file.string().append("#/precision"),
                         std::string{"is "}.append(to_string(calibration.condition.precision)),
                         std::string{"the model's, "}.append(to_string(precision))};
    }
    target.hardware_id = calibration.hardware_id;
    HardwareEntry neighbours{.id = calibration.hardware_id,
                             .kind = calibration.condition.execution.device};
    auto const beside = file.parent_path() / "hardware.json";
    if (std::error_code error; fs::exists(beside, error)) neighbours.hardware_file = beside;
    target.hardware = read_hardware(neighbours, &target.passed_over);
    return target;
}

/// A thread count is never scaled from another, and what holds for none would pass for it unseen.
void refuse_other_threads(HardwareEntry const& entry, CalibrationRequest const& request,
                          PassedOver& passed_over) {
    auto const where = "--threads " + std::to_string(*request.threads);
    if (*request.threads < 1) {
        throw InputError{"--threads", "got " + std::to_string(*request.threads), "1 or more"};
    }
    std::set<int> calibrated;
    for (auto const& [path, calibration] : read_calibrations(entry, &passed_over)) {
        if (!holds_rules(calibration) && calibration.condition.precision == request.precision &&
            (!request.only || calibration.source == *request.only)) {
            // An import that does not say counts for none.
            auto const threads = calibration.condition.execution.threads;
            if (threads) calibrated.insert(*threads);
        }
    }
    if (calibrated.contains(*request.threads)) return;
    if (calibrated.empty()) {
        throw InputError{where,
                         "nothing that prices this on " + entry.id +
                             " says for how many "
                             "threads it holds",
                         "no --threads, or what derate calibrate --threads measures"};
    }
    std::string known;
    for (int const count : calibrated) {
        known += (known.empty() ? "" : ", ") + std::to_string(count);
    }
    throw InputError{where, entry.id + " is not calibrated for it",
                     "one of " + known + ", or what derate calibrate --threads measures"};
}

Target from_registry(std::string const& id, EstimateFlags const& flags, Precision precision,
                     CommonFlags const& common) {
    CalibrationRequest request{.precision = precision, .threads = flags.threads, .only = {}};
    if (flags.source) {
        request.only = parse_requested_source(*flags.source);
        if (!request.only) {
            throw InputError{"--source", "got '" + *flags.source + "'",
                             "measured, imported, legacy or default"};
        }
    }
    auto const entry = find_hardware(id, registry_roots(common.registries));
    Target target{.hardware_id = entry.id};
    target.hardware = read_hardware(entry, &target.passed_over);
    if (flags.threads) refuse_other_threads(entry, request, target.passed_over);
    for (auto& registered : calibrations_for(entry, request, &target.passed_over)) {
        target.calibrations.push_back(std::move(registered.calibration));
        target.files.push_back(std::move(registered.path));
    }
    if (!flags.source) {
        target.chosen_by = "--hardware " + entry.id;
        if (precision != Precision::fp32) {
            target.chosen_by += " --precision " + std::string{to_string(precision)};
        }
        if (flags.threads) target.chosen_by += " --threads " + std::to_string(*flags.threads);
        for (auto const& registry : common.registries) {
            target.chosen_by += " --registry " + shell_word(registry.string());
        }
    }
    return target;
}

/// The state of malloc that is asked for: without a flag that of a measurement file.
Allocator allocator_of(EstimateFlags const& flags, ModelToPrice const& model) {
    if (!flags.allocator) return model.allocator.value_or(Allocator::pinned);
    if (auto const allocator = parse_allocator(*flags.allocator)) return *allocator;
    throw InputError{"--allocator", "got '" + *flags.allocator + "'", "pinned or default"};
}

/// Calibrations that price the asked state of malloc; the others would pass for it unseen.
///
/// \param where  who asks for it
void keep_those_under(Allocator allocator, std::string const& where, Target& target) {
    std::vector<Calibration> kept;
    std::vector<fs::path> files;
    for (std::size_t i = 0; i < target.calibrations.size(); ++i) {
        auto& calibration = target.calibrations[i];
        if (holds_rules(calibration) && allocator != Allocator::pinned) continue;
        if (auto other = under_allocator(std::move(calibration), allocator)) {
            kept.push_back(std::move(*other));
            files.push_back(target.files[i]);
        }
    }
    if (kept.empty()) {
        throw InputError{
            where,
            "nothing of " + target.hardware_id + " was timed under " +
                (allocator == Allocator::pinned ? "pinned thresholds of malloc"
                                                : "malloc's default thresholds"),
            "a calibration that says so, as derate calibrate makes it, or "
            "--allocator " +
                std::string{to_string(allocator == Allocator::pinned ? Allocator::untouched
                                                                     : Allocator::pinned)}};
    }
    // Another file first than the one that derate validate would choose.
    if (files.front() != target.files.front()) target.chosen_by.clear();
    target.calibrations = std::move(kept);
    target.files = std::move(files);
}

}  // namespace

void add_target_flags(CLI::App& command, EstimateFlags& flags) {
    auto* const hardware =
        command.add_option("--hardware", flags.hardware, "Hardware of a registry (repeatable)")
            ->delimiter(',');
    command.add_option("--calibration", flags.calibration, "Price with this curve file alone")
        ->excludes(hardware);
    command.add_option("--precision", flags.precision, "fp32, fp16, bf16 or int8");
    command
        .add_option("--threads", flags.threads,
                    "With --hardware: of this thread count (default: the fewest calibrated)")
        ->needs(hardware);
    command
        .add_option("--source", flags.source,
                    "With --hardware: only curves of this source: measured, imported, legacy, "
                    "default")
        ->needs(hardware);
    command.get_option("--registry")->needs(hardware);
    command.add_option(
        "--allocator", flags.allocator,
        "State of malloc to price: pinned, as MALLOC_MMAP_THRESHOLD_ and "
        "MALLOC_TRIM_THRESHOLD_ make it, or default (default: a measurement's own, else "
        "pinned)");
}

SymbolicModel model_source(EstimateFlags const& flags) {
    return read_model(flags.model, flags.dimensions.batch, requested_precision(flags));
}

ModelToPrice model_to_price(SymbolicModel const& source, RequestedDimensions const& dimensions,
                            EstimateFlags const& flags) {
    return to_price(at(source, dimensions, requested_precision(flags)));
}

ModelToPrice model_to_price(SymbolicModel const& source, RequestedDimensions const& dimensions,
                            EstimateFlags const& flags, std::span<Subgraph const> subgraphs) {
    auto model = uncut(at(source, dimensions, requested_precision(flags)));
    model.subgraphs.assign(subgraphs.begin(), subgraphs.end());
    return model;
}

ModelToPrice model_to_price(EstimateFlags const& flags) {
    if (flags.model.ends_with(".json")) return measured_model(flags.model, flags);
    return to_price(load_model(flags.model, requested_dimensions(flags.dimensions),
                               requested_precision(flags)));
}

std::vector<Target> targets_of(EstimateFlags const& flags, ModelToPrice const& model,
                               CommonFlags const& common) {
    auto const allocator = allocator_of(flags, model);
    std::vector<Target> targets;
    if (flags.calibration) targets.push_back(from_file(*flags.calibration, model.precision));
    for (auto const& id : flags.hardware) {
        targets.push_back(from_registry(id, flags, model.precision, common));
    }
    if (targets.empty()) {
        throw InputError{"--hardware", "no hardware is named",
                         "--hardware ID or --calibration FILE"};
    }
    auto const who_asks = flags.allocator
                              ? "--allocator " + *flags.allocator
                              : flags.model + "#/allocator: " + std::string{to_string(allocator)};
    for (auto& target : targets) keep_those_under(allocator, who_asks, target);
    return targets;
}

}  // namespace derate::cli
