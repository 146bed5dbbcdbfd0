#pragma once
#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace derate {

/// No file of derate's own comes near it; a file beyond is refused before it fills the memory.
inline constexpr std::size_t default_size_limit = std::size_t{1} << 30;

/// Deeper nesting is a hostile file: derate's own stay below 12 levels, torch.export's below 40.
inline constexpr int json_depth_limit = 200;

/// The whole content of a file.
///
/// \throws InputError  naming `path`: not there, not a regular file, not readable, longer than
///                     `size_limit` bytes
[[nodiscard]] std::string read_text(std::filesystem::path const& path,
                                    std::size_t size_limit = default_size_limit);

/// Strict JSON: UTF-8, no NaN, no infinity, no comment, no trailing text, no key twice in one
/// object, at most `json_depth_limit` levels.
///
/// \param where  starts every message, usually the file's path
/// \throws InputError  "<where>: <problem, with line and column or JSON pointer> (...)"
[[nodiscard]] nlohmann::json parse_json(std::string_view text, std::string_view where);

/// `parse_json` of a file's content, expanded first when its name ends in ".gz".
[[nodiscard]] nlohmann::json read_json(std::filesystem::path const& path);

/// As derate writes JSON files: keys sorted, two blanks a level, arrays of numbers with up to
/// sixteen on a line, numbers with the fewest digits that read back as the same double, a newline
/// at the end.
[[nodiscard]] std::string pretty_json(nlohmann::json const& json);

/// Replaces or creates a file whole: readers see the old content or the new, never a part.
///
/// Writes to a temporary name in the same folder, syncs, renames. Creates missing parent folders.
/// A path that is a device or pipe ("/dev/stdout") is written to directly.
///
/// \throws InputError  naming `path`: folder not writable, disk full, `path` is a folder; the old
///                     content stands and no temporary file is left
void write_atomically(std::filesystem::path const& path, std::string_view bytes);

/// For commands that work for minutes before they write: makes missing parent folders, tries, and
/// takes them away again.
///
/// \throws InputError  as write_atomically would
void require_writable(std::filesystem::path const& path);

/// Where temporary files go: TMPDIR, else the system's place.
///
/// \throws InputError  naming TMPDIR: no folder is there
[[nodiscard]] std::filesystem::path temporary_folder();

/// \return one gzip member without time or name: equal input gives equal bytes
[[nodiscard]] std::string gzip_compress(std::string_view bytes);

/// \throws InputError  `where`: not gzip, truncated, wrong checksum, text after the end, or it
///                     expands beyond `size_limit` bytes
[[nodiscard]] std::string gzip_expand(std::string_view compressed, std::string_view where,
                                      std::size_t size_limit = default_size_limit);

/// SHA-256 (FIPS 180-4) in 64 lower-case hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

/// The same of a file's content, read in blocks: samples files are larger than memory should be.
///
/// \throws InputError  naming `path`: not there, not a regular file, not readable
[[nodiscard]] std::string sha256_of_file(std::filesystem::path const& path);

}  // namespace derate
