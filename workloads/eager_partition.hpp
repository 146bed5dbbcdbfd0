#pragma once
#include <string_view>

#include "workloads/partition.hpp"

namespace derate {

/// Name of the rule below, as measurement and calibration files carry it.
inline constexpr std::string_view eager_partition_rule = "derate_1";

/// Cuts the program into the units that eager execution runs: runs of consecutive nodes, where
/// batch_norm joins its convolution, one activation joins a convolution, linear, norm or addition,
/// and views join the run they read from or else lead the next one. docs/taxonomy.md has the rules.
[[nodiscard]] Partition eager_partition(ExportedProgram const& program);

}  // namespace derate
