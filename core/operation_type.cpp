#include "core/operation_type.hpp"

namespace derate {

ParentType parent_of(OperationType type) {
    switch (type) {
        case OperationType::conv2d:
        case OperationType::conv2d_pointwise:
        case OperationType::conv2d_depthwise:
        case OperationType::conv2d_grouped:
        case OperationType::conv2d_se:
        case OperationType::mbconv:
        case OperationType::se_block:
            return ParentType::conv;
        case OperationType::linear:
        case OperationType::matmul:
        case OperationType::attention:
        case OperationType::mlp:
        case OperationType::einsum:
            return ParentType::matmul;
        case OperationType::norm:
        case OperationType::softmax:
        case OperationType::activation:
        case OperationType::elementwise:
        case OperationType::pool:
        case OperationType::copy:
        case OperationType::embedding:
            return ParentType::memory;
        case OperationType::meta:
            return ParentType::meta;
    }
    return ParentType::meta;
}

std::string_view to_string(OperationType type) {
    switch (type) {
        case OperationType::conv2d: return "conv2d";
        case OperationType::conv2d_pointwise: return "conv2d_pointwise";
        case OperationType::conv2d_depthwise: return "conv2d_depthwise";
        case OperationType::conv2d_grouped: return "conv2d_grouped";
        case OperationType::linear: return "linear";
        case OperationType::matmul: return "matmul";
        case OperationType::attention: return "attention";
        case OperationType::norm: return "norm";
        case OperationType::softmax: return "softmax";
        case OperationType::activation: return "activation";
        case OperationType::elementwise: return "elementwise";
        case OperationType::pool: return "pool";
        case OperationType::copy: return "copy";
        case OperationType::embedding: return "embedding";
        case OperationType::meta: return "meta";
        case OperationType::conv2d_se: return "conv2d_se";
        case OperationType::mbconv: return "mbconv";
        case OperationType::se_block: return "se_block";
        case OperationType::mlp: return "mlp";
        case OperationType::einsum: return "einsum";
    }
    return {};
}

std::string_view to_string(ParentType type) {
    switch (type) {
        case ParentType::conv: return "conv";
        case ParentType::matmul: return "matmul";
        case ParentType::memory: return "memory";
        case ParentType::meta: return "meta";
    }
    return {};
}

std::optional<OperationType> parse_operation_type(std::string_view name) {
    for (auto const type : all_operation_types) {
        if (to_string(type) == name) return type;
    }
    return std::nullopt;
}

}  // namespace derate
