#include <CLI/App.hpp>
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/estimate_breakdown.hpp"
#include "cli/estimate_inputs.hpp"
#include "cli/estimate_output.hpp"
#include "cli/estimate_pricing.hpp"
#include "cli/estimate_sweep.hpp"
#include "cli/json_output.hpp"
#include "cli/sweep.hpp"
#include "core/input_error.hpp"

namespace derate::cli {
namespace {

ExitCode estimate(EstimateFlags const& flags, CommonFlags const& common) {
    if (names_several_sizes(flags)) return estimate_sweep(flags, common);
    for (auto const& [flag, is_given] :
         {std::pair{"--target", flags.target.has_value()}, std::pair{"--csv", flags.csv},
          std::pair{"--ascii", flags.ascii}, std::pair{"--output", flags.output.has_value()}}) {
        if (!is_given) continue;
        throw InputError{flag, "there is one size alone", "several, e.g. --batch 1..64"};
    }
    auto const model = model_to_price(flags);
    auto const unknown = unknown_warning(model.unknown);
    std::vector<nlohmann::json> results;
    for (auto const& target : targets_of(flags, model, common)) {
        auto result = Pricing{target, model.precision}.price(model);
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

/// --batch and --seq as given: a size, or several as --dim takes them.
struct PlainSizes {
    std::optional<std::string> batch;
    std::optional<std::string> sequence;
};

void set_sizes(DimensionFlags& dimensions, PlainSizes const& sizes) {
    auto const set = [&](std::optional<std::string> const& text, std::optional<int>& size,
                         std::string const& name) {
        if (!text) return;
        if (text->find_first_of(".,") != std::string::npos) {
            dimensions.named.push_back(name + "=" + *text);
            dimensions.by_own_flag.push_back(name);
            return;
        }
        auto const* const end = text->data() + text->size();
        int number = 0;
        auto const [stop, fault] = std::from_chars(text->data(), end, number);
        if (fault != std::errc{} || stop != end) {
            throw InputError{"--" + name, "got '" + *text + "'",
                             "a number, or several: 1..64 or 1,8,64"};
        }
        size = number;
    };
    set(sizes.batch, dimensions.batch, "batch");
    set(sizes.sequence, dimensions.sequence, "seq");
}

}  // namespace

Run add_estimate(CLI::App& command) {
    auto const flags = std::make_shared<EstimateFlags>();
    command
        .add_option("--model", flags->model,
                    "Name of a shipped model, a torch.export file (.pt2), or a measurement file")
        ->required();
    add_target_flags(command, *flags);
    auto const sizes = std::make_shared<PlainSizes>();
    command
        .add_option("--batch", sizes->batch,
                    std::string{batch_help} + "; or several: 1..64, 1,8,64")
        ->type_name("TEXT");
    command.add_option("--seq", sizes->sequence, std::string{sequence_help} + "; or several")
        ->type_name("TEXT");
    add_named_dimension_flags(command, flags->dimensions,
                              "NAME=VALUE, NAME=1..64 or NAME=64,128,256");
    command.add_option("--target", flags->target,
                       "With several sizes: the largest that stays below this time, e.g. 10ms");
    command.add_flag("--csv", flags->csv,
                     "With several sizes: a line each as comma-separated values");
    command.add_flag("--ascii", flags->ascii, "With several sizes: draw them in the terminal too");
    command.add_option(
        "--output", flags->output,
        "With several sizes: write a self-contained page FILE.html, or a picture FILE.svg, "
        "too");
    command.add_option("--explain", flags->explain, "Say how this subgraph was priced");
    return [flags, sizes](CommonFlags const& common) {
        auto given = *flags;
        set_sizes(given.dimensions, *sizes);
        return estimate(given, common);
    };
}

}  // namespace derate::cli
