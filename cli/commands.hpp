#pragma once
#include <filesystem>
#include <functional>
#include <vector>

namespace CLI {
class App;  // <CLI/App.hpp>; <CLI/CLI.hpp> in cli/main.cpp alone, which makes the code of its formatters
}

namespace derate::cli {

/// What the program says when it ends; docs/commands.md lists them.
enum ExitCode : int {
    exit_pass = 0,
    exit_gate_failed = 1,
    exit_bad_input = 2,
    exit_inconclusive = 3,
    exit_environment_refused = 4,
};

/// Flags that have one meaning in every subcommand that takes them.
struct CommonFlags {
    bool json = false;   ///< the result as JSON on standard output instead of text
    bool quiet = false;  ///< no progress, no notices on standard error
    std::vector<std::filesystem::path> registries;  ///< searched first, in this order
};

/// Which common flags a subcommand reads beside --quiet, which all of them keep: a flag that would do
/// nothing is not offered.
enum class Takes { quiet_only, json, json_and_registry };

/// What a subcommand runs when it was asked for.
using Run = std::function<ExitCode(CommonFlags const&)>;

/// A subcommand adds itself to the program: flags on `app`, the work in the returned function,
/// which throws InputError (exit 2) or EnvironmentRefused (exit 4). One file a subcommand:
/// cli/<name>.cpp defines `Run add_<name>(CLI::App& command)`, cli/main.cpp lists them all.
struct Command {
    char const* name;
    char const* summary;   ///< one line for `derate --help`
    char const* examples;  ///< lines of shell, shown below `derate <name> --help`
    Takes takes;
    Run (*add)(CLI::App& command);
};

[[nodiscard]] Run add_aggregate(CLI::App& command);
[[nodiscard]] Run add_analyze(CLI::App& command);
[[nodiscard]] Run add_audit(CLI::App& command);
[[nodiscard]] Run add_calibrate(CLI::App& command);
[[nodiscard]] Run add_check(CLI::App& command);
[[nodiscard]] Run add_compare(CLI::App& command);
[[nodiscard]] Run add_doctor(CLI::App& command);
[[nodiscard]] Run add_estimate(CLI::App& command);
[[nodiscard]] Run add_generate_time(CLI::App& command);
[[nodiscard]] Run add_inspect(CLI::App& command);
[[nodiscard]] Run add_list(CLI::App& command);
[[nodiscard]] Run add_measure(CLI::App& command);
[[nodiscard]] Run add_promote(CLI::App& command);
[[nodiscard]] Run add_reference(CLI::App& command);
[[nodiscard]] Run add_validate(CLI::App& command);
[[nodiscard]] Run add_visualize(CLI::App& command);

/// `derate list hardware` (cli/list_hardware.cpp).
ExitCode print_hardware(CommonFlags const& common);

}  // namespace derate::cli
