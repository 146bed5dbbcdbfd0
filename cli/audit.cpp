#include "reports/audit.hpp"

#include <CLI/App.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "campaign/samples.hpp"
#include "campaign/samples_file.hpp"
#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/json_output.hpp"
#include "cli/step_summary.hpp"
#include "cli/today.hpp"
#include "core/input_error.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/registry.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct AuditFlags {
    std::string hardware;
    fs::path calibration;
    fs::path legacy;
    std::vector<fs::path> samples;
    fs::path output;
    int stale_days = AuditLimits{}.stale_days;
};

FoundSamples read_found(fs::path const& path) {
    Samples samples;
    read_samples(path, [&](SampleRecord const& record) {
        if (std::holds_alternative<EnvironmentLine>(record.content)) samples.add(record);
    });
    return {.file = path.filename().string(),
            .sha256 = sha256_of_file(path),
            .environment = samples.environment};
}

std::vector<FoundSamples> samples_beside(fs::path const& curves,
                                         std::vector<fs::path> const& named) {
    std::vector<FoundSamples> found;
    for (auto const& path : named) found.push_back(read_found(path));
    auto const folder = curves.has_parent_path() ? curves.parent_path() : fs::path{"."};
    for (auto const& entry : fs::directory_iterator{folder}) {
        if (entry.path().filename().string().ends_with(".samples.jsonl")) {
            found.push_back(read_found(entry.path()));
        }
    }
    return found;
}

AuditSubject subject_of(fs::path const& curves, AuditFlags const& flags) {
    return {.stored = read_stored_calibration(curves),
            .sha256 = sha256_of_file(curves),
            .samples = samples_beside(curves, flags.samples)};
}

/// A samples file that nothing was made from would be passed over in silence.
void refuse_foreign_samples(AuditRequest const& request, AuditFlags const& flags) {
    for (auto const& path : flags.samples) {
        auto const sha256 = sha256_of_file(path);
        bool const known = std::ranges::any_of(request.subjects, [&](AuditSubject const& subject) {
            if (path.filename() == subject.stored.curves.stem().string() + ".samples.jsonl") return true;
            auto const& evidence = subject.stored.evidence;
            return evidence && std::ranges::any_of(evidence->campaigns, [&](Campaign const& campaign) {
                       return campaign.samples_sha256 == sha256;
                   });
        });
        if (known) continue;
        throw InputError{path.string(), "no campaign of the evidence was made from it",
                         "raw samples of what is audited, as they were written"};
    }
}

/// What `derate estimate --hardware` would answer from, or why it would not.
void find_served_file(AuditSubject& subject, HardwareEntry const& entry) {
    auto const& calibration = subject.stored.calibration;
    if (!calibration) return;
    CalibrationRequest request{.precision = calibration->condition.precision};
    request.threads = calibration->condition.execution.threads;
    try {
        PassedOver neighbours;  // audited beside it, with what is wrong with them
        subject.served_first = calibrations_for(entry, request, &neighbours).front().path;
    } catch (InputError const& error) {
        subject.refusal = error.what();
    }
}

/// Legacy values to compare with: those that the user names, else those among the audited files,
/// else those that lie beside the one audited file.
void find_legacy(AuditRequest& request, AuditFlags const& flags) {
    auto const take = [&request](fs::path const& file, Calibration const& calibration) {
        request.legacy_file = file.filename().string();
        request.legacy = calibration;
    };
    if (!flags.legacy.empty()) {
        auto const calibration = read_calibration(flags.legacy);
        if (!calibration.legacy_rules) {
            throw InputError{flags.legacy.string(), "holds no legacy rules",
                             "a legacy_curves.json or another file of source legacy_hardcoded"};
        }
        take(flags.legacy, calibration);
        return;
    }
    for (auto const& subject : request.subjects) {
        auto const& calibration = subject.stored.calibration;
        if (calibration && calibration->legacy_rules) {
            take(subject.stored.curves, *calibration);
            return;
        }
    }
    auto const beside = flags.calibration.parent_path() / "legacy_curves.json";
    if (flags.calibration.empty() || !fs::exists(beside)) return;
    auto const calibration = read_calibration(beside);
    if (calibration.legacy_rules) take(beside, calibration);
}

