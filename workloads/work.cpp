#include <algorithm>
#include <set>

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

/// Each weight matrix multiplies one vector a time step and sequence.
double recurrent_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const* input = tensor_argument(program, node, "input");
    auto const* parameters = node.find_argument("params");
    auto const* list =
        parameters == nullptr ? nullptr : std::get_if<TensorListArgument>(parameters);
    if (input == nullptr || list == nullptr || input->sizes.empty() || input->sizes.back() == 0) {
        return 0;
    }
    double matrix_elements = 0;
    for (auto const id : list->values) {
        auto const& parameter = value_of(program, id);
        if (parameter.sizes.size() == 2) {
            matrix_elements += static_cast<double>(parameter.element_count());
        }
    }
    return 2 * matrix_elements * product(input->sizes) / static_cast<double>(input->sizes.back());
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
        case matmul: {
            auto const shape = matmul_shape(program, node);
            if (!shape) return Flops{elements_returned(program, node)};
            return Flops{2 * static_cast<double>(shape->batch) * static_cast<double>(shape->m) *
                         static_cast<double>(shape->n) * static_cast<double>(shape->k)};
        }
        case attention: {
            auto const shape = attention_shape(program, node);
            return Flops{
                2 * static_cast<double>(shape.batch) * static_cast<double>(shape.heads) *
                static_cast<double>(shape.query_length) * static_cast<double>(shape.key_length) *
                (static_cast<double>(shape.head_size) + static_cast<double>(shape.value_size))};
        }
        case recurrent:
            return Flops{recurrent_work(program, node)};
        case pool:
            return Flops{pool_shape(program, node).window_elements};
        case reduction:
            return Flops{elements_read(program, node)};
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
