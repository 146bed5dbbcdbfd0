#include "cli/dimension_flags.hpp"

#include <CLI/App.hpp>
#include <algorithm>
#include <charconv>

#include "core/input_error.hpp"
#include "core/shell_word.hpp"

namespace derate::cli {
namespace {

/// "a=b" as (a, b).
std::pair<std::string, std::string> halves(std::string const& text, std::string_view flag,
                                           std::string_view form) {
    auto const sign = text.rfind('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == text.size()) {
        throw InputError{flag, "got '" + text + "'", form};
    }
    return {text.substr(0, sign), text.substr(sign + 1)};
}

}  // namespace

void add_dimension_flags(CLI::App& command, DimensionFlags& flags) {
    command.add_option("--batch", flags.batch, batch_help);
    command.add_option("--seq", flags.sequence, sequence_help);
    add_named_dimension_flags(command, flags, "NAME=VALUE");
}

void add_named_dimension_flags(CLI::App& command, DimensionFlags& flags, char const* values) {
    command
        .add_option("--dim", flags.named,
                    std::string{values} +
                        " (repeatable): a dimension of a symbolic export, by its symbol (s77), by "
                        "axis of an input (x[0]), or by a name that --axis explains")
        ->type_name("TEXT");
    command.add_option(
        "--axis", flags.axes,
        "NAME=x[0] (repeatable): a name of your own for that axis of that input, or, given "
        "twice, for several axes");
}

std::string flags_text(DimensionFlags const& flags) {
    std::string text;
    if (flags.batch) text += " --batch " + std::to_string(*flags.batch);
    if (flags.sequence) text += " --seq " + std::to_string(*flags.sequence);
    for (auto const& named : flags.named) text += " --dim " + shell_word(named);
    for (auto const& axis : flags.axes) text += " --axis " + shell_word(axis);
    return text;
}

std::string flag_of(DimensionFlags const& flags, std::string const& name) {
    return (std::ranges::count(flags.by_own_flag, name) > 0 ? "--" : "--dim ") + name;
}

RequestedDimensions requested_dimensions(DimensionFlags const& flags) {
    RequestedDimensions requested;
    if (flags.batch) {
        if (*flags.batch < 1) {
            throw InputError{"--batch " + std::to_string(*flags.batch), "not a batch size",
                             "1 or more"};
        }
        requested.batch = flags.batch;
    }
    if (flags.sequence) {
        if (*flags.sequence < 0) {
            throw InputError{"--seq " + std::to_string(*flags.sequence), "not a length",
                             "0 or more"};
        }
        requested.sequence = flags.sequence;
    }
    for (auto const& text : flags.named) {
        auto const [name, value] = halves(text, "--dim", "NAME=VALUE, e.g. batch=8");
        std::int64_t number = 0;
        auto const* const end = value.data() + value.size();
        auto const [stop, fault] = std::from_chars(value.data(), end, number);
        if (fault != std::errc{} || stop != end || number < 0) {
            throw InputError{"--dim " + name, "got '" + value + "'", "a whole number from 0"};
        }
        requested.named.emplace_back(name, number);
    }
    for (auto const& text : flags.axes) {
        auto const [name, axis] = halves(text, "--axis", "NAME=x[0], an axis of an input");
        requested.axes.emplace(name, axis);
    }
    return requested;
}

}  // namespace derate::cli
