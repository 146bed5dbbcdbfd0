#include <CLI/App.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "calibration/cross_validate.hpp"
#include "calibration/fit_calibration.hpp"
#include "campaign/child_process.hpp"
#include "campaign/further_batches.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "campaign/trust_grade.hpp"
#include "cli/calibration_summary.hpp"
#include "cli/campaign_evidence.hpp"
#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "cli/measuring.hpp"
#include "cli/revision.hpp"
#include "cli/verdict_exit.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "gate/claims.hpp"
#include "gate/gate.hpp"
#include "storage/calibration_files.hpp"
#include "storage/environment_json.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/registry.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

/// What a calibration without further flags spends on its own models; held-out models, whose parts
/// are not timed then, take about half as long again, together less than twelve minutes on two
/// cores.
constexpr double default_budget_s = 480;

struct CalibrateFlags {
    MeasuringFlags measuring;
    std::string hardware_name;
    std::vector<std::string> models;
    std::vector<std::string> test_models;
    fs::path output = "staged";
    bool reference_blas = false;  ///< calibrate on it all the same
    bool probes = true;  ///< time the shipped single kernels too, with the default models
    CLI::Option const* probes_option = nullptr;  ///< tells whether that was asked for
};

/// What is calibrated on and what is held out, each name once.
struct ModelChoice {
    std::vector<std::string> calibration;
    std::vector<std::string> held_out;
};

/// Models of the default set that exist at these batch sizes and this precision, by role.
std::vector<std::string> default_models(CatalogueRole role,
                                        std::vector<std::optional<int>> const& batches,
                                        Precision precision) {
    std::vector<std::string> names;
    for (auto const& entry : read_catalogue(models_directory())) {
        if (entry.role != role) continue;
        bool const has_all = std::ranges::all_of(batches, [&](std::optional<int> batch) {
            return entry.find(batch.value_or(1), precision) != nullptr;
        });
        if (has_all) names.push_back(entry.name);
    }
    return names;
}

/// Held-out models of a quick calibration: of every family only the first, because what takes the
/// time is not in the budget but in the way.
std::vector<std::string> one_a_family(std::vector<std::string> const& names) {
    std::set<std::string> families;
    std::vector<std::string> chosen;
    for (auto const& name : names) {
        if (families.insert(find_model(name).family).second) chosen.push_back(name);
    }
    return chosen;
}

ModelChoice choose_models(CalibrateFlags const& flags, Precision precision) {
    auto const batches = batches_of(flags.measuring);
    ModelChoice choice{.calibration = flags.models, .held_out = flags.test_models};
    if (choice.calibration.empty()) {
        choice.calibration = default_models(CatalogueRole::calibration, batches, precision);
    }
    if (choice.held_out.empty()) {
        choice.held_out = default_models(CatalogueRole::held_out, batches, precision);
        if (flags.measuring.quick) choice.held_out = one_a_family(choice.held_out);
        std::erase_if(choice.held_out, [&](std::string const& name) {
            return std::ranges::count(choice.calibration, name) > 0;
        });
    }
    for (auto const& name : choice.held_out) {
        if (std::ranges::count(choice.calibration, name) == 0) continue;
        throw InputError{"--test-models", name + " is among the calibration models too",
                         "a model is calibrated on or held out, not both"};
    }
    if (choice.calibration.empty()) {
        throw InputError{"--models", "no shipped calibration model has this batch and precision",
                         "a batch size and precision of `derate list models`, or .pt2 files"};
    }
    return choice;
}

/// The shipped single kernels in regimes that few models show; they are exported at batch 1.
std::optional<fs::path> probe_file(Precision precision) {
    auto const name = precision == Precision::fp32   ? "probes_b1.json.gz"
                      : precision == Precision::bf16 ? "probes_b1_bf16.json.gz"
                                                     : nullptr;
    if (name == nullptr) return std::nullopt;
    auto const file = models_directory() / name;
    if (!fs::exists(file)) return std::nullopt;
    return file;
}

