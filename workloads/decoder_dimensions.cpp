#include "workloads/decoder_dimensions.hpp"

#include <algorithm>
#include <cstddef>
#include <variant>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

/// What an input of a decoder is for.
enum class Use { tokens, positions, cache, other };

Use use_of(TensorValue const& value) {
    auto const rank = value.sizes.size();
    if (is_floating_point(value.dtype)) {
        return rank == 4 ? Use::cache : rank == 3 ? Use::tokens : Use::other;
    }
    if (value.dtype == ScalarType::boolean) return Use::other;
    return rank == 2 ? Use::tokens : rank == 1 ? Use::positions : Use::other;
}

void add(std::vector<std::string>& symbols, std::string const& symbol) {
    if (std::find(symbols.begin(), symbols.end(), symbol) == symbols.end()) {
        symbols.push_back(symbol);
    }
}

bool holds(std::vector<std::string> const& symbols, std::string const& symbol) {
    return std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

/// Symbols that are an axis of an input, by the axis's place.
class AxisSymbols {
  public:
    explicit AxisSymbols(SymbolicProgram const& symbolic) : free_{free_dimensions(symbolic)} {}

    /// \return  null: a number, or no symbol alone
    [[nodiscard]] std::string const* find(ProgramInput const& input, std::size_t axis) const {
        auto const name = input.name + "[" + std::to_string(axis) + "]";
        for (auto const& dimension : free_) {
            if (holds(dimension.axes, name)) return &dimension.symbol;
        }
        return nullptr;
    }

  private:
    std::vector<FreeDimension> free_;
};

bool is_appended_to(ExportedProgram const& program, ValueId cache) {
    return std::any_of(program.nodes.begin(), program.nodes.end(), [&](ProgramNode const& node) {
        auto const name = operator_name(node);
        if (name != "cat" && name != "concat" && name != "concatenate") return false;
        auto const* tensors = node.find_argument("tensors");
        auto const* list = tensors == nullptr ? nullptr : std::get_if<TensorListArgument>(tensors);
        return list != nullptr &&
               std::find(list->values.begin(), list->values.end(), cache) != list->values.end();
    });
}

}  // namespace

DecoderDimensions decoder_dimensions(SymbolicProgram const& symbolic) {
    auto const& program = symbolic.program;
    AxisSymbols const symbols{symbolic};
    DecoderDimensions found;
    std::vector<ProgramInput const*> inputs;
    for (auto const& input : program.inputs) {
        if (input.kind == InputKind::user_input) inputs.push_back(&input);
    }
    auto const use = [&](ProgramInput const* input) {
        return use_of(value_of(program, input->value));
    };
    // Token ids first: a mask is often integers of two dimensions too, and of as many entries as
    // the caches.
    auto const tokens = std::find_if(inputs.begin(), inputs.end(),
                                     [&](auto const* input) { return use(input) == Use::tokens; });
    if (tokens != inputs.end()) {
        auto const& sizes = value_of(program, (*tokens)->value).sizes;
        auto const* length = symbols.find(**tokens, 1);
        if (length != nullptr) add(found.tokens, *length);
        if (length == nullptr) found.fixed_tokens = sizes[1];
        if (symbols.find(**tokens, 0) == nullptr) found.fixed_batch = sizes[0];
    }
    for (auto const* input : inputs) {
        if (use(input) != Use::cache) continue;
        for (std::size_t axis = 1; axis < 4; ++axis) {
            auto const* symbol = symbols.find(*input, axis);
            if (symbol != nullptr && !holds(found.tokens, *symbol)) add(found.cache, *symbol);
        }
        found.appends = found.appends || is_appended_to(program, input->value);
    }
    for (auto const* input : inputs) {
        auto const* symbol = symbols.find(*input, 0);
        if (symbol == nullptr || holds(found.cache, *symbol)) continue;
        add(use(input) == Use::positions ? found.tokens : found.batch, *symbol);
    }
    return found;
}

}  // namespace derate
