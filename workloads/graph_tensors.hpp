#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/graph_elements.hpp"
#include "workloads/graph_shapes.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {

/// \throws InputError  a dtype that cannot be timed
[[nodiscard]] ScalarType dtype_of(GraphElements const& graph, GraphElements::element value);

/// A tensor, and which of its sizes, strides and offset follow from symbols; these are 0 in it.
struct GraphTensor {
    TensorValue value;
    std::vector<ShapeSlot> slots;  ///< without their owner
};

/// A tensor of `tensor_values`.
///
/// \throws InputError  sparse, of a dtype that cannot be timed, of more than 2^48 elements
[[nodiscard]] GraphTensor tensor_of(GraphElements const& graph, GraphElements::element meta,
                                    std::string name, GraphShapes& shapes);

constexpr char const* held_tensors = "sizes and strides from 0, at most 2^48 elements";

/// What keeps a tensor from being held: "is too large"; empty where nothing does.
[[nodiscard]] std::optional<std::string> fault_of(TensorValue const& value);

/// Values of buffers and constants that stand in the graph itself, as they do in the models that
/// are shipped: adds them to `program.constants`.
///
/// \throws InputError  they do not match the tensor
void read_embedded_constants(GraphElements& graph, GraphElements::element constants,
                             ExportedProgram& program);

}  // namespace derate
