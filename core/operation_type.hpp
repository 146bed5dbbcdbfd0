#pragma once
#include <array>
#include <optional>
#include <string_view>

namespace derate {

/// What kind of kernel a subgraph is; docs/taxonomy.md defines each by operators and attributes.
///
/// The first fifteen are derate's own partition; the rest occur only in measurements imported from
/// other partitions, whose subgraphs span more than one kernel.
enum class OperationType {
    conv2d,
    conv2d_pointwise,
    conv2d_depthwise,
    conv2d_grouped,
    linear,
    matmul,
    attention,
    norm,
    softmax,
    activation,
    elementwise,
    pool,
    copy,
    embedding,
    meta,
    conv2d_se,
    mbconv,
    se_block,
    mlp,
    einsum,
};

/// The level above the types, towards which a type with little data is shrunk.
enum class ParentType { conv, matmul, memory, meta };

inline constexpr std::array all_operation_types{
    OperationType::conv2d,
    OperationType::conv2d_pointwise,
    OperationType::conv2d_depthwise,
    OperationType::conv2d_grouped,
    OperationType::linear,
    OperationType::matmul,
    OperationType::attention,
    OperationType::norm,
    OperationType::softmax,
    OperationType::activation,
    OperationType::elementwise,
    OperationType::pool,
    OperationType::copy,
    OperationType::embedding,
    OperationType::meta,
    OperationType::conv2d_se,
    OperationType::mbconv,
    OperationType::se_block,
    OperationType::mlp,
    OperationType::einsum,
};

[[nodiscard]] ParentType parent_of(OperationType type);
[[nodiscard]] std::string_view to_string(OperationType type);
[[nodiscard]] std::string_view to_string(ParentType type);

/// Empty for a name that is not on the list.
[[nodiscard]] std::optional<OperationType> parse_operation_type(std::string_view name);

}  // namespace derate
