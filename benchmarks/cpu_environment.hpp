#pragma once
#include "measuring/environment.hpp"

namespace derate::benchmarks {

/// Pins both thresholds of glibc's malloc. Must run before the first tensor: a heap that is trimmed
/// and grown again makes the time of a case depend on which cases ran before it.
/// \return  false where malloc refused (another allocator)
bool pin_malloc_thresholds();

/// Lets this thread, and those that it starts, take denormal numbers for 0, as
/// torch.set_flush_denormal(True) does. A masked softmax makes them, and on some processors a matrix
/// product of them takes thirty times as long: the time would depend on the values.
/// \return  false where the processor cannot
bool flush_denormals();

/// The libraries of this process: LibTorch, BLAS, oneDNN, OpenMP, malloc's settings, build.
[[nodiscard]] Environment library_environment();

}  // namespace derate::benchmarks
