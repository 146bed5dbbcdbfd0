#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/subgraph.hpp"
#include "workloads/exported_program.hpp"

namespace derate {

/// Names of the rules below, as measurement and calibration files carry them.
inline constexpr std::string_view partition_rule = "derate_1";
inline constexpr std::string_view flop_rule = "derate_2";  ///< of work and of traffic

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
    std::vector<ProgramSubgraph> subgraphs;
};

/// Cuts the program into the units that eager execution runs: runs of consecutive nodes, where
/// batch_norm joins its convolution, one activation joins a convolution, linear, norm or addition,
/// and views join the run they read from or else lead the next one. docs/taxonomy.md has the rules.
[[nodiscard]] Partition partition(ExportedProgram const& program);

/// Work of one call; rule "derate_2" of docs/taxonomy.md (1 FMA = 2 FLOP). Convolutions, matrix
/// products and attention equal torch.utils.flop_counter exactly.
[[nodiscard]] Flops work_of(ExportedProgram const& program, ProgramNode const& node);

/// The call is one that torch.utils.flop_counter counts.
[[nodiscard]] bool is_contraction(ProgramNode const& node);

/// Operators of the program that the tables do not know (each once, sorted): they count as
/// elementwise with one FLOP per element returned.
[[nodiscard]] std::vector<std::string> unknown_operators(ExportedProgram const& program);

}  // namespace derate
