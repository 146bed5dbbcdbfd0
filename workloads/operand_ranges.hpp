#pragma once
#include <optional>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/known_values.hpp"
#include "workloads/tensor_memory.hpp"
#include "workloads/value_range.hpp"

namespace derate {

/// What an operand of a call may be.
struct OperandRange {
    ValueId operand;
    ValueRange range;
    bool is_term = false;    ///< of a sum or a product: its share of what the result may be
    bool is_folded = false;  ///< any value will do, the call folds it into the result's range
};

/// What the operands of elementwise arithmetic, of a clamp or of a running sum may be for the
/// result to stay in `range`. Where one is a constant, all is said of the other; where both vary,
/// each gets a share.
///
/// \return empty: the call cannot be followed back; no element: it stays there by itself
[[nodiscard]] std::optional<std::vector<OperandRange>> operand_ranges(
    ExportedProgram const& program, TensorMemory const& memory, KnownValues const& known,
    ProgramNode const& node, ValueRange const& range);

/// Any value of an index that a hash folds into its table.
[[nodiscard]] ValueRange any_hashed();

/// Whatever goes in, what comes out is bounded by the operator itself.
[[nodiscard]] bool forgets_operands(ProgramNode const& node);

/// Of `range`, what begins at `start`. Different starts, at some distance from each other, are
/// those of a table's fields: what begins at one of them stays before the next.
[[nodiscard]] ValueRange within_fields(ValueRange const& range, ValueRange const& start,
                                       std::vector<double> starts);

}  // namespace derate
