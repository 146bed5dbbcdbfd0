#pragma once
#include "core/environment.hpp"

namespace derate::benchmarks {

/// Pins both thresholds of glibc's malloc. Must run before the first tensor: a heap that is trimmed
/// and grown again makes the time of a case depend on which cases ran before it.
/// \return  false where malloc refused (another allocator)
bool pin_malloc_thresholds();

/// The libraries of this process: LibTorch, BLAS, oneDNN, OpenMP, malloc's settings, build.
[[nodiscard]] Environment library_environment();

}  // namespace derate::benchmarks