/// Beside batch 1. LibTorch changes kernels from 2 and from 16 on.
constexpr auto further_batches = std::to_array<std::optional<int>>({2, 4, 8, 16, 32});
/// Where what the curves say between and beyond those is compared with what is measured.
constexpr auto held_out_batches = std::to_array<std::optional<int>>({3, 6, 24});
/// Time for further batches, of that which batch 1 takes.
constexpr double share_of_further_batches = 0.5;
constexpr double share_of_held_out_batches = 0.2;

/// What the curves are made of and what they are compared with, in the order of the campaign.
struct CampaignModels {
    std::vector<CampaignModel> calibration;
    std::vector<CampaignModel> held_out;
};

/// The models at each of the batches.
std::vector<CampaignModel> at_batches(MeasuringFlags const& flags,
                                      std::vector<std::string> const& names,
                                      std::span<std::optional<int> const> batches) {
    std::vector<CampaignModel> models;
    for (auto const& name : names) {
        for (auto const batch : batches) models.push_back(model_to_time(flags, name, batch));
    }
    return models;
}

CampaignModels models_of(CalibrateFlags const& flags, ModelChoice const& choice,
                         CampaignSettings const& settings, Precision precision) {
    auto const& measuring = flags.measuring;
    CampaignModels models;
    auto const batches = batches_of(measuring);
    models.calibration = at_batches(measuring, choice.calibration, batches);
    models.held_out = at_batches(measuring, choice.held_out, batches);
    // A first look is at batch 1; who names sizes or models gets those.
    bool const is_spread = measuring.batches.empty() && measuring.dimensions.empty() &&
                           flags.models.empty() && !measuring.quick;
    if (is_spread) {
        std::ranges::move(
            kernels_at_further_batches(models.calibration,
                                       at_batches(measuring, choice.calibration, further_batches),
                                       settings, share_of_further_batches),
            std::back_inserter(models.calibration));
        if (flags.test_models.empty()) {
            std::ranges::move(
                wholes_at_further_batches(models.held_out,
                                          at_batches(measuring, choice.held_out, held_out_batches),
                                          settings, share_of_held_out_batches),
                std::back_inserter(models.held_out));
        }
    }
    if (auto const probes = probe_file(precision); flags.probes && flags.models.empty() && probes) {
        models.calibration.push_back(
            campaign_model(load_model(probes->string()), settings.execution.backend));
    }
    for (auto& model : models.held_out) {
        model.in_budget = false;
        if (model.sparse) continue;
        // A truth to compare with. Its parts are timed too for figures that others rely on, because
        // leaving families out over all models asks for them.
        model.isolated = measuring.publish;
        model.in_context = measuring.publish;
    }
    return models;
}

CampaignSettings campaign_of(CalibrateFlags const& flags, ModelChoice const& choice,
                             Precision precision) {
    auto settings = settings_of(flags.measuring);
    auto const& measuring = flags.measuring;
    if (!measuring.quick && !measuring.publish && !measuring.runs && measuring.budget.empty()) {
        settings.rules.budget_s = default_budget_s;
    }
    if (is_host(settings.execution.device) && settings.execution.allocator == Allocator::pinned) {
        settings.rules.default_allocator_launches = measuring.quick ? 1 : 3;
    }
    auto models = models_of(flags, choice, settings, precision);
    settings.models = std::move(models.calibration);
    std::ranges::move(models.held_out, std::back_inserter(settings.models));
    return settings;
}

/// Curves with everything a file says of them beside the fit.
Calibration calibration_of(Evidence const& evidence, Hardware const& hardware, bool provisional) {
    auto calibration = fit_calibration(evidence);
    calibration.hardware_id = hardware.id;
    calibration.condition.execution.device = hardware.kind;
    calibration.source = CurveSource::measured;
    calibration.provenance.tool_version = DERATE_VERSION;
    calibration.provenance.git_revision = git_revision();
    calibration.provisional = provisional;
    return calibration;
}

/// Curves from reference BLAS hold for no machine with another; nobody would see it in them.
void refuse_reference_blas(fs::path const& bench_program) {
    auto const environment = ask_for_environment(bench_program);
    if (!environment || environment->blas != "reference") return;
    throw EnvironmentRefused{bench_program.filename().string(),
                             "matrix products run on reference BLAS",
                             "OpenBLAS or the pinned LibTorch; --reference-blas calibrates it"};
}

