#include <CLI/App.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "calibration/ingest.hpp"
#include "campaign/child_process.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "campaign/trust_grade.hpp"
#include "cli/campaign_evidence.hpp"
#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/json_output.hpp"
#include "cli/measuring.hpp"
#include "cli/step_summary.hpp"
#include "cli/verdict_exit.hpp"
#include "core/input_error.hpp"
#include "gate/validation.hpp"
#include "reports/validation_report.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"
#include "workloads/count_again.hpp"
#include "workloads/model_set.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct ValidateFlags {
    CurveFileFlags curves;
    std::string leave_out;
    std::string campaign;
    std::vector<fs::path> measurements;
    std::vector<std::string> test_models;
    MeasuringFlags measuring;  ///< how the test models are timed
    std::string hardware_name;
    fs::path samples;
    fs::path junit;
    fs::path output;
};

LeaveOut parse_leave_out(std::string const& text) {
    if (text.empty() || text == "model") return LeaveOut::model;
    if (text == "family") return LeaveOut::family;
    if (text == "batch") return LeaveOut::batch;
    throw InputError{"--leave-out " + text, "not known", "model, family or batch"};
}

/// Measurements of other models, or of another day, as evidence that fits the calibration.
Evidence read_measurements(std::vector<fs::path> const& files, Calibration const& calibration) {
    std::vector<EvidencePart> parts;
    for (auto const& file : files) {
        auto const measurement = read_measurement(file);
        if (measurement.condition.precision != calibration.condition.precision) {
            throw InputError{
                file.string(),
                "measured in " + std::string{to_string(measurement.condition.precision)},
                "the calibration's " + std::string{to_string(calibration.condition.precision)}};
        }
        if (measurement.hardware.id != calibration.hardware_id) {
            throw InputError{file.string(), "measured on " + measurement.hardware.id,
                             "the calibration's " + calibration.hardware_id};
        }
        parts.push_back(
            {.where = file.string(), .evidence = evidence_of(measurement, file.string())});
    }
    return merge(parts);
}

/// A folder for timings that nobody asked to keep; gone when the command ends.
class TemporaryFolder {
  public:
    TemporaryFolder()
        : path_{temporary_folder() / ("derate_validate_" + std::to_string(::getpid()))} {
        fs::create_directories(path_);
    }
    TemporaryFolder(TemporaryFolder const&) = delete;
    TemporaryFolder& operator=(TemporaryFolder const&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] fs::path const& path() const { return path_; }

  private:
    fs::path path_;
};

/// What the test models' campaign times: their kernels and wholes, at the calibration's precision,
/// threads and device.
CampaignSettings campaign_of_test(ValidateFlags const& flags, Calibration const& calibration) {
    for (auto const& name : flags.test_models) {
        if (std::ranges::count(calibration.provenance.models_used, name) == 0) continue;
        throw InputError{"--test-models", name + " is among the models of the calibration",
                         "models that it was not made from"};
    }
    auto measuring = flags.measuring;
    auto const device = std::string{torch_name(calibration.condition.execution.device)};
    if (measuring.device.empty()) measuring.device = device;
    if (measuring.device != device) {
        throw InputError{"--device", measuring.device + ", but the calibration is of another kind",
                         device};
    }
    measuring.precision = to_string(calibration.condition.precision);
    measuring.threads = calibration.condition.execution.threads.value_or(1);
    auto settings = settings_of(measuring);
    settings.peaks = false;  // times are compared, not efficiencies
    for (auto const& name : flags.test_models) {
        for (auto const batch : batches_of(measuring)) {
            auto model = model_to_time(measuring, name, batch);
            model.in_context = false;
            settings.models.push_back(std::move(model));
        }
    }
    return settings;
}

