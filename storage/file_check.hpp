#pragma once
#include <filesystem>
#include <vector>

#include "storage/schema_check.hpp"

namespace derate {

/// Larger curve files are refused: a calibration is read by every estimate.
inline constexpr std::size_t curve_file_size_limit = 1 << 20;

/// Every fault of one file: syntax, schema, the rules a schema cannot say, and those of its place
/// in a registry tree (name, folder, hardware.json beside it, evidence present and unchanged).
///
/// Knows calibrations, hardware, measurements and evidence, told apart by "$schema" or "format".
/// Never throws for what the file holds.
[[nodiscard]] std::vector<Violation> check_file(std::filesystem::path const& path);

/// The files below `folder` that `check_file` knows: `*.json` and `*.json.gz`, sorted, without
/// those of a folder `schema/`.
///
/// \throws InputError  `folder` cannot be read
[[nodiscard]] std::vector<std::filesystem::path> checkable_files(
    std::filesystem::path const& folder);

}  // namespace derate
