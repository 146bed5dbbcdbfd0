#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "calibration/ingest.hpp"
#include "calibration/validation.hpp"
#include "cli/commands.hpp"
#include "cli/step_summary.hpp"
#include "core/input_error.hpp"
#include "core/json/calibration_files.hpp"
#include "core/json/file.hpp"
#include "core/json/measurement_json.hpp"
#include "reports/validation_report.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct ValidateFlags {
    fs::path calibration;
    std::string leave_out;
    std::vector<fs::path> measurements;
    fs::path junit;
    fs::path output;
};

LeaveOut parse_leave_out(std::string const& text) {
    if (text.empty() || text == "model") return LeaveOut::model;
    if (text == "family") return LeaveOut::family;
    throw InputError{"--leave-out " + text, "not known", "model or family"};
}

/// Measurements of other models, or of another day, as evidence that fits the calibration.
Evidence read_measurements(std::vector<fs::path> const& files, Calibration const& calibration) {
    std::vector<EvidencePart> parts;
    for (auto const& file : files) {
        auto const measurement = measurement_from_json(read_json(file), file.string());
        if (measurement.precision != calibration.precision) {
            throw InputError{file.string(),
                             "measured in " + std::string{to_string(measurement.precision)},
                             "the calibration's " + std::string{to_string(calibration.precision)}};
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

ExitCode exit_code_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::pass:
            return exit_pass;
        case Verdict::fail:
            return exit_gate_failed;
        case Verdict::inconclusive:
            break;
    }
    return exit_inconclusive;
}

ExitCode run_validate(CommonFlags const& common, ValidateFlags const& flags) {
    auto const what = parse_leave_out(flags.leave_out);
    if (!flags.measurements.empty() && !flags.leave_out.empty()) {
        throw InputError{"--leave-out", "given together with --measurements",
                         "one way of judging at a time"};
    }
    Validation validation;
    if (flags.measurements.empty()) {
        validation = validate_stored(read_stored_calibration(flags.calibration), nullptr, what);
    } else {
        auto const calibration = read_calibration(flags.calibration);
        validation = validate_on(calibration, read_measurements(flags.measurements, calibration));
    }

    if (common.json) {
        std::puts(pretty_json(validation_json(validation)).c_str());
    } else {
        std::fputs(validation_text(validation).c_str(), stdout);
    }
    if (!flags.junit.empty()) write_atomically(flags.junit, validation_junit(validation));
    auto const markdown = validation_markdown(validation);
    if (!flags.output.empty()) write_atomically(flags.output, markdown);
    append_step_summary(markdown);

    auto const verdict = validation.gate.verdict();
    if (verdict == Verdict::pass && validation.outcomes.empty()) {
        if (!common.quiet) {
            std::fprintf(stderr, "derate: %s: no evidence, so nothing was judged but its schema\n",
                         flags.calibration.c_str());
        }
        return exit_inconclusive;
    }
    return exit_code_of(verdict);
}

}  // namespace

Run add_validate(CLI::App& command) {
    auto flags = std::make_shared<ValidateFlags>();
    command.add_option("--calibration,calibration", flags->calibration, "Curve file to judge")
        ->required();
    command.add_option("--leave-out", flags->leave_out,
                       "Refit without each 'model' (default) or 'family' and predict it");
    command.add_option("--measurements", flags->measurements,
                       "Predict these measurement files instead (repeatable)");
    command.add_option("--junit", flags->junit, "Write the rules as JUnit XML");
    command.add_option("--output", flags->output, "Write the report as Markdown");
    return [flags](CommonFlags const& common) { return run_validate(common, *flags); };
}

}  // namespace derate::cli
