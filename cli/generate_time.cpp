#include <CLI/App.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/estimate_output.hpp"
#include "cli/generation.hpp"
#include "cli/generation_output.hpp"
#include "cli/json_output.hpp"
#include "cli/plot_file.hpp"
#include "core/input_error.hpp"
#include "reports/gnuplot.hpp"

namespace derate::cli {
namespace {

constexpr std::int64_t most_tokens = 1'000'000;

void check_flags(GenerationFlags const& flags, CommonFlags const& common) {
    if (flags.model.empty()) {
        auto const& missing = flags.prefill.empty() ? "--prefill" : "--decode";
        if (flags.prefill.empty() || flags.decode.empty()) {
            throw InputError{missing, "is not given",
                             "the exports of both, --prefill FILE --decode FILE, or --model NAME "
                             "of a shipped pair"};
        }
    } else if (!flags.prefill.empty() || !flags.decode.empty()) {
        throw InputError{"--model", "names prefill and decode step both",
                         "--model, or --prefill with --decode"};
    }
    auto const check = [](char const* flag, std::int64_t value, std::int64_t least) {
        if (value >= least && value <= most_tokens) return;
        throw InputError{flag, "got " + std::to_string(value),
                         std::to_string(least) + " to " + std::to_string(most_tokens) + " tokens"};
    };
    check("--prompt", flags.prompt, 1);
    check("--new", flags.new_tokens, 2);
    if (flags.cache_length) check("--cache-length", *flags.cache_length, 1);
    if (flags.batch && *flags.batch < 1) {
        throw InputError{"--batch " + std::to_string(*flags.batch), "not a batch size",
                         "1 or more"};
    }
    if (flags.pricing.csv && common.json) {
        throw InputError{"--csv", "--json is there too", "one of them"};
    }
    if (flags.pricing.output) {
        check_plot_file(*flags.pricing.output, flags.pricing.hardware.size());
    }
}

ExitCode generate_time(GenerationFlags const& flags, CommonFlags const& common) {
    check_flags(flags, common);
    Decoder const decoder{flags};
    auto const prefill = decoder.prefill();
    bool is_first = true;
    std::vector<nlohmann::json> results;
    std::vector<PageSection> sections;
    auto pricing = flags.pricing;
    pricing.model = decoder.name();
    for (auto const& target : targets_of(pricing, prefill, common)) {
        warn_of(target.passed_over, common);
        auto const all = generated(decoder, flags, target, prefill);
        for (auto const& warning : all.warnings) {
            if (common.quiet) break;
            std::fprintf(stderr, "derate: warning: %s\n", warning.text.c_str());
        }
        if (flags.pricing.output) {
            sections.push_back({.title = generation_title(all, target),
                                .paragraphs = generation_sentences(all),
                                .plots = {generation_plot(all, target)}});
            sections.back().plots.back().id += std::to_string(sections.size());
        }
        if (common.json) {
            results.push_back(generation_json(all, target));
        } else if (flags.pricing.csv) {
            std::fputs(generation_csv(all, target.hardware_id, is_first).c_str(), stdout);
            is_first = false;
        } else {
            std::printf("%s\n%s", generation_title(all, target).c_str(),
                        generation_text(all).c_str());
            if (flags.pricing.ascii) {
                std::printf("\n%s", draw_text(generation_plot(all, target)).c_str());
            }
            for (auto const& used : all.calibrations) {
                std::printf("%s", judgement_text(used).c_str());
            }
        }
    }
    if (flags.pricing.output) {
        write_plots(*flags.pricing.output, "Generating with " + decoder.name(), sections);
    }
    if (common.json) print_json("output_generate_time_v1.json", with_others(std::move(results)));
    return exit_pass;
}

}  // namespace

Run add_generate_time(CLI::App& command) {
    auto const flags = std::make_shared<GenerationFlags>();
    command.add_option("--model", flags->model,
                       "Name of a shipped pair: llama_small or gpt2_small, for NAME_prefill and "
                       "NAME_decode");
    command.add_option("--prefill", flags->prefill,
                       "What reads the prompt: a torch.export file (.pt2) or a shipped model");
    command.add_option("--decode", flags->decode,
                       "One step of one token a sequence with a cache of keys and values: another");
    command.add_option("--prompt", flags->prompt, "Tokens of the prompt")->required();
    command.add_option("--new", flags->new_tokens, "Tokens to generate, the first by the prefill")
        ->required();
    command.add_option("--batch", flags->batch, "Sequences at once (default 1)");
    command.add_option("--cache-length", flags->cache_length,
                       "Entries that the cache has from the start, all of them read at every "
                       "step (default: as many as it holds)");
    command.add_option("--prompt-dim", flags->prompt_dimension,
                       "Dimension of the prefill that is the prompt's length, by its symbol (s77) "
                       "or by axis of an input (ids[1])");
    command.add_option("--cache-dim", flags->cache_dimension,
                       "Dimension of the decode step that is the cache's length");
    command
        .add_option("--dim", flags->named,
                    "NAME=VALUE (repeatable): another dimension of either export")
        ->type_name("TEXT");
    add_target_flags(command, flags->pricing);
    command.add_flag("--csv", flags->pricing.csv,
                     "A line each for prefill and steps as comma-separated values");
    command.add_flag("--ascii", flags->pricing.ascii,
                     "Draw the time a token over the cache's length in the terminal too");
    command.add_option("--output", flags->pricing.output,
                       "Write a self-contained page FILE.html, or a picture FILE.svg, too");
    return [flags](CommonFlags const& common) { return generate_time(*flags, common); };
}

}  // namespace derate::cli
