#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// The call that makes a tensor, as which of its results; no node: the program gets it.
struct Maker {
    ProgramNode const* node = nullptr;
    std::size_t result = 0;
};

/// Which call makes each tensor, and which tensors share memory that a call writes into in place;
/// none of floating-point type shares.
class TensorMemory {
  public:
    /// \param program  outlives this
    explicit TensorMemory(ExportedProgram const& program);

    [[nodiscard]] Maker maker(ValueId id) const { return makers_[index(id)]; }
    /// The tensor that this is a view of, or what was in its place before a call wrote there.
    [[nodiscard]] std::optional<ValueId> viewed(ValueId id) const { return viewed_[index(id)]; }
    /// A call writes into it, or into one that shares its memory.
    [[nodiscard]] bool is_written(ValueId id) const { return written_.contains(base_of(id)); }
    /// All tensors that share its memory, itself among them, where a call writes there.
    [[nodiscard]] std::vector<ValueId> written_aliases(ValueId id) const;

  private:
    static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }
    [[nodiscard]] ValueId base_of(ValueId id) const;

    std::vector<Maker> makers_;
    std::vector<std::optional<ValueId>> viewed_;
    std::map<ValueId, std::vector<ValueId>> written_;  // by base: all its aliases
};

}  // namespace derate
