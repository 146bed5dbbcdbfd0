#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

enum class ValuePattern {
    normal,     ///< independent of each other, mean 0, variance 1
    smooth,     ///< as an image: neighbours are alike
    spread,     ///< independent of each other, uniform from `low` to `high`
    ascending,  ///< along the last dimension: one more than the element before
    offsets,    ///< of bags: 0 first, ascending in equal steps, not beyond `high`
    lengths,    ///< from `high` down to `low`; their sum is `total` where that is not 0
    causal,     ///< true on and below the diagonal of the last two dimensions
    padding,    ///< true for the first elements of each row: half of them or more, never all
    halves,     ///< true in the first half of the last dimension
};

/// How the values of one input are drawn: decided by what the graph does with them.
struct InputValues {
    ValuePattern pattern = ValuePattern::normal;
    /// Least and greatest value, row-major. Whole numbers (exact to 2^53) where the input is not of
    /// floating-point type.
    std::vector<double> low{0};
    std::vector<double> high{1};
    /// The shape of both, which broadcasts to the input's. Empty: one of each.
    std::vector<std::int64_t> bounds_shape{};
    std::int64_t total =
        0;  ///< lengths: their sum; offsets: the last one; 0: the call leaves it open
    bool inverted = false;  ///< masks: true marks what is left out

    friend bool operator==(InputValues const&, InputValues const&) = default;
};

/// What the program's tensors hold, as far as it decides how long a kernel takes.
struct ProgramValues {
    /// Of the user inputs, and of integer weights whose values the export does not hold.
    std::map<ValueId, InputValues> inputs;
    /// A word for every tensor, by ValueId: "ids:30522" (spread over so many rows), "ascending",
    /// "causal", "smooth_relu", "table:9b2f00c3a1d4e587" (those the export holds), "made:0f5c..."
    /// (made by these operators from those), ... Equal words, equal values as far as a clock sees.
    std::vector<std::string> words;
    /// One line for each input that reaches a table on a way that cannot be followed back.
    std::vector<std::string> notes;
};

/// Follows every index, mask and map back to the inputs it comes from; docs/measuring.md has the
/// rule, `value_rule` its name. Inputs that reach several tables stay within the smallest.
[[nodiscard]] ProgramValues values_of(ExportedProgram const& program);

/// Tensors whose values, not their shape alone, decide how long the call takes: ids, offsets,
/// masks, and the map under a max pool. docs/measuring.md has the list.
[[nodiscard]] std::vector<ValueId> deciding_values(ExportedProgram const& program,
                                                   ProgramNode const& node);

}  // namespace derate
