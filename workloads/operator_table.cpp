#include "workloads/operator_table.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "workloads/node_shapes.hpp"

namespace derate {
namespace {

using enum OperatorKind;

// docs/taxonomy.md explains the work per element. Pattern names are those of torch.nn where a
// module of that name exists, else of the function.
constexpr auto rows = std::to_array<OperatorRow>({
    {"conv1d", convolution, "Conv1d"},
    {"conv2d", convolution, "Conv2d"},
    {"conv3d", convolution, "Conv3d"},
    {"convolution", convolution, "Conv"},
    {"conv_transpose1d", convolution, "ConvTranspose1d"},
    {"conv_transpose2d", convolution, "ConvTranspose2d"},
    {"conv_transpose3d", convolution, "ConvTranspose3d"},

    {"linear", linear, "Linear"},
    {"addmm", linear, "Linear"},
    {"matmul", matmul, "matmul"},
    {"mv", matmul, "matmul"},
    {"dot", matmul, "matmul"},
    {"mm", matmul, "matmul"},
    {"bmm", matmul, "matmul"},
    {"baddbmm", matmul, "baddbmm"},
    {"einsum", matmul, "einsum"},
    {"scaled_dot_product_attention", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_flash_attention_for_cpu", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_flash_attention", attention, "ScaledDotProductAttention"},
    {"_scaled_dot_product_efficient_attention", attention, "ScaledDotProductAttention"},
    {"lstm", recurrent, "LSTM"},
    {"gru", recurrent, "GRU"},
    {"rnn_tanh", recurrent, "RNN"},
    {"rnn_relu", recurrent, "RNN"},

    {"batch_norm", norm, "BatchNorm", 2},
    {"native_batch_norm", norm, "BatchNorm", 2},
    {"_native_batch_norm_legit", norm, "BatchNorm", 2},
    {"_native_batch_norm_legit_no_training", norm, "BatchNorm", 2},
    {"instance_norm", norm, "InstanceNorm", 8},
    {"layer_norm", norm, "LayerNorm", 8},
    {"native_layer_norm", norm, "LayerNorm", 8},
    {"group_norm", norm, "GroupNorm", 8},
    {"native_group_norm", norm, "GroupNorm", 8},
    {"rms_norm", norm, "RMSNorm", 5},

    {"softmax", softmax, "Softmax", 5},
    {"_softmax", softmax, "Softmax", 5},
    {"_safe_softmax", softmax, "Softmax", 5},
    {"log_softmax", softmax, "LogSoftmax", 5},
    {"_log_softmax", softmax, "LogSoftmax", 5},

    {"relu", activation, "ReLU", 1},
    {"relu6", activation, "ReLU6", 1},
    {"hardtanh", activation, "Hardtanh", 1},
    {"leaky_relu", activation, "LeakyReLU", 1},
    {"prelu", activation, "PReLU", 1},
    {"threshold", activation, "Threshold", 1},
    {"sigmoid", activation, "Sigmoid", 4},
    {"hardsigmoid", activation, "Hardsigmoid", 4},
    {"hardswish", activation, "Hardswish", 4},
    {"elu", activation, "ELU", 4},
    {"selu", activation, "SELU", 4},
    {"celu", activation, "CELU", 4},
    {"softplus", activation, "Softplus", 4},
    {"log_sigmoid", activation, "LogSigmoid", 5},
    {"silu", activation, "SiLU", 5},
    {"glu", activation, "GLU", 5},
    {"tanh", activation, "Tanh", 6},
    {"gelu", activation, "GELU", 8},
    {"mish", activation, "Mish", 8},

    {"add", elementwise, "add", 1},
    {"sub", elementwise, "sub", 1},
    {"rsub", elementwise, "sub", 1},
    {"mul", elementwise, "mul", 1},
    {"div", elementwise, "div", 1},
    {"subtract", elementwise, "sub", 1},
    {"multiply", elementwise, "mul", 1},
    {"divide", elementwise, "div", 1},
    {"true_divide", elementwise, "div", 1},
    {"outer", elementwise, "mul", 1},
    {"negative", elementwise, "neg", 1},
    {"trunc", elementwise, "trunc", 1},
    {"nan_to_num", elementwise, "nan_to_num", 1},
    {"remainder", elementwise, "remainder", 1},
    {"floor_divide", elementwise, "floor_divide", 1},
    {"neg", elementwise, "neg", 1},
    {"abs", elementwise, "abs", 1},
    {"sign", elementwise, "sign", 1},
    {"floor", elementwise, "floor", 1},
    {"ceil", elementwise, "ceil", 1},
    {"round", elementwise, "round", 1},
    {"pow", elementwise, "pow", 1},
    {"square", elementwise, "square", 1},
    {"sqrt", elementwise, "sqrt", 1},
    {"rsqrt", elementwise, "rsqrt", 1},
    {"reciprocal", elementwise, "reciprocal", 1},
    {"exp", elementwise, "exp", 1},
    {"log", elementwise, "log", 1},
    {"log1p", elementwise, "log1p", 1},
    {"log2", elementwise, "log2", 1},
    {"exp2", elementwise, "exp2", 1},
    {"sin", elementwise, "sin", 1},
    {"cos", elementwise, "cos", 1},
    {"erf", elementwise, "erf", 1},
    {"maximum", elementwise, "maximum", 1},
    {"minimum", elementwise, "minimum", 1},
    {"clamp", elementwise, "clamp", 1},
    {"clamp_min", elementwise, "clamp", 1},
    {"clamp_max", elementwise, "clamp", 1},
    {"clip", elementwise, "clamp", 1},
    {"lerp", elementwise, "lerp", 2},
    {"addcmul", elementwise, "addcmul", 2},
    {"addcdiv", elementwise, "addcdiv", 2},
    {"where", elementwise, "where", 1},
    {"masked_fill", elementwise, "masked_fill", 1},
    {"eq", elementwise, "eq", 1},
    {"ne", elementwise, "ne", 1},
    {"lt", elementwise, "lt", 1},
    {"le", elementwise, "le", 1},
    {"gt", elementwise, "gt", 1},
    {"ge", elementwise, "ge", 1},
    {"isnan", elementwise, "isnan", 1},
    {"isfinite", elementwise, "isfinite", 1},
    {"isinf", elementwise, "isinf", 1},
    {"logical_and", elementwise, "logical_and", 1},
    {"logical_or", elementwise, "logical_or", 1},
    {"logical_not", elementwise, "logical_not", 1},
    {"bitwise_and", elementwise, "bitwise_and", 1},
    {"bitwise_or", elementwise, "bitwise_or", 1},
    {"logical_xor", elementwise, "logical_xor", 1},
    {"bitwise_xor", elementwise, "bitwise_xor", 1},
    {"bitwise_not", elementwise, "bitwise_not", 1},
    {"__and__", elementwise, "bitwise_and", 1},
    {"__or__", elementwise, "bitwise_or", 1},
    {"cumsum", elementwise, "cumsum", 1},
    {"cumprod", elementwise, "cumprod", 1},
    {"index_add", elementwise, "index_add", 1},
    {"scatter_add", elementwise, "scatter_add", 1},
    {"upsample_linear1d", elementwise, "upsample_linear1d", 4},
    {"upsample_trilinear3d", elementwise, "upsample_trilinear3d", 16},
    {"_upsample_bilinear2d_aa", elementwise, "upsample_bilinear2d", 8},
    {"upsample_bilinear2d", elementwise, "upsample_bilinear2d", 8},
    {"upsample_bicubic2d", elementwise, "upsample_bicubic2d", 32},
    {"grid_sampler", elementwise, "grid_sampler", 8},

    {"mean", reduction, "mean"},
    {"sum", reduction, "sum"},
    {"prod", reduction, "prod"},
    {"amax", reduction, "amax"},
    {"amin", reduction, "amin"},
    {"max", reduction, "max"},
    {"min", reduction, "min"},
    {"argmax", reduction, "argmax"},
    {"argmin", reduction, "argmin"},
    {"any", reduction, "any"},
    {"all", reduction, "all"},
    {"var", reduction, "var"},
    {"std_mean", reduction, "std_mean"},
    {"std", reduction, "std"},
    {"var_mean", reduction, "var_mean"},
    {"logsumexp", reduction, "logsumexp"},
    {"linalg_vector_norm", reduction, "vector_norm"},
    {"norm", reduction, "vector_norm"},
    {"topk", reduction, "topk"},
    {"sort", reduction, "sort"},

    {"max_pool1d", pool, "MaxPool1d"},
    {"max_pool2d", pool, "MaxPool2d"},
    {"max_pool3d", pool, "MaxPool3d"},
    {"max_pool2d_with_indices", pool, "MaxPool2d"},
    {"avg_pool1d", pool, "AvgPool1d"},
    {"avg_pool2d", pool, "AvgPool2d"},
    {"avg_pool3d", pool, "AvgPool3d"},
    {"adaptive_avg_pool1d", pool, "AdaptiveAvgPool1d"},
    {"adaptive_avg_pool2d", pool, "AdaptiveAvgPool2d"},
    {"adaptive_avg_pool3d", pool, "AdaptiveAvgPool3d"},
    {"_adaptive_avg_pool2d", pool, "AdaptiveAvgPool2d"},
    {"adaptive_max_pool1d", pool, "AdaptiveMaxPool1d"},
    {"adaptive_max_pool2d", pool, "AdaptiveMaxPool2d"},

    {"cat", copy, "cat"},
    {"concat", copy, "cat"},
    {"hstack", copy, "cat"},
    {"vstack", copy, "cat"},
    {"stack", copy, "stack"},
    {"clone", copy, "clone"},
    {"copy", copy, "copy"},
    {"lift_fresh_copy", copy, "clone"},
    {"roll", copy, "roll"},
    {"flip", copy, "flip"},
    {"pad", copy, "pad"},
    {"constant_pad_nd", copy, "pad"},
    {"reflection_pad1d", copy, "pad"},
    {"reflection_pad2d", copy, "pad"},
    {"replication_pad2d", copy, "pad"},
    {"repeat", copy, "repeat"},
    {"repeat_interleave", copy, "repeat_interleave"},
    {"tile", copy, "repeat"},
    {"tril", copy, "tril"},
    {"triu", copy, "triu"},
    {"fill", copy, "fill"},
    {"zero", copy, "fill"},
    {"zeros", copy, "fill"},
    {"ones", copy, "fill"},
    {"full", copy, "fill"},
    {"empty", copy, "fill"},
    {"zeros_like", copy, "fill"},
    {"ones_like", copy, "fill"},
    {"full_like", copy, "fill"},
    {"empty_like", copy, "fill"},
    {"new_zeros", copy, "fill"},
    {"new_ones", copy, "fill"},
    {"new_full", copy, "fill"},
    {"new_empty", copy, "fill"},
    {"scalar_tensor", copy, "fill"},
    {"eye", copy, "fill"},
    {"arange", copy, "arange"},
    {"linspace", copy, "linspace"},
    {"meshgrid", view, "meshgrid"},
    {"scatter", copy, "scatter"},
    {"slice_scatter", copy, "scatter"},
    {"select_scatter", copy, "scatter"},
    {"index_put", copy, "index_put"},
    {"one_hot", copy, "one_hot"},
    {"im2col", copy, "Unfold"},
    {"col2im", copy, "Fold"},
    {"pixel_shuffle", copy, "PixelShuffle"},
    {"pixel_unshuffle", copy, "PixelUnshuffle"},
    {"channel_shuffle", copy, "ChannelShuffle"},
    {"upsample_nearest1d", copy, "upsample_nearest"},
    {"upsample_nearest2d", copy, "upsample_nearest"},
    {"upsample_nearest3d", copy, "upsample_nearest"},
    {"index", gather, "index"},
    {"index_select", gather, "index_select"},
    {"gather", gather, "gather"},
    {"take_along_dim", gather, "gather"},
    {"embedding", embedding, "Embedding"},
    {"embedding_bag", embedding, "EmbeddingBag"},

    {"view", view, "view"},
    {"_unsafe_view", view, "view"},
    {"view_as", view, "view"},
    {"unflatten", view, "unflatten"},
    {"transpose", view, "transpose"},
    {"swapaxes", view, "transpose"},
    {"swapdims", view, "transpose"},
    {"t", view, "transpose"},
    {"mT", view, "transpose"},
    {"numpy_T", view, "transpose"},
    {"permute", view, "permute"},
    {"movedim", view, "permute"},
    {"expand", view, "expand"},
    {"expand_as", view, "expand"},
    {"broadcast_to", view, "expand"},
    {"squeeze", view, "squeeze"},
    {"unsqueeze", view, "unsqueeze"},
    {"select", view, "select"},
    {"slice", view, "slice"},
    {"narrow", view, "slice"},
    {"split", view, "split"},
    {"split_with_sizes", view, "split"},
    {"tensor_split", view, "split"},
    {"unsafe_split", view, "split"},
    {"chunk", view, "chunk"},
    {"unsafe_chunk", view, "chunk"},
    {"unbind", view, "unbind"},
    {"unfold", view, "unfold"},
    {"diagonal", view, "diagonal"},
    {"as_strided", view, "as_strided"},
    {"alias", view, "alias"},
    {"detach", view, "detach"},
    {"requires_grad", view, "alias"},
    {"lift_fresh", view, "alias"},
    {"_assert_tensor_metadata", view, "assert"},
    {"_assert_async", view, "assert"},
    {"_assert_scalar", view, "assert"},
    {"reshape", maybe_view, "reshape"},
    {"reshape_as", maybe_view, "reshape"},
    {"flatten", maybe_view, "flatten"},
    {"ravel", maybe_view, "flatten"},
    {"contiguous", maybe_view, "contiguous"},
    {"to", maybe_view, "to"},
    {"_to_copy", maybe_view, "to"},
    {"type_as", maybe_view, "to"},
    {"dropout", dropout, "Dropout", 2},
    {"feature_dropout", dropout, "Dropout", 2},
    {"alpha_dropout", dropout, "Dropout", 2},
});

bool runs_as_view(ExportedProgram const& program, ProgramNode const& node) {
    auto const read = tensors_read(node);
    auto const made = tensors_returned(node);
    if (read.empty() || made.empty()) return false;
    auto const& from = value_of(program, read.front());
    auto const& to = value_of(program, made.front());
    if (from.dtype != to.dtype) return false;
    auto const name = operator_name(node);
    if (name == "_to_copy") return false;
    if (name == "reshape" || name == "reshape_as" || name == "flatten" || name == "ravel") {
        return can_view(from, to.sizes);
    }
    return same_element_order(from, to);  // contiguous, to
}

}  // namespace

OperatorRow const* find_operator(ProgramNode const& node) {
    static auto const index = [] {
        std::unordered_map<std::string_view, OperatorRow const*> by_name;
        for (auto const& row : rows) by_name.emplace(row.name, &row);
        return by_name;
    }();
    if (operator_namespace(node) != "aten") return nullptr;
    auto name = operator_name(node);
    auto found = index.find(name);
    if (found == index.end() && is_in_place(node)) {
        name.remove_suffix(1);
        found = index.find(name);
    }
    return found == index.end() ? nullptr : found->second;
}

OperatorKind kind_of(ExportedProgram const& program, ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row == nullptr) return OperatorKind::elementwise;
    switch (row->kind) {
        case maybe_view:
            return runs_as_view(program, node) ? view : copy;
        case dropout:
            return flag_argument(node, "train", false) ? elementwise : view;
        default:
            return row->kind;
    }
}

