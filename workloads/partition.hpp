#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/condition.hpp"
#include "core/subgraph.hpp"
#include "workloads/exported_program.hpp"

namespace derate {

/// Name of the rule of work and traffic below, as measurement and calibration files carry it.
inline constexpr std::string_view flop_rule = "derate_2";

/// One subgraph and where it lies in its program.
struct ProgramSubgraph {
    Subgraph subgraph;
    std::vector<int> nodes;  ///< consecutive indices into ExportedProgram::nodes, one or more
    /// Tensors it reads and does not make itself, each once, in order of first use. `weights` are
    /// parameters, buffers and constants of the program or views of them, `activations` all else.
    std::vector<ValueId> activations;
    std::vector<ValueId> weights;
    /// Words of ProgramValues::words for those of them whose values decide its time.
    std::map<ValueId, std::string> values;
    /// Tensors it makes (or changes in place) that a later node reads or the program returns.
    std::vector<ValueId> outputs;
};

/// Every node of the program is in exactly one subgraph, in execution order.
struct Partition {
    std::string_view rule;  ///< by which it was cut: partition_rule()
    std::vector<ProgramSubgraph> subgraphs;
};

/// Name of the rule by which a back end cuts models, as measurement and calibration files carry it.
[[nodiscard]] std::string_view partition_rule(Backend backend);

/// Cuts the program into the units that the back end runs.
[[nodiscard]] Partition partition(ExportedProgram const& program, Backend backend = Backend::eager);

/// Work of one call; rule "derate_2" of docs/taxonomy.md (1 FMA = 2 FLOP). Convolutions, matrix
/// products and attention equal torch.utils.flop_counter exactly.
[[nodiscard]] Flops work_of(ExportedProgram const& program, ProgramNode const& node);

/// The call is one that torch.utils.flop_counter counts.
[[nodiscard]] bool is_contraction(ProgramNode const& node);

/// Operators of the program that the tables do not know (each once, sorted): they count as
/// elementwise with one FLOP per element returned.
[[nodiscard]] std::vector<std::string> unknown_operators(ExportedProgram const& program);

}  // namespace derate