/// Times of another machine would judge a calibration of this one. The calibration names its machine:
/// --hardware-name is for where neither its id nor its processor tells that it is this one.
void refuse_other_machine(std::string const& hardware_name, Calibration const& calibration,
                          fs::path const& file, Environment const& machine) {
    if (hardware_name.empty()) {
        auto const evidence = read_evidence_of(calibration, file);
        auto const processor = evidence ? evidence->hardware.name : std::string{};
        if (may_be_named(machine, calibration.hardware_id, processor)) return;
    }
    auto const id = hardware_name.empty() ? hardware_id_of(machine) : hardware_name;
    if (id == calibration.hardware_id) return;
    throw EnvironmentRefused{
        "--test-models",
        "this machine is " + id + ", the calibration is of " + calibration.hardware_id,
        "the calibrated machine; --hardware-name says that it is"};
}

/// Times the test models on this machine.
Evidence measure_test_models(CommonFlags const& common, ValidateFlags const& flags,
                             Calibration const& calibration, fs::path const& file,
                             CampaignSettings const& settings) {
    auto const bench_program = find_bench_program(settings.execution.device);
    auto const machine = machine_environment(settings, bench_program);
    refuse_other_machine(flags.hardware_name, calibration, file, machine);
    TemporaryFolder const temporary;
    auto const samples =
        flags.samples.empty() ? temporary.path() / "test.samples.jsonl" : flags.samples;
    if (samples.has_parent_path()) fs::create_directories(samples.parent_path());
    CampaignFiles const files{.samples = samples,
                              .bench_program = bench_program};
    auto printer = std::make_unique<ProgressPrinter>(common.quiet);
    auto const result = run_campaign(settings, files, machine,
                                     [&](CampaignProgress const& now) { (*printer)(now); });
    printer.reset();
    MeasuredQuality const quality{.launches = result.samples.launches_begun(),
                                  .quick = flags.measuring.quick,
                                  .precise_share = precise_share(result, 0.02),
                                  .drift = analyse_drift(result.samples.drift)};
    auto const hardware = hardware_of(result.samples, calibration.hardware_id, settings.execution,
                                      calibration.condition.precision);
    return evidence_of_campaign(result, settings, hardware, samples,
                                judge_trust(result.samples.environment, quality));
}

bool is_unjudged(Validation const& validation) {
    return validation.gate.verdict() == Verdict::pass && validation.outcomes.empty();
}

std::string unjudged_text(fs::path const& file) {
    return file.string() + ": no evidence, so nothing was judged but its schema";
}

nlohmann::json result_json(Validation const& validation, fs::path const& file) {
    auto json = validation_json(validation);
    auto const stored = read_stored_calibration(file);
    json["calibration"] = file.string();
    json["calibration_sha256"] = sha256_of_file(file);
    set_condition(json, stored.calibration ? &*stored.calibration : nullptr,
                  stored.evidence ? &*stored.evidence : nullptr);
    std::vector<Warning> warnings;
    if (is_unjudged(validation)) warnings.push_back({WarningCode::no_evidence, unjudged_text(file)});
    set_warnings(json, warnings);
    return json;
}

