#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shapes/shape_expressions.hpp"
#include "workloads/exported_program.hpp"

namespace derate {

/// A number of a program that follows from symbols.
struct ShapeSlot {
    enum class Place { size, stride, storage_offset, argument } place = Place::size;
    std::int32_t owner = 0;     ///< ValueId of the tensor; of an argument, index of its node
    std::int32_t position = 0;  ///< dimension; of an argument, its index
    std::int32_t item = 0;      ///< of an argument that is a list, the index in it
    ExpressionId expression = 0;
};

/// Values that an expression, mostly a symbol alone, may take; empty: unbounded.
struct ShapeRange {
    std::string text;
    ExpressionId expression = 0;
    std::optional<std::int64_t> least;
    std::optional<std::int64_t> most;
};

/// What must hold of the sizes: a guard of the export, or the operand of an assertion in the graph.
struct ShapeCondition {
    std::string text;
    std::optional<ExpressionId> expression;  ///< empty: not understood
};

/// What a torch.export file says, its sizes perhaps symbols and expressions in them. Examples that
/// the file gives for symbols ("hints") are not in it.
struct SymbolicProgram {
    ExportedProgram program;  ///< numbers that follow from symbols are 0 in it
    ShapeExpressions expressions;
    std::vector<ShapeSlot> slots;
    std::vector<ShapeRange> ranges;
    std::vector<ShapeCondition> conditions;
    /// Expressions as the file states them, and as its nodes compute them: the same value, but
    /// where the export has folded floating-point constants. Then what the nodes compute is what
    /// runs.
    std::vector<std::pair<ExpressionId, ExpressionId>> computed;
    std::map<std::string, ExpressionId, std::less<>> number_inputs;  ///< user inputs without tensor
    std::string where;                                               ///< the file, for messages
};

/// Reads what read_exported_program() reads, and shapes that follow from symbols.
/// \throws InputError
[[nodiscard]] SymbolicProgram read_symbolic_program(std::filesystem::path const& file);

/// The same from text in memory. \param where  names the text in error messages
[[nodiscard]] SymbolicProgram parse_symbolic_program(std::string_view model_json,
                                                     std::string_view where);

/// What a user wants sizes to be.
struct RequestedDimensions {
    std::optional<std::int64_t> batch;     ///< of the inputs' one free first dimension
    std::optional<std::int64_t> sequence;  ///< of the inputs' one free second dimension
    /// By symbol ("s77"), by axis of an input ("x[0]"), or by a name that `axes` explains; "batch"
    /// and "seq" where they are none of these.
    std::vector<std::pair<std::string, std::int64_t>> named;
    /// Own names: "batch" -> "x[0]", and where two inputs have it, "mask[0]" too.
    std::multimap<std::string, std::string, std::less<>> axes;

    [[nodiscard]] bool empty() const {
        return !batch && !sequence && named.empty() && axes.empty();
    }
    friend bool operator==(RequestedDimensions const&, RequestedDimensions const&) = default;
};

/// A symbol with its value.
struct BoundDimension {
    std::string symbol;
    std::int64_t value = 0;
    std::vector<std::string> axes;  ///< of inputs, that are this symbol alone: "x[0]"

    friend bool operator==(BoundDimension const&, BoundDimension const&) = default;
};

struct BoundProgram {
    ExportedProgram program;
    std::vector<BoundDimension> dimensions;  ///< empty for a static export
    std::vector<std::string> notes;          ///< sentences for people
};

/// The program at one size: what a static export at that size holds.
///
/// \param defaults  of symbols that `requested` leaves open: batch, sequence, and axes by name
/// \throws InputError  a name that is neither symbol nor axis, a symbol without a value, a value
/// that
///                     breaks a guard, an upper bound or a lower bound above 2 (PyTorch checks no
///                     other), a size that is undefined, negative or beyond 2^48 elements
[[nodiscard]] BoundProgram bind(SymbolicProgram const& symbolic,
                                RequestedDimensions const& requested,
                                RequestedDimensions const& defaults = {});

/// A symbol of an export, for who has to choose its value.
struct FreeDimension {
    std::string symbol;
    std::vector<std::string> axes;  ///< of inputs, that are this symbol alone
    std::optional<std::int64_t> least;
    std::optional<std::int64_t> most;
    bool is_unbacked = false;  ///< the data decides it: no input has it

    friend bool operator==(FreeDimension const&, FreeDimension const&) = default;
};
[[nodiscard]] std::vector<FreeDimension> free_dimensions(SymbolicProgram const& symbolic);

}  // namespace derate
