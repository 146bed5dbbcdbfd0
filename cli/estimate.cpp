#include <CLI/App.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/estimate_breakdown.hpp"
#include "cli/estimate_inputs.hpp"
#include "cli/estimate_output.hpp"
#include "cli/json_output.hpp"
#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "estimator/fallback_chain.hpp"

namespace derate::cli {
namespace {

/// With all that is to be said of the model and of the curves among its warnings.
ChainEstimate priced(ModelToPrice const& model, Target const& target) {
    ChainEstimate result;
    try {
        FallbackChain const chain{target.calibrations, target.hardware, model.precision};
        // What calls nothing takes no time, whatever the curves.
        if (!model.subgraphs.empty()) result = chain.estimate(model.subgraphs, model.partition);
    } catch (std::invalid_argument const& error) {
        throw InputError{target.hardware_id, error.what(),
                         "curves that cover the model's operation types"};
    }
    result.warnings.insert(result.warnings.begin(), model.warnings.begin(), model.warnings.end());
    std::vector<double> latency_ms;
    for (auto const& part : result.subgraphs) latency_ms.push_back(part.latency_ms);
    for (auto const& calibration : target.calibrations) {
        if (auto note = value_rule_note(calibration, model.subgraphs, latency_ms)) {
            result.warnings.push_back({WarningCode::value_rule, *std::move(note)});
            break;
        }
    }
    return result;
}

ExitCode estimate(EstimateFlags const& flags, CommonFlags const& common) {
    auto const model = model_to_price(flags);
    auto const unknown = unknown_warning(model.unknown);
    std::vector<nlohmann::json> results;
    for (auto const& target : targets_of(flags, model, common)) {
        auto result = priced(model, target);
        // The text has it beside the latency.
        if (common.json && !unknown.empty()) {
            result.warnings.push_back({WarningCode::unknown_operators, unknown});
        }
        warn_of(target.passed_over, common);
        if (!common.quiet) {
            for (auto const& warning : result.warnings) {
                std::fprintf(stderr, "derate: warning: %s\n", warning.text.c_str());
            }
        }
        std::optional<Explanation> explanation;
        if (flags.explain) explanation = explanation_of(model, target, result, *flags.explain);
        if (common.json) {
            results.push_back(estimate_json(model, target, result));
            if (explanation) results.back()["explanation"] = explanation_json(*explanation);
        } else if (explanation) {
            print_explanation(model, *explanation);
        } else {
            print_estimate(model, target, result);
        }
    }
    if (common.json) {
        print_json("output_estimate_v1.json", with_others(std::move(results)));
    }
    return exit_pass;
}

}  // namespace

Run add_estimate(CLI::App& command) {
    auto const flags = std::make_shared<EstimateFlags>();
    command
        .add_option("--model", flags->model,
                    "Name of a shipped model, a torch.export file (.pt2), or a measurement file")
        ->required();
    auto* const hardware =
        command.add_option("--hardware", flags->hardware, "Hardware of a registry (repeatable)")
            ->delimiter(',');
    command.add_option("--calibration", flags->calibration, "Price with this curve file alone")
        ->excludes(hardware);
    command.add_option("--batch", flags->batch, "Batch size (a shipped model's default: 1)");
    command.add_option("--precision", flags->precision, "fp32, fp16, bf16 or int8");
    command
        .add_option("--threads", flags->threads,
                    "With --hardware: of this thread count (default: the fewest calibrated)")
        ->needs(hardware);
    command
        .add_option("--source", flags->source,
                    "With --hardware: only curves of this source: measured, imported, legacy, "
                    "default")
        ->needs(hardware);
    command.get_option("--registry")->needs(hardware);
    command.add_option(
        "--allocator", flags->allocator,
        "State of malloc to price: pinned, as MALLOC_MMAP_THRESHOLD_ and "
        "MALLOC_TRIM_THRESHOLD_ make it, or default (default: a measurement's own, else "
        "pinned)");
    command.add_option("--explain", flags->explain, "Say how this subgraph was priced");
    return [flags](CommonFlags const& common) { return estimate(*flags, common); };
}

}  // namespace derate::cli
