#include <CLI/App.hpp>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.hpp"

// Completions, man page and docs/commands.md are written from the very flags that the program
// parses, so that none of them can go stale.

namespace derate::cli {
namespace {

std::vector<CLI::App const*> subcommands_of(CLI::App const& app) {
    return app.get_subcommands([](CLI::App const* sub) { return !sub->get_name().empty(); });
}

std::string flags_of(CLI::App const& sub) {
    std::string flags;
    for (auto const* option : sub.get_options()) {
        if (option->get_lnames().empty()) continue;
        flags += (flags.empty() ? "--" : " --") + option->get_lnames().front();
    }
    return flags;
}

/// --help and --version stand on every subcommand and say nothing of this one.
bool is_worth_listing(CLI::Option const& option) {
    if (option.get_positional()) return true;
    return !option.get_lnames().empty() && option.get_lnames().front() != "help" &&
           option.get_lnames().front() != "version";
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

std::string quoted_for_zsh(std::string text) {
    text = replace_all(std::move(text), "'", "'\\''");
    text = replace_all(std::move(text), ":", "\\:");
    text = replace_all(std::move(text), "[", "\\[");
    return replace_all(std::move(text), "]", "\\]");
}

std::string quoted_for_man(std::string text) {
    text = replace_all(std::move(text), "\\", "\\e");
    text = replace_all(std::move(text), "-", "\\-");
    // A leading dot or apostrophe would be read as a request.
    return text.empty() || (text[0] != '.' && text[0] != '\'') ? text : "\\&" + text;
}

/// "--budget DURATION", "FILE...": how a person types the option.
std::string usage_of(CLI::Option const& option) {
    bool const positional = option.get_lnames().empty();
    std::string usage = positional ? option.get_name(true) : "--" + option.get_lnames().front();
    if (positional || option.get_expected_max() == 0) {
        return positional && option.get_items_expected_max() > 1 ? usage + "..." : usage;
    }
    auto const type = option.get_type_name();
    return usage + " " + (type.empty() ? "VALUE" : type);
}

std::string_view example_lines(CLI::App const& sub, std::string& footer) {
    footer = sub.get_footer();
    std::string_view lines = footer;
    constexpr std::string_view title = "Examples:\n";
    if (lines.substr(0, title.size()) == title) lines.remove_prefix(title.size());
    return lines;
}

template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
    while (!text.empty()) {
        auto const end = text.find('\n');
        auto line = text.substr(0, end);
        while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
        if (!line.empty()) visit(line);
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
}

/// What the value of an option may be, for completion; options not named here take files or
/// numbers.
struct Values {
    std::string_view option;
    std::string_view words;   ///< the values themselves, or empty where `list` has them
    std::string_view listed;  ///< what `derate list` names them: "models" or "hardware"
};
constexpr Values known_values[]{
    {"model", "", "models"},
    {"models", "", "models"},
    {"test-models", "", "models"},
    {"hardware", "", "hardware"},
    {"precision", "fp32 fp16 bf16 int8", ""},
    {"device", "cpu cuda", ""},
    {"source", "measured imported legacy default", ""},
    {"leave-out", "model family batch", ""},
    {"cache-state", "cold_all cold_activations hot", ""},
    {"what", "models hardware", ""},
    {"form", "bash zsh man markdown", ""},
};

Values const* values_of(CLI::Option const& option) {
    auto const name =
        option.get_lnames().empty() ? option.get_name(true) : option.get_lnames().front();
    for (auto const& values : known_values) {
        if (values.option == name) return &values;
    }
    return nullptr;
}

// Names come from the program, so that a completion once installed knows later models too. The
// launcher in a checkout would build first: there the built program is asked, or nobody.
constexpr char names_function[] =
    "_derate_names() {\n"
    "    local program=${1%/*}/build/release/bin/derate\n"
    "    [ -x \"$program\" ] || program=$1\n"
    "    program=$(command -v \"$program\") || return\n"
    "    [ \"$(head -c 2 \"$program\")\" = '#!' ] && return\n"
    "    \"$program\" list \"$2\" 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
    "}\n";

/// The positional argument whose values are known, as "list" has.
std::string positional_words(CLI::App const& sub) {
    for (auto const* option : sub.get_options()) {
        if (!option->get_lnames().empty()) continue;
        if (auto const* values = values_of(*option)) return std::string{values->words};
    }
    return "";
}

std::string bash_completion(CLI::App const& app) {
    std::string names, flags, words;
    for (auto const* sub : subcommands_of(app)) {
        names += (names.empty() ? "" : " ") + sub->get_name();
        flags += "        " + sub->get_name() + ") flags='" + flags_of(*sub) + "' words='" +
                 positional_words(*sub) + "' ;;\n";
    }
    for (auto const& values : known_values) {
        words +=
            "        --" + std::string{values.option} + ") words=" +
            (values.listed.empty() ? "'" + std::string{values.words} + "'"
                                   : "$(_derate_names \"$1\" " + std::string{values.listed} + ")") +
            " ;;\n";
    }
    return "# bash completion for derate; load with: source <(derate reference bash)\n" +
           std::string{names_function} +
           "_derate() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    local flags='' words='' list=''\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W '" +
           names +
           "' -- \"$word\")\n"
           "        return\n"
           "    fi\n"
           "    if [ \"$word\" = = ]; then\n"
           "        word=''\n"
           "    elif [ \"$before\" = = ]; then\n"
           "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    case ${COMP_WORDS[1]} in\n" +
           flags +
           "    esac\n"
           "    case $before in\n" +
           words +
           "        -*) words='' ;;\n"
           "    esac\n"
           "    case $word in\n"
           "        -*) mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\"); return ;;\n"
           "        *,*) list=${word%,*}, ;;\n"
           "    esac\n"
           "    mapfile -t COMPREPLY < <(\n"
           "        compgen -P \"$list\" -W \"$words\" -- \"${word##*,}\" || :\n"
           "        compgen -f -- \"$word\")\n"
           "}\n"
           "complete -o filenames -F _derate derate ./derate\n";
}

/// What zsh offers as an option's value.
std::string zsh_action(CLI::Option const& option) {
    auto const* values = values_of(option);
    if (values == nullptr) return "_files";
    if (values->listed.empty()) return "(" + std::string{values->words} + ")";
    return "_derate_" + std::string{values->listed};
}

std::string zsh_completion(CLI::App const& app) {
    std::string names, cases;
    for (auto const* sub : subcommands_of(app)) {
        names += "        '" + quoted_for_zsh(sub->get_name()) + ":" +
                 quoted_for_zsh(sub->get_description()) + "'\n";
        cases += "        " + sub->get_name() + ")\n            _arguments";
        std::string rest = "_files";
        for (auto const* option : sub->get_options()) {
            if (option->get_lnames().empty()) rest = zsh_action(*option);
            if (option->get_lnames().empty()) continue;
            cases += " \\\n                '*--" + option->get_lnames().front() + "[" +
                     quoted_for_zsh(option->get_description()) + "]" +
                     (option->get_expected_max() == 0 ? "" : ":value:" + zsh_action(*option)) + "'";
        }
        cases += " \\\n                '*:argument:" + rest + "' ;;\n";
    }
    return "#compdef derate\n"
           "# zsh completion for derate; load with: source <(derate reference zsh)\n" +
           std::string{names_function} +
           "_derate_models() {\n"
           "    _values -s , model ${(f)\"$(_derate_names \"$_derate_program\" models)\"}\n"
           "    _files -g '*.(pt2|json)'\n"
           "}\n"
           "_derate_hardware() {\n"
           "    _values -s , hardware ${(f)\"$(_derate_names \"$_derate_program\" hardware)\"}\n"
           "}\n"
           "_derate() {\n"
           "    local _derate_program=$words[1]\n"
           "    local -a commands=(\n" +
           names +
           "    )\n"
           "    if (( CURRENT == 2 )); then\n"
           "        _describe 'command' commands\n"
           "        return\n"
           "    fi\n"
           "    local command=$words[2]\n"
           "    shift words; (( CURRENT-- ))\n"
           "    case $command in\n" +
           cases +
           "    esac\n"
           "}\n"
           "# Autoloaded from site-functions this file is the function; sourced it defines one.\n"
           "if [ \"$funcstack[1]\" = _derate ]; then _derate \"$@\"; else compdef _derate derate; "
           "fi\n";
}

std::string man_page(CLI::App const& app) {
    std::string page =
        ".TH DERATE 1\n.SH NAME\nderate \\- how long a model takes on given hardware, and how sure "
        "that is\n.SH SYNOPSIS\n.B derate\n.I COMMAND\n[options]\n.SH DESCRIPTION\n" +
        quoted_for_man(app.get_description()) + "\n.SH COMMANDS\n";
    for (auto const* sub : subcommands_of(app)) {
        page += ".SS " + quoted_for_man(sub->get_name()) + "\n" +
                quoted_for_man(sub->get_description()) + "\n";
        for (auto const* option : sub->get_options()) {
            if (!is_worth_listing(*option)) continue;
            page += ".TP\n.B " + quoted_for_man(usage_of(*option)) + "\n" +
                    quoted_for_man(option->get_description()) + "\n";
        }
        std::string footer;
        page += ".PP\nExamples:\n.nf\n";
        for_each_line(example_lines(*sub, footer), [&](std::string_view line) {
            page += quoted_for_man(std::string{line}) + "\n";
        });
        page += ".fi\n";
    }
    page +=
        ".SH EXIT STATUS\n0 pass; 1 a gate failed; 2 bad or empty input; 3 inconclusive; "
        "4 the environment refused.\n"
        ".SH ENVIRONMENT\n.TP\n.B DERATE_REGISTRY\nA registry searched after those of "
        "\\-\\-registry.\n.TP\n.B DERATE_MODELS\nThe folder of the shipped models.\n"
        ".TP\n.B DERATE_BENCH\nThe program that times models; by default the derate\\-bench "
        "beside derate.\n"
        ".TP\n.B GITHUB_STEP_SUMMARY\nA page that gets each report of a gate as well.\n";
    return page;
}

std::string markdown_reference(CLI::App const& app) {
    std::string page =
        "# Commands\n\nThis page is what `derate reference markdown` prints; a test keeps it so.\n"
        "\nExit codes: 0 pass, 1 a gate failed, 2 bad or empty input, 3 inconclusive, 4 the "
        "environment refused. Verdicts are those of calibrate, validate, compare and promote; measure "
        "is inconclusive where nothing of a model could be timed.\n";
    for (auto const* sub : subcommands_of(app)) {
        page += "\n## derate " + sub->get_name() + "\n\n" + sub->get_description() +
                "\n\n| flag | meaning |\n|---|---|\n";
        for (auto const* option : sub->get_options()) {
            if (!is_worth_listing(*option)) continue;
            page += "| `" + replace_all(usage_of(*option), "|", "\\|") + "` | " +
                    replace_all(option->get_description(), "|", "\\|") + " |\n";
        }
        std::string footer;
        auto const examples = example_lines(*sub, footer);
        if (examples.empty()) continue;
        page += "\n```\n";
        for_each_line(examples, [&](std::string_view line) { page += std::string{line} + "\n"; });
        page += "```\n";
    }
    return page;
}

}  // namespace

Run add_reference(CLI::App& command) {
    auto const form = std::make_shared<std::string>();
    command.add_option("form", *form, "bash, zsh, man or markdown")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "man", "markdown"}));
    return [form, &program = *command.get_parent()](CommonFlags const&) {
        auto const text = *form == "bash"  ? bash_completion(program)
                          : *form == "zsh" ? zsh_completion(program)
                          : *form == "man" ? man_page(program)
                                           : markdown_reference(program);
        std::fputs(text.c_str(), stdout);
        return exit_pass;
    };
}

}  // namespace derate::cli
