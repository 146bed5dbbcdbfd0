#pragma once
#include <string>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// What a program holds that the operator table does not know. Such a call counts one FLOP an
/// element returned, which may be far too little.
struct UnknownWork {
    std::vector<std::string> operators;  ///< "namespace.name", each once, sorted
    int calls = 0;
    double share_of_calls = 0;
    double share_of_bytes = 0;  ///< of what calls that are no views read and return, each for itself
    /// Most of the program's work that these calls may hold, as far as shapes tell: 0 to 1. Each is
    /// taken for a product of the rows of its first tensor with every element of the largest other
    /// one; with a single tensor, with a square matrix of its width.
    double possible_share_of_work = 0;

    /// Beyond it nothing bounds the model's time from above.
    static constexpr double good_part = 0.1;
    [[nodiscard]] bool may_be_a_good_part() const { return possible_share_of_work > good_part; }
};

[[nodiscard]] UnknownWork unknown_work(ExportedProgram const& program);

}  // namespace derate
