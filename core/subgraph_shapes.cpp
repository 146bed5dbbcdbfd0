#include "core/subgraph_shapes.hpp"

namespace derate {

std::optional<SubgraphShapes> shapes_of(Subgraph const& subgraph) {
    SubgraphNode const* first = nullptr;
    SubgraphNode const* last = nullptr;
    for (auto const& node : subgraph.nodes) {
        if (node.attributes.contains("view") && subgraph.type != OperationType::meta) continue;
        if (first == nullptr) first = &node;
        last = &node;
    }
    if (first == nullptr) return std::nullopt;
    return SubgraphShapes{.input = first->input_shape, .output = last->output_shape};
}

}  // namespace derate
