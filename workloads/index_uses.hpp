#pragma once
#include <cstdint>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

enum class IndexKind {
    read,     ///< which rows are read, or added to: any, often the same ones
    write,    ///< which rows are written: each once
    offsets,  ///< where bags begin
    lengths,  ///< how long sequences are
};

struct IndexUse {
    ValueId ids = 0;
    IndexKind kind = IndexKind::read;
    std::int64_t bound = 1;  ///< values lie below it; of offsets: not above it
    std::int64_t total = 0;  ///< sum of the lengths, last of the offsets, where the call fixes it
};

/// The arguments of a call that are indices into another tensor, or say where its parts lie.
[[nodiscard]] std::vector<IndexUse> index_uses(ExportedProgram const& program,
                                               ProgramNode const& node);

/// The call takes a list of indices, one a dimension, among which masks may be: `x[i, m]`.
[[nodiscard]] bool takes_index_list(ProgramNode const& node);

}  // namespace derate
