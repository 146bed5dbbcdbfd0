#pragma once
#include "core/subgraph.hpp"
#include "workloads/exported_program.hpp"

namespace derate {

/// One call as a subgraph lists it: operator, shapes, and what decides its kernel beside them.
/// docs/taxonomy.md lists the attribute keys.
[[nodiscard]] SubgraphNode describe_node(ExportedProgram const& program, ProgramNode const& node);

}  // namespace derate
