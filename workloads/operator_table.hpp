#pragma once
#include <string>
#include <string_view>

#include "core/operation_type.hpp"
#include "workloads/exported_program.hpp"

namespace derate {

/// What an ATen operator does, as far as partition, work and features depend on it.
enum class OperatorKind {
    convolution,
    linear,
    matmul,
    decomposition,  ///< linear algebra beyond products: cholesky, qr, svd, solve, inv
    attention,
    recurrent,  ///< LSTM, GRU: matrix products over time steps
    norm,
    softmax,
    activation,
    elementwise,
    reduction,  ///< mean, amax, ...: one operation per element read
    pool,
    copy,    ///< moves or makes data without computing
    gather,  ///< copy that reads a part of its first tensor: index, gather, index_select
    embedding,
    scatter,     ///< writes a part of its first tensor: index_copy, index_put, scatter_add
    view,        ///< returns its input under another shape, or nothing
    maybe_view,  ///< view where the strides allow it, else a copy: reshape, contiguous, to
    dropout,     ///< view in eval mode, else elementwise
};

struct OperatorRow {
    std::string_view name;  ///< ATen name without overload and without the '_' of an in-place call
    OperatorKind kind = OperatorKind::elementwise;
    std::string_view pattern;     ///< as fusion_pattern writes it: "Conv2d", "add"
    double work_per_element = 0;  ///< FLOP per element returned; unused by contractions and pools
};

/// \return null for an operator that is not in the table
[[nodiscard]] OperatorRow const* find_operator(ProgramNode const& node);

/// Kind of one call: maybe_view and dropout are settled by its tensors and arguments, and an
/// operator that is not in the table is elementwise.
[[nodiscard]] OperatorKind kind_of(ExportedProgram const& program, ProgramNode const& node);

/// The call writes its result into its first tensor ("relu_").
[[nodiscard]] bool is_in_place(ProgramNode const& node);
/// "relu" of "relu_": the operator's name without the mark of an in-place call.
[[nodiscard]] std::string_view functional_name(ProgramNode const& node);

/// Whose time depends on the values: what is largest moves from place to place.
[[nodiscard]] bool is_max_pool(ProgramNode const& node);

/// The operation type of a subgraph whose first kernel is this call.
[[nodiscard]] OperationType operation_type_of(ExportedProgram const& program,
                                              ProgramNode const& node);

/// The call's part of a fusion_pattern: "Conv2d", "BatchNorm2d", "ReLU6", "add".
[[nodiscard]] std::string pattern_of(ExportedProgram const& program, ProgramNode const& node);

}  // namespace derate
