#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
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
        {.name = "check",
         .summary = "Validate files against schema and rules, all violations at once",
         .examples = "  derate check hardware_registry/cpu/i7-12700K/legacy_curves.json\n"
                     "  derate check hardware_registry --json\n",
         .add = add_check},
        {.name = "estimate",
         .summary = "Price a model on hardware: latency, interval, where the time goes",
         .examples = "  derate estimate --model resnet50 --hardware i7-12700K\n"
                     "  derate estimate --model my.pt2 --hardware i7-12700K --source legacy --json\n",
         .add = add_estimate},
        {.name = "inspect",
         .summary = "List a model's subgraphs: pattern, type, shapes, work and memory traffic",
         .examples = "  derate inspect --model resnet50\n  derate inspect --model my.pt2 --json\n",
         .add = add_inspect},
        {.name = "visualize",
         .summary =
             "Draw curves, residuals, coverage and whole models as a page or in the terminal",
         .examples =
             "  derate visualize --calibration efficiency_curves.json --output curves.html\n"
             "  derate visualize --calibration efficiency_curves.json --model resnet50 --ascii\n",
         .add = add_visualize},
        {.name = "reference",
         .summary = "Print shell completions, the man page or the command reference",
         .examples = "  source <(derate reference bash)\n  derate reference man > derate.1\n",
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

int run_program(int argc, char** argv) {
    CLI::App app{"How long will this model take on that hardware, and how sure are we?", "derate"};
    app.set_version_flag("--version", "derate " DERATE_VERSION);
    app.require_subcommand(1);

    CommonFlags flags;
    std::vector<std::pair<CLI::App*, Run>> runs;
    for (auto const& command : commands()) {
        auto* sub = app.add_subcommand(command.name, command.summary);
        sub->footer(std::string{"Examples:\n"} + command.examples);
        sub->add_flag("--json", flags.json, "Print the result as JSON on standard output");
        sub->add_flag("--quiet", flags.quiet, "No progress on standard error");
        sub->add_option("--registry", flags.registries,
                        "Search this registry first (repeatable; then DERATE_REGISTRY, the user's "
                        "data folder, the shipped tree)");
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
        if (*sub) return run(flags);
    }
    return exit_bad_input;
}

}  // namespace
}  // namespace derate::cli

int main(int argc, char** argv) {
    try {
        return derate::cli::run_program(argc, argv);
    } catch (derate::InputError const& error) {
        std::fprintf(stderr, "derate: %s\n", error.what());
        return derate::cli::exit_bad_input;
    } catch (derate::EnvironmentRefused const& error) {
        std::fprintf(stderr, "derate: %s\n", error.what());
        return derate::cli::exit_environment_refused;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "derate: internal error: %s\n", error.what());
        return 70;  // EX_SOFTWARE: a fault of this program, not of its input
    }
}
