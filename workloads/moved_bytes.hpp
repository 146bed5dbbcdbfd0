#pragma once
#include <optional>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// What a call must touch of the tensors it is given.
struct MovedBytes {
    std::vector<double> read;  ///< of each tensor of tensors_read(), in that order
    double written = 0;        ///< into `written_argument`; 0 where there is none
};

/// The tensor among its arguments that a call writes into: of one in place the first. An operator
/// outside the table that returns no tensor can do nothing but write; its schema, which would say
/// where, is in no export: into its first tensor of floating-point type, as such operators are
/// mostly declared.
[[nodiscard]] std::optional<ValueId> written_argument(ExportedProgram const& program,
                                                      ProgramNode const& node);

/// A call that looks rows up reads at most one row an index, and never more than the table. One
/// that changes a part of a tensor in place writes that part alone, and reads it only where it adds
/// to what was there. Out of place it copies the whole tensor first. A tensor that lends its shape
/// or type alone is not read. An expanded dimension counts once.
[[nodiscard]] MovedBytes moved_bytes(ExportedProgram const& program, ProgramNode const& node);

/// Elements of its first tensor that a call of the kind `scatter` writes (of a mask whose values
/// nobody knows: as many as it could).
[[nodiscard]] double scattered_elements(ExportedProgram const& program, ProgramNode const& node);

/// A call that returns memory as it finds it: empty, empty_like, new_empty.
[[nodiscard]] bool leaves_unwritten(ProgramNode const& node);

/// A call of the kind `scatter` combines what it writes with what was there: index_add, a scatter
/// with a reduction.
[[nodiscard]] bool is_accumulating(ProgramNode const& node);

}  // namespace derate
