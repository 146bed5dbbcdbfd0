#include "cli/curve_file_choice.hpp"

#include <CLI/App.hpp>
#include <cstdio>

#include "core/input_error.hpp"
#include "storage/registry.hpp"

namespace derate::cli {

Precision precision_of_flag(std::string const& text) {
    auto const precision = parse_precision(text);
    if (!precision) {
        throw InputError{"--precision", "got '" + text + "'", "fp32, fp16, bf16 or int8"};
    }
    return *precision;
}

void add_curve_file_flags(CLI::App& command, CurveFileFlags& flags, bool positional) {
    auto* const file = command.add_option(
        positional ? "--calibration,calibration" : "--calibration", flags.calibration,
        "Curve file (efficiency_curves*.json) with evidence/ beside it");
    auto* const hardware = command
                               .add_option("--hardware", flags.hardware,
                                           "The registries' curve file of this hardware instead")
                               ->excludes(file);
    command
        .add_option("--precision", flags.precision,
                    "With --hardware: fp32 (default), fp16, bf16 or int8")
        ->needs(hardware);
    command
        .add_option("--threads", flags.threads,
                    "With --hardware: of this thread count (default: the fewest calibrated)")
        ->needs(hardware);
    command.get_option("--registry")->needs(hardware);
}

std::filesystem::path chosen_curve_file(CurveFileFlags const& flags, CommonFlags const& common) {
    if (!flags.calibration.empty()) return flags.calibration;
    if (flags.hardware.empty()) {
        throw InputError{"--calibration", "no calibration is named",
                         "--calibration FILE or --hardware ID"};
    }
    CalibrationRequest request{.threads = flags.threads};
    if (flags.precision) request.precision = precision_of_flag(*flags.precision);
    auto const entry = find_hardware(flags.hardware, registry_roots(common.registries));
    PassedOver passed_over;
    auto const answering = calibrations_for(entry, request, &passed_over);
    warn_of(passed_over, common);
    for (auto const& registered : answering) {
        auto const& calibration = registered.calibration;
        if (holds_rules(calibration)) continue;
        if (calibration.condition.execution.allocator != Allocator::untouched)
            return registered.path;
    }
    throw InputError{"--hardware " + entry.id,
                     "no curves for " + std::string{to_string(request.precision)} +
                         (flags.threads ? ", threads " + std::to_string(*flags.threads) : ""),
                     "measured or imported ones, or --calibration FILE"};
}

void warn_of(PassedOver const& passed_over, CommonFlags const& common) {
    if (common.quiet) return;
    for (auto const& fault : passed_over) {
        std::fprintf(stderr, "derate: warning: passed over: %s\n", fault.what());
    }
}

}  // namespace derate::cli
