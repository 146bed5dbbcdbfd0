#pragma once
#include <optional>
#include <string>
#include <vector>

#include "workloads/symbolic_program.hpp"

namespace CLI {
class App;
}

namespace derate::cli {

/// The sizes at which a symbolic export is read: --batch, --seq, --dim, --axis.
struct DimensionFlags {
    std::optional<int> batch{};
    std::optional<int> sequence{};
    std::vector<std::string> named{};  ///< "NAME=VALUE"
    /// Those of the names that --batch and --seq gave, as they do where they have several values.
    std::vector<std::string> by_own_flag{};
    std::vector<std::string> axes{};   ///< "NAME=x[0]"

    [[nodiscard]] bool empty() const { return !batch && !sequence && named.empty(); }
};

inline constexpr auto batch_help =
    "Batch size: of a shipped model (default 1), or of the one free first dimension of a symbolic "
    "export";
inline constexpr auto sequence_help =
    "Sequence length: of the one free second dimension of a symbolic export";

/// All four, each with one value.
void add_dimension_flags(CLI::App& command, DimensionFlags& flags);

/// --dim and --axis alone, for a command whose --batch or --seq take several values.
/// \param values  what --dim takes: "NAME=VALUE"
void add_named_dimension_flags(CLI::App& command, DimensionFlags& flags, char const* values);

/// The same flags as a command line holds them: " --batch 8".
[[nodiscard]] std::string flags_text(DimensionFlags const& flags);

/// The flag that gave the dimension of that name: "--dim x[0]", "--batch".
[[nodiscard]] std::string flag_of(DimensionFlags const& flags, std::string const& name);

/// \throws InputError  naming the flag: no such form, or a value below 0
[[nodiscard]] RequestedDimensions requested_dimensions(DimensionFlags const& flags);

}  // namespace derate::cli
