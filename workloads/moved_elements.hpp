#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// For each element of the call's result number `result`, row-major, the element (row-major too) of
/// the tensor number `operand` of tensors_read() that it holds, or may hold; -1 where it holds none
/// of that tensor. Known of operators that move elements by shapes and numbers alone: views, joins,
/// pads, flips, rolls, scatters of slices, copies.
///
/// \return empty for all others, and for tensors of more than 2^22 elements
[[nodiscard]] std::optional<std::vector<std::int64_t>> elements_held(ExportedProgram const& program,
                                                                     ProgramNode const& node,
                                                                     std::size_t result,
                                                                     std::size_t operand);

}  // namespace derate
