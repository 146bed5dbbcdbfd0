#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "cli/commands.hpp"
#include "core/precision.hpp"
#include "storage/registry.hpp"

namespace derate::cli {

/// What a `--precision` names.
/// \throws InputError  it names none
[[nodiscard]] Precision precision_of_flag(std::string const& text);

/// Which one curve file a command is about: the file itself, or the registry's for a hardware,
/// precision and thread count.
struct CurveFileFlags {
    std::filesystem::path calibration;
    std::string hardware;
    std::optional<std::string> precision;
    std::optional<int> threads;
};

/// Adds `--calibration` (also by position where `positional`), `--hardware`, `--precision` and
/// `--threads` to `command`.
void add_curve_file_flags(CLI::App& command, CurveFileFlags& flags, bool positional = false);

/// \throws InputError  neither or both are named, or the registries have no measured or imported
///         curves of what is asked
[[nodiscard]] std::filesystem::path chosen_curve_file(CurveFileFlags const& flags,
                                                      CommonFlags const& common);

/// Names on standard error the registry's files that could not be read, unless --quiet.
void warn_of(PassedOver const& passed_over, CommonFlags const& common);

}  // namespace derate::cli
