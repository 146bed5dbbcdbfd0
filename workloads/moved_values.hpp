#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/value_range.hpp"

namespace derate {

/// The results hold values of the inputs and no others: views, copies, joins, selections.
[[nodiscard]] bool moves_values(ProgramNode const& node);

/// The tensors whose values such a call's result holds: not its own ids and masks.
[[nodiscard]] std::vector<ValueId> moved_tensors(ExportedProgram const& program,
                                                 ProgramNode const& node);

/// What operand `k` may hold where result `j` of a call that moves values must stay in `range`.
[[nodiscard]] ValueRange moved_back(ExportedProgram const& program, ProgramNode const& node,
                                    std::size_t j, std::size_t k, ValueRange const& range);

/// Range of result `j` of a call that moves values, where `range_of` knows those of its operands.
[[nodiscard]] std::optional<ValueRange> moved_on(
    ExportedProgram const& program, ProgramNode const& node, std::size_t j,
    std::function<std::optional<ValueRange>(ValueId)> const& range_of);

}  // namespace derate
