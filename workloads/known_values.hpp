#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/tensor_memory.hpp"
#include "workloads/value_range.hpp"

namespace derate {

/// What the export alone decides, by ValueId.
struct KnownValues {
    /// Of constants whose values the export holds, and of what the graph makes of them alone.
    std::vector<std::optional<ValueRange>> ranges;
    std::vector<bool> fixed;  ///< depends on nothing but the export, known or not

    /// Range of a number, or of a tensor that depends on the export alone.
    [[nodiscard]] std::optional<ValueRange> of_argument(ProgramNode const& node,
                                                        std::string_view argument) const;
};

[[nodiscard]] KnownValues known_values(ExportedProgram const& program, TensorMemory const& memory);

}  // namespace derate
