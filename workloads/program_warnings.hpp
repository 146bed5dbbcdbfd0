#pragma once
#include <vector>

#include "core/warning.hpp"
#include "workloads/exported_program.hpp"

namespace derate {

/// What the reader of a price should know of the program that is priced, a sentence each: it was
/// exported in training mode, an input is read by nothing, values of a table are unknown.
[[nodiscard]] std::vector<Warning> warnings_of(ExportedProgram const& program);

}  // namespace derate
