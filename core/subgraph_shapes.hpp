#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "core/subgraph.hpp"

namespace derate {

/// What goes into a subgraph and what comes out.
struct SubgraphShapes {
    std::vector<std::int64_t> input;   ///< of its first kernel's first tensor
    std::vector<std::int64_t> output;  ///< of its last kernel's result
};

/// Views in it are no kernels. Empty where no node is named, as in files made elsewhere.
[[nodiscard]] std::optional<SubgraphShapes> shapes_of(Subgraph const& subgraph);

}  // namespace derate
