#include <algorithm>
#include <set>

#include "workloads/linear_algebra.hpp"
#include "workloads/matrix_products.hpp"
#include "workloads/moved_bytes.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

double product(std::vector<std::int64_t> const& sizes) {
    double result = 1;
    for (auto const size : sizes) result *= static_cast<double>(size);
    return result;
}

double elements_returned(ExportedProgram const& program, ProgramNode const& node) {
    auto const* result = first_result(program, node);
    return result == nullptr ? 0 : static_cast<double>(result->element_count());
}

double elements_read(ExportedProgram const& program, ProgramNode const& node) {
    auto const read = tensors_read(node);
    return read.empty() ? 0 : static_cast<double>(value_of(program, read.front()).element_count());
}

/// Each weight matrix multiplies one vector a time step and sequence; a cell takes one step.
double recurrent_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const* input = tensor_argument(program, node, "input");
    if (input == nullptr) input = tensor_argument(program, node, "data");  // packed sequences
    if (input == nullptr || input->sizes.empty()) return 0;
    double matrix_elements = 0;
    auto const add = [&](ValueId id) {
        auto const& parameter = value_of(program, id);
        if (parameter.sizes.size() != 2) return;
        matrix_elements += static_cast<double>(parameter.element_count());
    };
    for (auto const& [name, value] : node.arguments) {
        if (auto const* list = std::get_if<TensorListArgument>(&value);
            list != nullptr && name == "params") {
            for (auto const id : list->values) add(id);
        } else if (auto const* tensor = std::get_if<TensorArgument>(&value);
                   tensor != nullptr && name.starts_with("w")) {
            add(tensor->value);
        }
    }
    return 2 * matrix_elements * product({input->sizes.begin(), input->sizes.end() - 1});
}

double attention_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const shape = attention_shape(program, node);
    auto const number = [](std::int64_t value) { return static_cast<double>(value); };
    auto const queries_and_keys = number(shape.batch) * number(shape.heads) *
                                  number(shape.query_length) * number(shape.head_size);
    auto values =
        number(shape.batch) * number(shape.heads) * number(shape.query_length) * number(shape.value_size);
    // A mask of a larger batch than queries and keys have makes more weights than products of these.
    if (tensor_argument(program, node, "attn_mask") != nullptr) {
        values = std::max(values, elements_returned(program, node));
    }
    auto const products = 2 * number(shape.key_length) * (queries_and_keys + values);
    // A whole layer projects its input, the result, and perhaps feeds it forward.
    double projections = 0;
    auto const queries = number(shape.batch) * number(shape.query_length);
    auto const keys = number(shape.batch) * number(shape.key_length);
    if (auto const* weight = tensor_argument(program, node, "qkv_weight")) {
        projections += 2 * (queries + 2 * keys) * product(weight->sizes) / 3;
    }
    for (auto const* name : {"proj_weight", "ffn_weight_1", "ffn_weight_2"}) {
        if (auto const* weight = tensor_argument(program, node, name)) {
            projections += 2 * queries * product(weight->sizes);
        }
    }
    return products + projections;
}

}  // namespace

Flops work_of(ExportedProgram const& program, ProgramNode const& node) {
    using enum OperatorKind;
    auto const* row = find_operator(node);
    auto const kind = kind_of(program, node);
    switch (kind) {
        case convolution: {
            auto const shape = convolution_shape(program, node);
            auto const& weight = *tensor_argument(program, node, "weight");
            return Flops{2 * static_cast<double>(shape.batch) *
                         product(shape.transposed ? shape.input_spatial : shape.output_spatial) *
                         product(weight.sizes)};
        }
        case linear:
        case matmul:
            return Flops{product_work(program, node).total()};
        case decomposition:
            return Flops{decomposition_work(program, node)};
        case attention:
            return Flops{attention_work(program, node)};
        case recurrent:
            return Flops{recurrent_work(program, node)};
        case pool:
            return Flops{pool_shape(program, node).window_elements};
        case reduction:
            return Flops{elements_read(program, node)};
        case scatter:
            return is_accumulating(node) ? Flops{scattered_elements(program, node)} : Flops{0};
        case copy:
        case gather:
        case embedding:
        case view:
        case maybe_view:
            return Flops{0};
        case norm:
        case softmax:
        case activation:
        case elementwise:
        case dropout: {
            double const per_element = row == nullptr ? 1 : row->work_per_element;
            auto const written = written_argument(program, node);
            if (written && tensors_returned(node).empty()) {
                return Flops{per_element * static_cast<double>(value_of(program, *written).element_count())};
            }
            return Flops{per_element * elements_returned(program, node)};
        }
    }
    return Flops{0};
}

bool is_contraction(ProgramNode const& node) {
    using enum OperatorKind;
    auto const* row = find_operator(node);
    return row != nullptr && (row->kind == convolution || row->kind == linear ||
                              row->kind == matmul || row->kind == attention);
}

std::vector<std::string> unknown_operators(ExportedProgram const& program) {
    std::set<std::string> unknown;
    for (auto const& node : program.nodes) {
        if (find_operator(node) == nullptr) {
            unknown.insert(std::string{operator_namespace(node)} + "." +
                           std::string{operator_name(node)});
        }
    }
    return {unknown.begin(), unknown.end()};
}

}  // namespace derate