/// Every shipped export in one of these precisions, and those in FP32, which stand in for others.
std::vector<AuditedModel> shipped_models(std::set<Precision> precisions) {
    precisions.insert(Precision::fp32);
    std::vector<AuditedModel> models;
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const precision : precisions) {
            for (int const batch : catalogued_batches) {
                if (entry.find(batch, precision) == nullptr) continue;
                auto const loaded = load_model(entry.name, batch, precision);
                auto cut = partition(loaded.program);
                AuditedModel model{.name = entry.name,
                                   .family = entry.family,
                                   .batch = batch,
                                   .precision = precision,
                                   .partition = std::string{cut.rule},
                                   .subgraphs = {}};
                for (auto& item : cut.subgraphs) {
                    model.subgraphs.push_back(std::move(item.subgraph));
                }
                models.push_back(std::move(model));
            }
        }
    }
    return models;
}

AuditRequest request_of(AuditFlags const& flags, CommonFlags const& common) {
    if (flags.hardware.empty() && flags.calibration.empty()) {
        throw InputError{"derate audit", "nothing is named", "--hardware ID or --calibration FILE"};
    }
    AuditRequest request{.today = today()};
    if (!flags.calibration.empty()) {
        request.subjects.push_back(subject_of(flags.calibration, flags));
        for (auto const& violation : request.subjects.front().stored.violations) {
            // Another kind of file is no damaged curve file.
            if (!violation.starts_with("#/$schema:")) continue;
            throw InputError{flags.calibration.string(), "is no curve file",
                             "$schema efficiency_calibration_v1.json"};
        }
        auto const& stored = request.subjects.front().stored;
        if (stored.refusal) throw InputError{*stored.refusal};
        request.hardware_id = stored.calibration->hardware_id;
        auto const beside = flags.calibration.parent_path() / "hardware.json";
        if (fs::exists(beside)) {
            request.hardware = hardware_from_json(read_json(beside), beside.string());
        }
    } else {
        auto const entry = find_hardware(flags.hardware, registry_roots(common.registries));
        if (entry.curve_files.empty()) {
            throw InputError{"--hardware " + entry.id, "has no calibration",
                             "one that derate calibrate made, or --calibration FILE"};
        }
        request.hardware_id = entry.id;
        PassedOver passed_over;
        request.hardware = read_hardware(entry, &passed_over);
        warn_of(passed_over, common);
        for (auto const& file : entry.curve_files) {
            request.subjects.push_back(subject_of(file, flags));
            find_served_file(request.subjects.back(), entry);
        }
    }
    refuse_foreign_samples(request, flags);
    find_legacy(request, flags);
    std::set<Precision> precisions;
    for (auto const& subject : request.subjects) {
        if (subject.stored.calibration)
            precisions.insert(subject.stored.calibration->condition.precision);
    }
    request.models = shipped_models(precisions);
    return request;
}

ExitCode run_audit(AuditFlags const& flags, CommonFlags const& common) {
    if (flags.stale_days < 0) {
        throw InputError{"--stale-days", "got " + std::to_string(flags.stale_days), "0 or more"};
    }
    auto const result = audit(request_of(flags, common), {.stale_days = flags.stale_days});
    auto const markdown = audit_markdown(result);
    if (!flags.output.empty()) {
        write_atomically(flags.output, markdown);
        if (!common.quiet) std::fprintf(stderr, "derate: wrote %s\n", flags.output.c_str());
    }
    append_step_summary(markdown);
    if (common.json) {
        print_json("output_audit_v1.json", audit_json(result));
    } else if (flags.output.empty()) {
        std::fputs(audit_text(result).c_str(), stdout);
    } else {
        std::puts(audit_in_words(result).c_str());
    }
    return result.is_broken() ? exit_gate_failed : exit_pass;
}

}  // namespace

Run add_audit(CLI::App& command) {
    auto flags = std::make_shared<AuditFlags>();
    auto* const hardware =
        command.add_option("--hardware", flags->hardware,
                           "Audit every calibration that the registries have of this hardware");
    command.get_option("--registry")->needs(hardware);
    command
        .add_option("--calibration", flags->calibration,
                    "Audit this curve file, with evidence/ beside it, instead")
        ->excludes(hardware);
    command.add_option("--legacy", flags->legacy,
                       "Compare with these legacy values (default: those of the same hardware)");
    command.add_option("--samples", flags->samples,
                       "Raw samples to verify; X.samples.jsonl beside the curve file is found by "
                       "itself (repeatable)");
    command.add_option("--stale-days", flags->stale_days,
                       "Call evidence stale that is older than this many days");
    command.add_option("--output", flags->output,
                       "Markdown report; without it the report is printed for the terminal");
    return [flags](CommonFlags const& common) { return run_audit(*flags, common); };
}

}  // namespace derate::cli