bool is_in_place(ProgramNode const& node) {
    auto const name = operator_name(node);
    return name.size() > 1 && name.ends_with('_') && !name.ends_with("__");
}

OperationType operation_type_of(ExportedProgram const& program, ProgramNode const& node) {
    switch (kind_of(program, node)) {
        case convolution: {
            auto const shape = convolution_shape(program, node);
            if (shape.groups > 1 && shape.groups == shape.in_channels) {
                return OperationType::conv2d_depthwise;
            }
            if (shape.groups > 1) return OperationType::conv2d_grouped;
            bool const is_pointwise = std::all_of(shape.kernel.begin(), shape.kernel.end(),
                                                  [](auto extent) { return extent == 1; });
            return is_pointwise ? OperationType::conv2d_pointwise : OperationType::conv2d;
        }
        case linear:
        case recurrent:
            return OperationType::linear;
        case matmul:
            return OperationType::matmul;
        case attention:
            return OperationType::attention;
        case norm:
            return OperationType::norm;
        case softmax:
            return OperationType::softmax;
        case activation:
            return OperationType::activation;
        case reduction:
        case pool:
            return OperationType::pool;
        case copy:
        case gather:
            return OperationType::copy;
        case embedding:
            return OperationType::embedding;
        case view:
        case maybe_view:
            return OperationType::meta;
        case elementwise:
        case dropout:
            return OperationType::elementwise;
    }
    return OperationType::elementwise;
}

std::string pattern_of(ExportedProgram const& program, ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row == nullptr) return std::string{operator_name(node)};
    std::string name{row->pattern};
    auto const read = tensors_read(node);
    if (name == "Conv") {
        auto const shape = convolution_shape(program, node);
        name += (shape.transposed ? "Transpose" : "") + std::to_string(shape.kernel.size()) + "d";
    }
    if ((name == "BatchNorm" || name == "InstanceNorm") && !read.empty()) {
        auto const rank = value_of(program, read.front()).sizes.size();
        name += std::to_string(rank < 4 ? 1 : rank - 2) + "d";
    }
    if (name == "Hardtanh" && number_argument(node, "min_val", -1) == 0 &&
        number_argument(node, "max_val", 1) == 6) {
        name = "ReLU6";
    }
    return name;
}

}  // namespace derate
