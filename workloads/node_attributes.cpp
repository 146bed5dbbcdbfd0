#include "workloads/node_attributes.hpp"

#include <algorithm>

#include "workloads/matrix_products.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

using Attributes = decltype(SubgraphNode::attributes);

std::vector<double> to_doubles(std::vector<std::int64_t> const& values) {
    return {values.begin(), values.end()};
}

double number(std::int64_t value) { return static_cast<double>(value); }

/// One number where all dimensions agree ("stride": 2), else the list.
AttributeValue collapsed(std::vector<std::int64_t> const& values) {
    bool const agree = !values.empty() && std::all_of(values.begin(), values.end(),
                                                      [&](auto v) { return v == values.front(); });
    if (agree) return number(values.front());
    return to_doubles(values);
}

void describe_convolution(ExportedProgram const& program, ProgramNode const& node,
                          Attributes& attributes) {
    auto const shape = convolution_shape(program, node);
    attributes["in_channels"] = number(shape.in_channels);
    attributes["out_channels"] = number(shape.out_channels);
    attributes["kernel"] = to_doubles(shape.kernel);
    attributes["stride"] = collapsed(shape.stride);
    attributes["dilation"] = collapsed(shape.dilation);
    attributes["groups"] = number(shape.groups);
    attributes["output_spatial"] = to_doubles(shape.output_spatial);
    if (shape.padding_mode.empty()) {
        attributes["padding"] = collapsed(shape.padding);
    } else {
        attributes["padding"] = shape.padding_mode;
    }
    if (shape.transposed) attributes["transposed"] = true;
}

void describe_product(ExportedProgram const& program, ProgramNode const& node,
                      Attributes& attributes) {
    auto const products = product_work(program, node).products;
    if (products.empty()) return;
    auto const most = std::ranges::max_element(products, {}, &MatrixProduct::work);
    attributes["batch"] = most->batch;
    attributes["m"] = most->m;
    attributes["n"] = most->n;
    attributes["k"] = most->k;
    if (products.size() == 1) return;
    double all = 0;
    for (auto const& product : products) all += product.work();
    attributes["product_flops"] = all;
}

void describe_attention(ExportedProgram const& program, ProgramNode const& node,
                        Attributes& attributes) {
    auto const shape = attention_shape(program, node);
    attributes["batch"] = number(shape.batch);
    attributes["heads"] = number(shape.heads);
    attributes["key_heads"] = number(shape.key_heads);
    attributes["query_length"] = number(shape.query_length);
    attributes["key_length"] = number(shape.key_length);
    attributes["head_size"] = number(shape.head_size);
    attributes["mask"] = tensor_argument(program, node, "attn_mask") != nullptr;
    attributes["causal"] = flag_argument(node, "is_causal", false);
}

void describe_norm(ExportedProgram const& program, ProgramNode const& node,
                   TensorValue const& input, Attributes& attributes) {
    auto const normalized = integers_argument(node, "normalized_shape");
    double size = 1;
    if (!normalized.empty()) {
        for (auto const extent : normalized) size *= number(extent);
    } else {
        size = number(input.sizes.size() > 1 ? input.sizes[1] : input.element_count());
    }
    attributes["normalized_size"] = size;
    attributes["training"] =
        flag_argument(node, "training", flag_argument(node, "use_input_stats", false));
    attributes["affine"] = tensor_argument(program, node, "weight") != nullptr;
    auto const groups = number_argument(node, "num_groups", 0);
    if (groups > 0) attributes["groups"] = groups;
}

void describe_softmax(ProgramNode const& node, TensorValue const& input, Attributes& attributes) {
    auto const rank = static_cast<std::int64_t>(input.sizes.size());
    auto dim = static_cast<std::int64_t>(number_argument(node, "dim", -1));
    if (dim < 0) dim += rank;
    if (dim < 0 || dim >= rank) return;
    auto const d = static_cast<std::size_t>(dim);
    attributes["reduced_size"] = number(input.sizes[d]);
    attributes["reduced_dim"] =
        std::string{input.strides[d] == 1 || input.sizes[d] == 1 ? "contiguous" : "strided"};
}

void describe_pool(ExportedProgram const& program, ProgramNode const& node,
                   Attributes& attributes) {
    auto const shape = pool_shape(program, node);
    attributes["kernel"] = to_doubles(shape.kernel);
    attributes["stride"] = collapsed(shape.stride);
    attributes["output_spatial"] = to_doubles(shape.output_spatial);
}

