#pragma once
#include <optional>
#include <string>

namespace derate::cli {

/// Commit that the program was built from; empty outside derate's own repository. Written by
/// cmake/WriteRevision.cmake at every build.
[[nodiscard]] std::optional<std::string> git_revision();

/// Tracked files differed from that commit.
[[nodiscard]] std::optional<bool> git_dirty();

}  // namespace derate::cli
