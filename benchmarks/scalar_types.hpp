#pragma once
#include <c10/core/ScalarType.h>

#include "core/precision.hpp"
#include "workloads/exported_program.hpp"

namespace derate::benchmarks {

/// LibTorch's number for an element type (the export's own numbers are others).
[[nodiscard]] c10::ScalarType to_c10(ScalarType type);
/// What a probe of the device computes in: FP32 but for 16-bit formats.
[[nodiscard]] c10::ScalarType to_c10(Precision precision);

}  // namespace derate::benchmarks
