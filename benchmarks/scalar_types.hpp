#pragma once
#include <c10/core/ScalarType.h>

#include "workloads/exported_program.hpp"

namespace derate::benchmarks {

/// LibTorch's number for an element type (the export's own numbers are others).
[[nodiscard]] c10::ScalarType to_c10(ScalarType type);

}  // namespace derate::benchmarks
