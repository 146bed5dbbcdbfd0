#pragma once
#include <filesystem>

namespace derate {

/// Half of the memory that is free for this process, in bytes, so that a machine in use is not
/// driven out of memory: of the machine, or of the tightest of its control groups. Caches that the
/// kernel can drop count as free.
///
/// \param root  "/" in earnest; a folder with recorded files in tests
[[nodiscard]] double usable_memory_bytes(std::filesystem::path const& root = "/");

}  // namespace derate