ExitCode run_validate(CommonFlags const& common, ValidateFlags const& flags) {
    auto const what = parse_leave_out(flags.leave_out);
    auto const file = chosen_curve_file(flags.curves, common);
    Validation validation;
    if (!flags.hardware_name.empty()) {
        require_hardware_id(flags.hardware_name, "--hardware-name");
    }
    if (!flags.test_models.empty()) {
        auto const calibration = read_calibration(file);
        auto const settings = campaign_of_test(flags, calibration);
        if (flags.measuring.dry_run) {
            print_dry_run(settings, common.json);
            return exit_pass;
        }
        validation =
            validate_on(calibration, measure_test_models(common, flags, calibration, file, settings));
    } else if (!flags.campaign.empty()) {
        auto const calibration = read_calibration(file);
        auto const evidence = read_evidence_of(calibration, file);
        if (!evidence) {
            throw InputError{file.string(), "no evidence beside it", "evidence/ with the campaign"};
        }
        validation = validate_campaign(*evidence, flags.campaign, what);
    } else if (!flags.measurements.empty()) {
        auto const calibration = read_calibration(file);
        validation = validate_on(calibration, read_measurements(flags.measurements, calibration));
    } else {
        auto const stored = read_stored_calibration(file);
        if (stored.refusal) throw InputError{*stored.refusal};
        validation = validate_stored(stored, nullptr, what);
    }

    if (common.json) {
        print_json("output_validate_v1.json", result_json(validation, file));
    } else {
        std::fputs(validation_text(validation).c_str(), stdout);
    }
    if (!flags.junit.empty()) write_atomically(flags.junit, validation_junit(validation));
    auto const markdown = validation_markdown(validation);
    if (!flags.output.empty()) write_atomically(flags.output, markdown);
    append_step_summary(markdown);

    auto const verdict = validation.gate.verdict();
    if (is_unjudged(validation)) {
        if (!common.quiet) std::fprintf(stderr, "derate: %s\n", unjudged_text(file).c_str());
        return exit_inconclusive;
    }
    return exit_code_of(verdict);
}

}  // namespace

Run add_validate(CLI::App& command) {
    auto flags = std::make_shared<ValidateFlags>();
    add_curve_file_flags(command, flags->curves, true);
    // Three ways of judging, one at a time; of a campaign models and families are left out too.
    auto* const leave_out =
        command.add_option("--leave-out", flags->leave_out,
                           "Refit without each 'model' (default), 'family' or 'batch' size and "
                           "predict it");
    auto* const campaign =
        command.add_option("--campaign", flags->campaign,
                           "Refit and judge on the timings of this campaign of the evidence alone");
    auto* const measurements =
        command
            .add_option("--measurements", flags->measurements,
                        "Predict these measurement files instead (repeatable)")
            ->excludes(leave_out)
            ->excludes(campaign);
    auto* const test_models = command
                                  .add_option("--test-models", flags->test_models,
                                              "Time these models on this machine now and "
                                              "predict them")
                                  ->delimiter(',')
                                  ->excludes(leave_out)
                                  ->excludes(campaign)
                                  ->excludes(measurements);
    auto& measuring = flags->measuring;
    measuring.device.clear();
    command
        .add_option("--device", measuring.device,
                    "Of the test models: cpu or cuda (default: the calibration's)")
        ->needs(test_models);
    add_sizes_flags(command, measuring);
    for (auto const* const flag : {"--batch", "--seq", "--dim", "--axis"}) {
        command.get_option(flag)->needs(test_models);
    }
    command
        .add_option("--hardware-name", flags->hardware_name,
                    "This machine's name in the registry (default: from its processor)")
        ->needs(test_models);
    command
        .add_option("--runs", measuring.runs,
                    "Exactly so many repetitions of each case over all launches")
        ->needs(test_models);
    command
        .add_option("--launches", measuring.launches,
                    "Process launches: exactly so many with --runs, else at least")
        ->needs(test_models);
    command.add_option("--budget", measuring.budget, "Wall time to spend measuring, e.g. 180s")
        ->needs(test_models);
    command.add_flag("--quick", measuring.quick, "Three short launches; good for a first look")
        ->needs(test_models);
    command
        .add_flag("--dry-run", measuring.dry_run,
                  "List what would be timed of the test models and how long it takes")
        ->needs(test_models);
    command
        .add_option("--samples", flags->samples,
                    "Keep the test models' timings in this .samples.jsonl, and go on from it "
                    "where it is there (default: they are thrown away)")
        ->needs(test_models);
    command.add_option("--junit", flags->junit, "Write the rules as JUnit XML");
    command.add_option("--output", flags->output, "Write the report as Markdown");
    return [flags](CommonFlags const& common) { return run_validate(common, *flags); };
}

}  // namespace derate::cli