void describe_reduction(ProgramNode const& node, TensorValue const& input,
                        TensorValue const* result, Attributes& attributes) {
    auto const kept = result == nullptr ? 1 : std::max<std::int64_t>(result->element_count(), 1);
    attributes["reduced_size"] = number(input.element_count() / kept);
    auto const dims = integers_argument(node, "dim");
    bool const last = dims.empty() || std::any_of(dims.begin(), dims.end(), [&](std::int64_t dim) {
                          return dim == -1 || dim == std::ssize(input.sizes) - 1;
                      });
    attributes["reduced_dim"] = std::string{last ? "contiguous" : "strided"};
}

/// The one order of all activations of rank 3 and more; smaller tensors (a bias, a scalar) say
/// nothing.
std::string layout_of(std::vector<TensorValue const*> const& inputs) {
    std::optional<MemoryOrder> common;
    for (auto const* input : inputs) {
        bool const is_small = inputs.front() != input && input->sizes.size() < 3;
        if (is_small) continue;
        auto const order = memory_order(*input);
        if (common && *common != order) return "mixed";
        common = order;
    }
    return std::string{to_string(common.value_or(MemoryOrder::contiguous))};
}

/// The tensor that the call works on, where it is not the first one: addmm starts with its bias,
/// embedding with its table.
TensorValue const* main_input(ExportedProgram const& program, ProgramNode const& node,
                              OperatorKind kind) {
    if (kind == OperatorKind::linear) return tensor_argument(program, node, "mat1");
    if (kind == OperatorKind::embedding) return tensor_argument(program, node, "indices");
    return nullptr;
}

}  // namespace

SubgraphNode describe_node(ExportedProgram const& program, ProgramNode const& node) {
    using enum OperatorKind;
    SubgraphNode described{.name = node.name,
                           .op = std::string{operator_name(node)},
                           .input_shape = {},
                           .output_shape = {},
                           .attributes = {}};
    auto& attributes = described.attributes;
    std::vector<TensorValue const*> inputs;
    for (auto const id : tensors_read(node)) inputs.push_back(&value_of(program, id));
    auto const* result = first_result(program, node);
    auto const kind = kind_of(program, node);
    if (auto const* main = main_input(program, node, kind); main != nullptr) {
        std::swap(*std::find(inputs.begin(), inputs.end(), main), inputs.front());
    }
    if (!inputs.empty()) described.input_shape = inputs.front()->sizes;
    if (result != nullptr) described.output_shape = result->sizes;

    if (kind == view) {
        attributes["view"] = true;
        return described;
    }
    if (is_in_place(node)) attributes["in_place"] = true;
    if (result != nullptr) attributes["dtype"] = std::string{to_string(result->dtype)};
    if (inputs.empty()) return described;

    // What a weight looks like in memory is the framework's choice; only data layouts vary.
    bool const has_weights = kind == convolution || kind == linear || kind == norm ||
                             kind == embedding || kind == gather || kind == recurrent;
    auto const& input = *inputs.front();
    attributes["layout"] = has_weights ? layout_of({&input}) : layout_of(inputs);
    switch (kind) {
        case convolution:
            describe_convolution(program, node, attributes);
            break;
        case linear:
        case matmul:
            describe_product(program, node, attributes);
            break;
        case attention:
            describe_attention(program, node, attributes);
            break;
        case norm:
            describe_norm(program, node, input, attributes);
            break;
        case softmax:
            describe_softmax(node, input, attributes);
            break;
        case pool:
            describe_pool(program, node, attributes);
            break;
        case reduction:
            describe_reduction(node, input, result, attributes);
            break;
        case scatter:
        case elementwise: {
            attributes["operands"] = number(std::ssize(inputs));
            if (operation_type_of(program, node) == OperationType::copy) break;
            bool broadcast = false;
            for (auto const* tensor : inputs) {
                broadcast |= result != nullptr && tensor->sizes != result->sizes &&
                             tensor->element_count() > 1;
            }
            attributes["broadcast"] = broadcast;
            break;
        }
        case copy:
            attributes["operands"] = number(std::ssize(inputs));
            break;
        default:
            break;
    }
    return described;
}

}  // namespace derate