/// Flags that ask for what this calibration does not do.
void refuse_flags_without_effect(CalibrateFlags const& flags, Precision precision) {
    if (!flags.hardware_name.empty()) require_hardware_id(flags.hardware_name, "--hardware-name");
    if (flags.reference_blas && flags.measuring.device != torch_name(DeviceKind::cpu)) {
        throw InputError{"--reference-blas", "matrix products of a GPU run on no BLAS of the host",
                         "--device cpu"};
    }
    if (flags.probes_option->count() > 0 && !flags.models.empty()) {
        throw InputError{flags.probes ? "--probes" : "--no-probes",
                         "goes with the default models, not with --models", "one of the two"};
    }
    if (flags.probes_option->count() > 0 && flags.probes && !probe_file(precision)) {
        throw InputError{"--probes", "none are shipped in " + std::string{to_string(precision)},
                         "--no-probes, or a precision that has them"};
    }
    if (flags.measuring.cache_states.size() > 1) {
        throw InputError{"--cache-state", "curves are fitted to one state",
                         "one; `derate measure` times several"};
    }
}

/// A command that answers from these curves as they are: on a held-out model where there is one.
std::string estimate_line(CalibrateFlags const& flags, ModelChoice const& choice,
                          fs::path const& curves) {
    auto const& measuring = flags.measuring;
    auto const& model = choice.held_out.empty() ? choice.calibration.front() : choice.held_out.front();
    auto line = "derate estimate --model " + shell_word(model);
    auto dimensions = measuring.dimensions;
    if (!measuring.batches.empty()) dimensions.batch = measuring.batches.front();
    line += flags_text(dimensions);
    if (measuring.precision != "fp32") line += " --precision " + measuring.precision;
    if (measuring.allocator != "pinned") line += " --allocator " + measuring.allocator;
    return line + " --calibration " + shell_word(curves.string());
}

/// What to do with a calibration of this verdict; never to promote one that failed.
void print_next_steps(CalibrateFlags const& flags, ModelChoice const& choice,
                      fs::path const& curves, Verdict verdict) {
    std::printf("\nnext:\n");
    if (verdict == Verdict::fail) {
        std::printf(
            "  derate validate --calibration %s\n"
            "it failed its gate: mend what is named above, then calibrate into another --output\n",
            shell_word(curves.string()).c_str());
        return;
    }
    std::printf("  %s\n", estimate_line(flags, choice, curves).c_str());
    std::printf("  derate promote %s --reason \"first calibration of this machine\"%s\n",
                shell_word(flags.output.string()).c_str(),
                verdict == Verdict::inconclusive ? " --provisional" : "");
}

