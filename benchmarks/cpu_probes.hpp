#pragma once
#include <vector>

#include "core/precision.hpp"
#include "measuring/launch.hpp"

namespace derate::benchmarks {

/// Peak rates of this processor with the threads that LibTorch is set to: multiply-add loops of
/// each vector width, the best of a large convolution and a large matrix product, and memory
/// bandwidth (copy, triad) on arrays far beyond the last-level cache.
///
/// Bytes count as a stream reads and writes them: copy 2, triad 3 an element.
[[nodiscard]] std::vector<PeakResult> cpu_peaks(Precision precision);

/// A fixed computation in registers; ms.
[[nodiscard]] double compute_drift_ms();

/// A fixed pass over memory beyond the caches; ms.
[[nodiscard]] double bandwidth_drift_ms();

}  // namespace derate::benchmarks
