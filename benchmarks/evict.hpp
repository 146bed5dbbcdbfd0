#pragma once
#include <cstddef>

namespace derate::benchmarks {

/// Writes back and removes every cache line of these bytes from all caches of all cores, and waits
/// until that is done. Where the processor has no such instruction for programs, reads a buffer
/// larger than any last-level cache instead.
void evict_from_caches(void const* begin, std::size_t bytes);

/// Waits for evictions before to end.
void finish_evictions();

}  // namespace derate::benchmarks
