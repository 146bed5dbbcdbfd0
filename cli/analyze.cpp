#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "calibration/cross_validate.hpp"
#include "calibration/diagnostics.hpp"
#include "cli/commands.hpp"
#include "core/input_error.hpp"
#include "core/json/calibration_files.hpp"
#include "core/json/file.hpp"
#include "reports/analysis.hpp"

namespace derate::cli {
namespace {

struct AnalyzeFlags {
    std::filesystem::path calibration;
    std::optional<std::filesystem::path> output;
};

ExitCode analyze(AnalyzeFlags const& flags, CommonFlags const& common) {
    auto const calibration = read_calibration(flags.calibration);
    auto const evidence = read_evidence_of(calibration, flags.calibration);
    if (!evidence) {
        throw InputError{flags.calibration.string(), "it names no evidence",
                         "a calibration made by derate aggregate or derate calibrate"};
    }
    auto const diagnostics =
        diagnose(*evidence, calibration, predict_models(*evidence, calibration));

    if (flags.output) {
        write_atomically(*flags.output, analysis_markdown(calibration, diagnostics));
        if (!common.quiet) {
            std::fprintf(stderr, "derate: wrote %s\n", flags.output->string().c_str());
        }
    }
    if (common.json) {
        std::puts(analysis_json(calibration, diagnostics).c_str());
    } else if (!flags.output) {
        std::fputs(analysis_text(calibration, diagnostics).c_str(), stdout);
    } else {
        std::puts(analysis_in_words(calibration, diagnostics).c_str());
    }
    return exit_pass;
}

}  // namespace

Run add_analyze(CLI::App& command) {
    auto flags = std::make_shared<AnalyzeFlags>();
    command
        .add_option("--calibration", flags->calibration,
                    "Curve file (efficiency_curves*.json) with evidence/ beside it")
        ->required();
    command.add_option("--output", flags->output,
                       "Markdown report with pictures; without it the report is printed for the "
                       "terminal");
    return [flags](CommonFlags const& common) { return analyze(*flags, common); };
}

}  // namespace derate::cli
