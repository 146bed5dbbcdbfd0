#pragma once
#include <cstdint>
#include <string>

#include "workloads/exported_program.hpp"
#include "workloads/graph_elements.hpp"

namespace derate {

/// What an export is asked for whose shapes, or values, the data decides.
constexpr char const* static_export =
    "an export with static shapes: leave out dynamic_shapes in torch.export.export";

/// \throws InputError  a dtype that cannot be timed
[[nodiscard]] ScalarType dtype_of(GraphElements const& graph, GraphElements::element value);

/// A tensor of `tensor_values`.
///
/// \throws InputError  dynamic, sparse, of a dtype that cannot be timed, of more than 2^48 elements
[[nodiscard]] TensorValue tensor_of(GraphElements const& graph, GraphElements::element meta,
                                    std::string name);

/// Values of buffers and constants that stand in the graph itself, as they do in the models that
/// are shipped: adds them to `program.constants`.
///
/// \throws InputError  they do not match the tensor
void read_embedded_constants(GraphElements& graph, GraphElements::element constants,
                             ExportedProgram& program);

}  // namespace derate
