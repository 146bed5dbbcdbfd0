#pragma once
#include <memory>

#include "benchmarks/timing_device.hpp"
#include "core/precision.hpp"

namespace derate::benchmarks {

/// The first NVIDIA GPU, timed by events on the stream that does the work.
///
/// \throws EnvironmentRefused  no driver, or no GPU
[[nodiscard]] std::unique_ptr<TimingDevice> make_cuda_device(Precision precision);

}  // namespace derate::benchmarks
