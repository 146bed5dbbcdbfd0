#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "core/input_error.hpp"

namespace derate::cli {

// One line a subcommand, in the order of `derate --help`.
namespace {

std::vector<Command> const& commands() {
    static std::vector<Command> const all{};
    return all;
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

    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return app.exit(error) == 0 ? exit_pass : exit_bad_input;
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