ExitCode calibrate(CommonFlags const& common, CalibrateFlags const& flags) {
    refuse_shipped_tree(flags.output);
    require_folder_name(flags.output, "a folder");
    auto const precision = precision_to_measure(flags.measuring.precision);
    refuse_flags_without_effect(flags, precision);
    auto const choice = choose_models(flags, precision);
    auto const settings = campaign_of(flags, choice, precision);
    refuse_equal_labels(settings);
    if (flags.measuring.dry_run) {
        print_dry_run(settings, common.json);
        return exit_pass;
    }
    require_writable(flags.output / "any_file");  // said now, not after minutes of measuring
    auto const bench_program = find_bench_program(settings.execution.device);
    if (!flags.reference_blas && is_host(settings.execution.device)) {
        refuse_reference_blas(bench_program);
    }
    auto const machine = machine_environment(settings, bench_program);
    auto const id = flags.hardware_name.empty() ? hardware_id_of(machine) : flags.hardware_name;
    auto const folder = flags.output / to_string(settings.execution.device) / id;
    auto const curves =
        folder / calibration_file_name({.execution = settings.execution, .precision = precision});
    auto samples = curves;
    samples.replace_extension(".samples.jsonl");

    if (!common.quiet) {
        std::fprintf(stderr, "%s: calibrating on %zu models, %zu held out; samples in %s\n",
                     id.c_str(), choice.calibration.size(), choice.held_out.size(),
                     samples.c_str());
    }
    CampaignFiles const files{.samples = samples, .bench_program = bench_program};
    auto printer = std::make_unique<ProgressPrinter>(common.quiet);
    auto const result = run_campaign(settings, files, machine,
                                     [&](CampaignProgress const& now) { (*printer)(now); });
    printer.reset();
    if (result.complete && !common.quiet) {
        std::fprintf(stderr, "derate: %s\n", nothing_measured(samples).c_str());
    }

    auto const quality = quality_of(result, flags.measuring.quick);
    auto const trust = judge_trust(result.samples.environment, quality);
    auto const hardware = hardware_of(result.samples, id, settings.execution, precision);
    auto const evidence = evidence_of_campaign(result, settings, hardware, samples, trust);
    if (!common.quiet) std::fprintf(stderr, "fitting and cross-validating\n");
    auto calibration = calibration_of(evidence, hardware, flags.measuring.quick);

    CalibrationSummary summary;
    summary.held_out = outcomes_of(predict_held_out(evidence, calibration), evidence);
    summary.trust = trust;
    summary.quality = quality;
    summary.context = context_ratios(result, settings, settings.states.front());
    auto const hardware_file = folder / "hardware.json";
    write_atomically(hardware_file,
                     pretty_json(to_json(with_known_peaks(hardware, hardware_file))));
    write_calibration(calibration, evidence, curves);
    auto own = store_claims(curves);
    summary.left_out = std::move(own.left_out);
    summary.floor = std::move(own.floor);
    summary.gate = std::move(own.gate);
    summary.verdict = summary.gate.verdict();
    calibration = read_calibration(curves);
    // "report.md", or "report_t2.md" beside efficiency_curves_t2.json.
    constexpr std::string_view curves_stem = "efficiency_curves";
    auto const report =
        folder / ("report" + curves.stem().string().substr(curves_stem.size()) + ".md");
    write_atomically(report, markdown_report(summary, calibration, result, settings));
    if (common.json) {
        auto json = summary_json(summary, calibration, result, settings);
        json["calibration"] = curves.string();
        json["calibration_sha256"] = sha256_of_file(curves);
        set_condition(json, &calibration, &evidence);
        std::vector<Warning> warnings;
        if (result.complete) {
            warnings.push_back({WarningCode::nothing_measured, nothing_measured(samples)});
        }
        set_warnings(json, warnings);
        print_json("output_calibrate_v1.json", std::move(json));
    } else {
        std::printf("%s", summary_text(summary, calibration, result, settings).c_str());
        if (result.complete) std::printf("\n%s\n", nothing_measured(samples).c_str());
        std::printf("\nwritten: %s, hardware.json, evidence/ and %s\n", curves.c_str(),
                    report.filename().c_str());
        print_next_steps(flags, choice, curves, summary.verdict);
    }
    return exit_code_of(summary.verdict);
}

}  // namespace

Run add_calibrate(CLI::App& command) {
    auto flags = std::make_shared<CalibrateFlags>();
    command.add_option("--hardware-name", flags->hardware_name,
                       "Name of this machine in the registry (default: from its processor)");
    command
        .add_option("--models", flags->models,
                    "Models to calibrate on (default: the shipped calibration set)")
        ->delimiter(',');
    command
        .add_option("--test-models", flags->test_models,
                    "Models to predict and compare with their own whole-model time (default: the "
                    "shipped held-out set)")
        ->delimiter(',');
    flags->probes_option =
        command
            .add_flag("--probes,!--no-probes", flags->probes,
                      "Time the shipped single-kernel probes beside the default models (on unless "
                      "--no-probes)");
    command.add_flag("--reference-blas", flags->reference_blas,
                     "Calibrate although matrix products run on reference BLAS");
    command.add_option("--output", flags->output, "Folder for the staged registry tree")
        ->capture_default_str();
    add_measuring_flags(command, flags->measuring, "--runs-per-model");
    return [flags](CommonFlags const& common) { return calibrate(common, *flags); };
}

}  // namespace derate::cli
