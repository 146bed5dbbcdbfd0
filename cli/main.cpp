#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "core/input_error.hpp"

namespace derate::cli {

namespace {

// One entry a subcommand, in the order of `derate --help`.
std::vector<Command> const& commands() {
    static std::vector<Command> const all{
        {.name = "estimate",
         .summary = "Price a model on hardware: latency, interval, where the time goes",
         .examples =
             "  derate estimate --model resnet50 --hardware i7-12700K\n"
             "  derate estimate --model my.pt2 --hardware i7-12700K --source legacy --json\n",
         .takes = Takes::json_and_registry,
         .add = add_estimate},
        {.name = "generate-time",
         .summary = "Price a language model that decodes: time to first token, time a token",
         .examples = "  derate generate-time --model llama_small --prompt 512 --new 128 "
                     "--hardware i7-12700K\n"
                     "  derate generate-time --prefill p.pt2 --decode d.pt2 --prompt 512 --new 128 "
                     "--hardware i7-12700K\n",
         .takes = Takes::json_and_registry,
         .add = add_generate_time},
        {.name = "calibrate",
         .summary = "Measure this machine on a set of models and fit curves that price others",
         .examples = "  derate calibrate --quick\n"
                     "  derate calibrate --models resnet18,vgg16,mobilenet_v2 --test-models "
                     "resnet34 --output staged\n",
         .takes = Takes::json,
         .add = add_calibrate},
        {.name = "inspect",
         .summary = "List a model's subgraphs: pattern, type, shapes, work and memory traffic",
         .examples = "  derate inspect --model resnet50\n  derate inspect --model my.pt2 --json\n",
         .takes = Takes::json,
         .add = add_inspect},
        {.name = "measure",
         .summary = "Time a model and each of its subgraphs on this machine",
         .examples = "  derate measure --model resnet18 --output resnet18.json\n"
                     "  derate measure --model my.pt2 --threads 2 --budget 60s --output my.json\n",
         .takes = Takes::json,
         .add = add_measure},
        {.name = "aggregate",
         .summary = "Turn measurements into efficiency curves with their evidence",
         .examples = "  derate aggregate --input resnet18.json vgg16.json --output staged/\n"
                     "  derate aggregate --input measured.samples.jsonl --output curves.json\n",
         .takes = Takes::json,
         .add = add_aggregate},
        {.name = "validate",
         .summary = "Judge a calibration: accuracy, bias, variance, coverage, what to measure next",
         .examples = "  derate validate --calibration staged/cpu/my-cpu/efficiency_curves.json\n"
                     "  derate validate --calibration curves.json --leave-out family --json\n"
                     "  derate validate --calibration curves.json --measurements resnet34.json\n"
                     "  derate validate --calibration curves.json --test-models "
                     "efficientnet_b0,maxvit_t --device cpu\n",
         .takes = Takes::json_and_registry,
         .add = add_validate},
        {.name = "analyze",
         .summary = "Describe a calibration's residuals: distributions, outliers, consistency",
         .examples = "  derate analyze --hardware i7-12700K\n"
                     "  derate analyze --calibration curves.json --output analysis.md\n",
         .takes = Takes::json_and_registry,
         .add = add_analyze},
        {.name = "visualize",
         .summary =
             "Draw curves, residuals, coverage and whole models as a page or in the terminal",
         .examples = "  derate visualize --hardware i7-12700K --ascii\n"
                     "  derate visualize --calibration curves.json --output curves.html\n"
                     "  derate visualize --calibration curves.json --model resnet50 --ascii\n",
         .takes = Takes::json_and_registry,
         .add = add_visualize},
        {.name = "audit",
         .summary = "Say why to believe a calibration: provenance, gaps, quality, legacy, evidence",
         .examples = "  derate audit --hardware i7-12700K --output audit.md\n"
                     "  derate audit --calibration staged/cpu/my-cpu/efficiency_curves.json\n",
         .takes = Takes::json_and_registry,
         .add = add_audit},
        {.name = "check",
         .summary = "Validate files against schema and rules, all violations at once",
         .examples = "  derate check hardware_registry/cpu/i7-12700K/legacy_curves.json\n"
                     "  derate check hardware_registry --json\n",
         .takes = Takes::json,
         .add = add_check},
        {.name = "compare",
         .summary = "Is anything slower? Two exports, measurements or calibrations",
         .examples = "  derate compare before.json after.json\n"
                     "  derate compare before.json after.json --threshold 3 --json\n",
         .takes = Takes::json,
         .add = add_compare},
        {.name = "promote",
         .summary = "Gate a staged calibration, then copy it into the registry",
         .examples = "  derate promote staged --reason \"new LibTorch\" --dry-run\n"
                     "  derate promote staged --reason \"new LibTorch\"\n",
         .takes = Takes::json_and_registry,
         .add = add_promote},
        {.name = "list",
         .summary = "List the hardware of the registry, or the shipped models",
         .examples = "  derate list hardware\n  derate list models\n",
         .takes = Takes::json_and_registry,
         .add = add_list},
        {.name = "doctor",
         .summary = "Say how far timings of this machine can be trusted, and what would help",
         .examples = "  derate doctor\n",
         .takes = Takes::json,
         .add = add_doctor},
        {.name = "reference",
         .summary = "Print shell completions, the man page or the command reference",
         .examples = "  source <(derate reference bash)\n  derate reference man > derate.1\n",
         .takes = Takes::quiet_only,
         .add = add_reference},
    };
    return all;
}

void refuse_unknown_command(std::string const& given) {
    std::vector<std::string> names;
    for (auto const& command : commands()) names.emplace_back(command.name);
    if (std::ranges::find(names, given) != names.end()) return;
    auto const meant = nearest_name(given, names);
    throw InputError{given, "no such command",
                     meant.empty() ? "derate --help lists them" : "did you mean '" + meant + "'?"};
}

/// Throws for the first argument left over that looks like a flag, with the flag it resembles.
void refuse_unknown_flags(std::string const& where, CLI::App const& app) {
    std::vector<std::string> known;
    for (auto const* option : app.get_options()) {
        for (auto const& name : option->get_lnames()) known.push_back("--" + name);
    }
    for (auto const& extra : app.remaining()) {
        if (!extra.starts_with("--")) continue;
        auto const meant = nearest_name(extra.substr(0, extra.find('=')), known);
        throw InputError{
            extra, "no such flag",
            meant.empty() ? where + " --help lists them" : "did you mean '" + meant + "'?"};
    }
}

/// A result that nobody got is no result: the disk behind standard output may be full.
void require_printed() {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
    throw InputError{"standard output", std::string{"cannot write: "} + std::strerror(errno),
                     "a place with room"};
}

int run_program(int argc, char** argv) {
    CLI::App app{"How long will this model take on that hardware, and how sure are we?", "derate"};
    app.set_version_flag("--version", "derate " DERATE_VERSION);
    app.require_subcommand(1);

    CommonFlags flags;
    std::vector<std::pair<CLI::App*, Run>> runs;
    for (auto const& command : commands()) {
        auto* sub = app.add_subcommand(command.name, command.summary);
        sub->footer(std::string{"Examples:\n"} + command.examples);
        if (command.takes != Takes::quiet_only) {
            sub->add_flag("--json", flags.json, "Print the result as JSON on standard output (docs/schemas/output.md)");
        }
        sub->add_flag("--quiet", flags.quiet, "No progress on standard error");
        if (command.takes == Takes::json_and_registry) {
            sub->add_option("--registry", flags.registries,
                            "Search this registry first (repeatable; then DERATE_REGISTRY, the "
                            "user's data folder, the shipped tree)");
        }
        sub->set_version_flag("--version", "derate " DERATE_VERSION);
        runs.emplace_back(sub, command.add(*sub));
    }

    if (argc > 1 && argv[1][0] != '-') refuse_unknown_command(argv[1]);
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        if (error.get_exit_code() == 0) return app.exit(error) == 0 ? exit_pass : exit_bad_input;
        auto const chosen = app.get_subcommands();
        std::string const where =
            chosen.empty() ? "derate" : "derate " + chosen.front()->get_name();
        refuse_unknown_flags(where, chosen.empty() ? app : *chosen.front());
        std::fprintf(stderr, "%s: %s (see %s --help)\n", where.c_str(), error.what(),
                     where.c_str());
        return exit_bad_input;
    }
    for (auto const& [sub, run] : runs) {
        if (!*sub) continue;
        auto const code = run(flags);
        require_printed();
        return code;
    }
    return exit_bad_input;
}

}  // namespace
}  // namespace derate::cli

int main(int argc, char** argv) {
    // A limit on file sizes is answered like a full disk, with a sentence.
    std::signal(SIGXFSZ, SIG_IGN);
    // Warnings go to standard error at once: whole lines keep their order where both go to one place.
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    try {
        return derate::cli::run_program(argc, argv);
    } catch (derate::InputError const& error) {
        std::fprintf(stderr, "derate: %s\n", error.what());
        return derate::cli::exit_bad_input;
    } catch (derate::EnvironmentRefused const& error) {
        std::fprintf(stderr, "derate: %s\n", error.what());
        return derate::cli::exit_environment_refused;
    } catch (std::filesystem::filesystem_error const& error) {
        derate::InputError const refused{error.path1().string(), error.code().message(),
                                         "a path that the file system allows"};
        std::fprintf(stderr, "derate: %s\n", refused.what());
        return derate::cli::exit_bad_input;
    } catch (std::bad_alloc const&) {
        std::fprintf(stderr, "derate: memory: not enough is free (a machine with more of it)\n");
        return derate::cli::exit_environment_refused;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "derate: internal error: %s\n", error.what());
        return 70;  // EX_SOFTWARE: a fault of this program, not of its input
    }
}
