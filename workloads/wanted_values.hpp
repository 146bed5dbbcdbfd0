#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/value_range.hpp"

namespace derate {

/// What later nodes want of a tensor.
struct Wanted {
    std::optional<ValueRange> range;  ///< as an index
    bool direct = false;              ///< ... and not as a term of a sum that is one
    bool once = false;                ///< as an index of what is written: no value twice
    bool hashed = false;              ///< any value will do: what follows folds it into the table
    std::int64_t rows = 0;            ///< of the table
    std::optional<std::int64_t> offsets_end;
    std::optional<std::int64_t> longest;  ///< as a length
    std::int64_t total = 0;               ///< of all lengths
    bool keep = false;                    ///< as a mask: true is what counts
    bool drop = false;                    ///< as a mask: true is what does not count
    bool map = false;
    bool data = false;  ///< its numbers count, not only what a comparison says of them
    std::string lost;   ///< an index, by an operator that cannot be followed back

    [[nodiscard]] bool is_index() const { return range || offsets_end || longest || !lost.empty(); }

    void add(Wanted const& other);
};

/// All by ValueId.
struct WantedValues {
    std::vector<Wanted> wanted;
    /// Of tensors that depend on nothing but the export.
    std::vector<std::optional<ValueRange>> known;
    /// Tensors that share memory, the one itself among them, where a call writes into it in place;
    /// none of floating-point type.
    std::vector<std::vector<ValueId>> written_aliases;
};

/// Follows every index, mask and map back to the inputs it comes from.
[[nodiscard]] WantedValues wanted_values(ExportedProgram const& program);

}  // namespace derate
