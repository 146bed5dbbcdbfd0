#include "workloads/symbolic_program.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <variant>

#include "core/input_error.hpp"
#include "workloads/graph_tensors.hpp"

namespace derate {
namespace {

/// An axis of a user input.
struct Axis {
    std::string name;  ///< "x[0]"
    std::int32_t dimension = 0;
    ExpressionId size = 0;
};

std::vector<Axis> free_axes(SymbolicProgram const& symbolic) {
    std::vector<Axis> axes;
    for (auto const& input : symbolic.program.inputs) {
        if (input.kind != InputKind::user_input) continue;
        for (auto const& slot : symbolic.slots) {
            if (slot.place != ShapeSlot::Place::size || slot.owner != input.value) continue;
            axes.push_back({.name = input.name + "[" + std::to_string(slot.position) + "]",
                            .dimension = slot.position,
                            .size = slot.expression});
        }
    }
    return axes;
}

std::string joined(std::vector<std::string> const& items, std::string_view between) {
    std::string text;
    for (auto const& item : items) {
        if (!text.empty()) text += between;
        text += item;
    }
    return text;
}

/// Gives symbols values, by their own names or by what is to be an axis's size.
class Binding {
  public:
    explicit Binding(SymbolicProgram const& symbolic)
        : symbolic_{symbolic},
          axes_{free_axes(symbolic)},
          values_(symbolic.expressions.symbols().size()) {}

    /// \param own_names  the user's own, each for one axis or several
    void set(std::string const& name, std::int64_t value,
             std::multimap<std::string, std::string, std::less<>> const& own_names) {
        auto const who = "--dim " + name;
        auto const [first, last] = own_names.equal_range(name);
        for (auto own = first; own != last; ++own) {
            if (!set_axis(own->second, value, who)) {
                throw InputError{"--axis " + name + "=" + own->second,
                                 symbolic_.where + " has no such free axis", "one of " + choices()};
            }
        }
        if (first != last) return;
        auto const& symbols = symbolic_.expressions.symbols();
        auto const symbol = std::find(symbols.begin(), symbols.end(), name);
        if (symbol != symbols.end()) {
            return give(static_cast<std::size_t>(symbol - symbols.begin()), value, who);
        }
        auto const number = symbolic_.number_inputs.find(name);
        if (number != symbolic_.number_inputs.end()) return solve(number->second, value, who);
        if (set_axis(name, value, who)) return;
        if (name == "batch") return set_dimension(0, value, who);
        if (name == "seq") return set_dimension(1, value, who);
        // A name that the model's author gave is not in the file: where one axis is free it is
        // meant. What looks like an axis or a symbol is a mistake.
        bool const is_like_a_symbol = name.size() > 1 &&
                                      (name.front() == 's' || name.front() == 'u') &&
                                      name.find_first_not_of("0123456789", 1) == std::string::npos;
        auto const only = only_symbol(std::nullopt);
        if (only && !is_like_a_symbol && name.find('[') == std::string::npos) {
            return give(*only, value, who);
        }
        throw InputError{who, symbolic_.where + " has no such dimension", "one of " + choices()};
    }

    /// \param dimension  0: the batch; 1: the sequence
    void set_dimension(std::int32_t dimension, std::int64_t value, std::string const& flag) {
        if (auto const symbol = only_symbol(dimension)) return give(*symbol, value, flag);
        bool const any = std::any_of(axes_.begin(), axes_.end(),
                                     [&](Axis const& axis) { return axis.dimension == dimension; });
        auto const which = std::string{dimension == 0 ? "first" : "second"};
        throw InputError{flag,
                         (any ? "more than one of the " : "none of the ") + which +
                             " dimensions of " + symbolic_.where + "'s inputs is free",
                         "--dim with one of " + choices()};
    }

    /// Where there is one symbol of that dimension and nobody gave it a value.
    void set_if_open(std::int32_t dimension, std::int64_t value) {
        auto const symbol = only_symbol(dimension);
        if (symbol && !values_[*symbol]) values_[*symbol] = value;
    }

    /// Where the axis is one symbol and nobody gave it a value.
    void set_if_open(std::string const& axis, std::int64_t value) {
        for (auto const& [name, dimension, size] : axes_) {
            auto const symbol = symbolic_.expressions.symbol_at(size);
            if (name == axis && symbol && !values_[*symbol]) values_[*symbol] = value;
        }
    }

    /// \throws InputError  symbols without a value
    [[nodiscard]] std::vector<ShapeValue> values() const {
        std::vector<std::string> missing;
        std::string example;
        std::vector<ShapeValue> values;
        for (std::size_t i = 0; i < values_.size(); ++i) {
            if (!values_[i] && is_needed(i)) {
                missing.push_back(shown(i));
                auto const axes = axes_of(i);
                example = axes.empty() ? symbolic_.expressions.symbols()[i] : axes.front();
            }
            values.push_back(values_[i] ? ShapeValue::of_integer(*values_[i]) : ShapeValue{});
        }
        if (!missing.empty()) {
            throw InputError{
                symbolic_.where,
                "its shapes are symbols, and no value is given for " + joined(missing, ", "),
                "--dim NAME=VALUE for each, e.g. --dim " + example +
                    "=8; --batch N or --seq N where one axis is meant"};
        }
        return values;
    }

    [[nodiscard]] std::vector<std::string> axes_of(std::size_t symbol) const {
        std::vector<std::string> names;
        for (auto const& axis : axes_) {
            if (is_symbol(axis.size, symbol)) names.push_back(axis.name);
        }
        for (auto const& [name, number] : symbolic_.number_inputs) {
            if (is_symbol(number, symbol)) names.push_back(name);
        }
        return names;
    }

    /// Something that the program holds follows from it. Symbols that only a stale assertion names
    /// are none.
    [[nodiscard]] bool is_needed(std::size_t symbol) const {
        return std::any_of(symbolic_.slots.begin(), symbolic_.slots.end(), [&](auto const& slot) {
            auto const symbols = symbolic_.expressions.symbols_of(slot.expression);
            return std::binary_search(symbols.begin(), symbols.end(), symbol);
        });
    }

  private:
    /// \return  false: no free axis has that name
    bool set_axis(std::string_view name, std::int64_t value, std::string const& who) {
        auto const axis = std::find_if(axes_.begin(), axes_.end(),
                                       [&](Axis const& known) { return known.name == name; });
        if (axis == axes_.end()) return false;
        solve(axis->size, value, who);
        return true;
    }

    /// The symbol alone.
    [[nodiscard]] bool is_symbol(ExpressionId id, std::size_t symbol) const {
        return symbolic_.expressions.symbol_at(id) == symbol;
    }

    [[nodiscard]] std::string shown(std::size_t symbol) const {
        auto const& name = symbolic_.expressions.symbols()[symbol];
        auto const axes = axes_of(symbol);
        return axes.empty() ? name : name + " (" + joined(axes, ", ") + ")";
    }

    [[nodiscard]] std::string choices() const {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < values_.size(); ++i) {
            if (is_needed(i)) all.push_back(shown(i));
        }
        return joined(all, ", ");
    }

    /// The one symbol that the free axes of that dimension, or all free axes, depend on.
    [[nodiscard]] std::optional<std::size_t> only_symbol(
        std::optional<std::int32_t> dimension) const {
        std::set<std::size_t> symbols;
        for (auto const& axis : axes_) {
            if (dimension && axis.dimension != *dimension) continue;
            auto const of_axis = symbolic_.expressions.symbols_of(axis.size);
            symbols.insert(of_axis.begin(), of_axis.end());
        }
        return symbols.size() == 1 ? std::optional{*symbols.begin()} : std::nullopt;
    }

    void give(std::size_t symbol, std::int64_t value, std::string const& who) {
        if (values_[symbol] && *values_[symbol] != value) {
            throw InputError{who,
                             "gives " + shown(symbol) + " the value " + std::to_string(value) +
                                 ", which is " + std::to_string(*values_[symbol]) + " already",
                             "one value a symbol"};
        }
        values_[symbol] = value;
    }

    /// Gives the one symbol of a size the value at which the size is `wanted`: sizes of inputs are
    /// symbols, or linear in one.
    void solve(ExpressionId size, std::int64_t wanted, std::string const& who) {
        auto const symbols = symbolic_.expressions.symbols_of(size);
        if (symbols.size() != 1) {
            throw InputError{who, "follows from several symbols", "--dim with one of " + choices()};
        }
        auto const at = [&](std::int64_t value) {
            std::vector<ShapeValue> given(values_.size());
            given[symbols.front()] = ShapeValue::of_integer(value);
            return symbolic_.expressions.evaluate(given)[static_cast<std::size_t>(size)].integer();
        };
        auto const at_one = at(1);
        auto const at_two = at(2);
        if (at_one && at_two && *at_two != *at_one) {
            auto const step = *at_two - *at_one;
            std::int64_t distance = 0;
            bool const is_beyond = __builtin_sub_overflow(wanted, *at_one, &distance);
            auto const symbol = 1 + distance / step;
            if (!is_beyond && at(symbol) == wanted) return give(symbols.front(), symbol, who);
        }
        throw InputError{
            who, "no value of " + shown(symbols.front()) + " makes it " + std::to_string(wanted),
            "--dim with one of " + choices()};
    }

    SymbolicProgram const& symbolic_;
    std::vector<Axis> axes_;
    std::vector<std::optional<std::int64_t>> values_;
};

/// "batch 3" for people: the symbols' values, with the axes that have them.
std::string sizes_text(std::vector<BoundDimension> const& dimensions) {
    std::vector<std::string> texts;
    for (auto const& dimension : dimensions) {
        auto const name = dimension.axes.empty() ? dimension.symbol : joined(dimension.axes, " = ");
        texts.push_back(name + " = " + std::to_string(dimension.value));
    }
    return joined(texts, ", ");
}

bool is_beyond(ShapeRange const& range, std::int64_t value) {
    // torch.export checks no bound up to 2: eager runs at sizes 0 and 1 that tracing left out.
    constexpr std::int64_t checked_from = 3;
    return (range.most && value > *range.most) ||
           (range.least && *range.least >= checked_from && value < *range.least);
}

std::string bounds_text(ShapeRange const& range) {
    if (!range.most) return std::to_string(range.least.value_or(0)) + " or more";
    return std::to_string(range.least.value_or(0)) + " to " + std::to_string(*range.most);
}

void check_ranges(SymbolicProgram const& symbolic, std::vector<ShapeValue> const& values,
                  std::string const& sizes, std::vector<std::string>& notes) {
    for (auto const& range : symbolic.ranges) {
        auto const value = values[static_cast<std::size_t>(range.expression)].integer();
        if (!value) continue;
        if (is_beyond(range, *value)) {
            throw InputError{symbolic.where,
                             "was exported for " + range.text + " of " + bounds_text(range) +
                                 ", not " + std::to_string(*value) + " (" + sizes + ")",
                             "a size that it was exported for"};
        }
        if (range.least && *value < *range.least) {
            notes.push_back("the export names " + range.text + " of " + bounds_text(range) +
                            ", not " + std::to_string(*value) + "; PyTorch runs it all the same");
        }
    }
}

void check_conditions(SymbolicProgram const& symbolic, std::vector<ShapeValue> const& values,
                      std::string const& sizes, std::vector<std::string>& notes) {
    for (auto const& condition : symbolic.conditions) {
        if (!condition.expression) {
            notes.push_back("a guard of the export was not checked: " + condition.text);
            continue;
        }
        auto const& value = values[static_cast<std::size_t>(*condition.expression)];
        bool const is_of_bound_symbols = [&] {
            auto const symbols = symbolic.expressions.symbols_of(*condition.expression);
            return std::all_of(symbols.begin(), symbols.end(), [&](std::size_t symbol) {
                auto const id = symbolic.expressions.id_of_symbol(symbol);
                return values[static_cast<std::size_t>(id)].is_defined();
            });
        }();
        if (!is_of_bound_symbols) continue;  // stale: of a symbol that nothing follows from
        auto const zero = ShapeValue::of_integer(0);
        bool const holds =
            value.is_defined() && value != ShapeValue::of_truth(false) && value != zero;
        if (holds) continue;
        throw InputError{symbolic.where,
                         "cannot run at " + sizes + ": " +
                             (value.is_defined() ? "" : "nobody can say whether it holds that ") +
                             condition.text,
                         "sizes for which that holds, as the export demands"};
    }
}

/// \return  false: the value is none of the argument's kind
bool set_argument(ArgumentValue& argument, std::int32_t item, ShapeValue const& value) {
    auto const position = static_cast<std::size_t>(item);
    auto const integer = value.integer();
    auto const real = value.real();
    auto const truth = value.truth();
    if (auto* const number = std::get_if<std::int64_t>(&argument); number && integer) {
        *number = *integer;
    } else if (auto* const list = std::get_if<std::vector<std::int64_t>>(&argument);
               list && integer) {
        list->at(position) = *integer;
    } else if (auto* const decimal = std::get_if<double>(&argument); decimal && real) {
        *decimal = *real;
    } else if (auto* const decimals = std::get_if<std::vector<double>>(&argument);
               decimals && real) {
        decimals->at(position) = *real;
    } else if (auto* const flag = std::get_if<bool>(&argument); flag && truth) {
        *flag = *truth;
    } else if (auto* const flags = std::get_if<std::vector<bool>>(&argument); flags && truth) {
        flags->at(position) = *truth;
    } else {
        return false;
    }
    return true;
}

bool is_slice(ProgramNode const& node) { return node.target == "torch.ops.aten.slice.Tensor"; }

/// A slice without ends: PyTorch writes it where a dimension before the cut one is a symbol, and
/// leaves it out where that is a number.
bool takes_everything(ExportedProgram const& program, ProgramNode const& node) {
    if (!is_slice(node)) return false;
    auto const* const end = node.find_argument("end");
    auto const* const number = end == nullptr ? nullptr : std::get_if<std::int64_t>(end);
    bool const ends = end != nullptr && !std::holds_alternative<std::monostate>(*end) &&
                      (number == nullptr || *number != std::numeric_limits<std::int64_t>::max());
    if (ends) return false;
    auto const read = tensors_read(node);
    auto const returned = tensors_returned(node);
    if (read.size() != 1 || returned.size() != 1) return false;
    auto const& before = program.values[static_cast<std::size_t>(read.front())];
    auto const& after = program.values[static_cast<std::size_t>(returned.front())];
    return before.sizes == after.sizes && before.strides == after.strides &&
           before.storage_offset == after.storage_offset;
}

void rename(std::map<ValueId, ValueId> const& names, ValueId& id) {
    if (auto const found = names.find(id); found != names.end()) id = found->second;
}

/// An expanded dimension has stride 0; where it is of one entry, expanding it changed nothing.
void give_single_entries_a_stride(TensorValue& tensor) {
    std::int64_t dense = 1;
    for (std::size_t i = tensor.sizes.size(); i-- > 0;) {
        if (tensor.sizes[i] == 1 && tensor.strides[i] == 0) tensor.strides[i] = dense;
        dense = std::max<std::int64_t>(tensor.sizes[i], 1) * tensor.strides[i];
    }
}

/// One dimension of `x[:, 1:]`, `x[:, 0]`, `x[:, None]` or `x[:, ids]`.
bool is_indexing(ProgramNode const& node) {
    return is_slice(node) || node.target == "torch.ops.aten.select.int" ||
           node.target == "torch.ops.aten.unsqueeze.default" ||
           node.target == "torch.ops.aten.index.Tensor";
}

/// Values that are only indexed.
std::set<ValueId> only_indexed(ExportedProgram const& program) {
    std::set<ValueId> indexed;
    for (auto const& node : program.nodes) {
        if (!is_indexing(node)) continue;
        for (auto const id : tensors_read(node)) indexed.insert(id);
    }
    for (auto const& node : program.nodes) {
        if (is_indexing(node)) continue;
        for (auto const id : tensors_read(node)) indexed.erase(id);
    }
    for (auto const id : program.outputs) indexed.erase(id);
    for (auto const& mutation : program.mutations) indexed.erase(mutation.source);
    return indexed;
}

/// Indexing slices every dimension up to the last that it names where sizes are symbols; where they
/// are numbers it leaves out the slices that take everything, and is one alias where all do.
void join_slices_of_everything(ExportedProgram& program) {
    auto const indexed_again = only_indexed(program);
    std::set<ValueId> indexed;  // made by indexing that does take or add something
    std::map<ValueId, ValueId> names;
    std::vector<ProgramNode> kept;
    for (auto& node : program.nodes) {
        for (auto& [name, value] : node.arguments) {
            // A start that is left open stands as 0 where the size is a number.
            if (is_slice(node) && name == "start" &&
                std::holds_alternative<std::monostate>(value)) {
                value = std::int64_t{0};
            }
            if (auto* const tensor = std::get_if<TensorArgument>(&value)) {
                rename(names, tensor->value);
            } else if (auto* const list = std::get_if<TensorListArgument>(&value)) {
                for (auto& id : list->values) rename(names, id);
            } else if (auto* const optional = std::get_if<OptionalTensorListArgument>(&value)) {
                for (auto& id : optional->values) {
                    if (id) rename(names, *id);
                }
            }
        }
        if (takes_everything(program, node)) {
            auto const of = tensors_read(node).front();
            auto const made = tensors_returned(node).front();
            if (indexed_again.contains(made) || indexed.contains(of)) {
                names.emplace(made, of);
                continue;
            }
            node.target = "torch.ops.aten.alias.default";
            node.arguments = {{.name = "self", .value = TensorArgument{of}}};
        }
        if (is_indexing(node)) {
            for (auto const id : tensors_returned(node)) indexed.insert(id);
        }
        kept.push_back(std::move(node));
    }
    program.nodes = std::move(kept);
    for (auto& id : program.outputs) rename(names, id);
    for (auto& mutation : program.mutations) rename(names, mutation.source);
}

}  // namespace

BoundProgram bind(SymbolicProgram const& symbolic, RequestedDimensions const& requested,
                  RequestedDimensions const& defaults) {
    BoundProgram bound{.program = symbolic.program, .dimensions = {}, .notes = {}};
    auto const& symbols = symbolic.expressions.symbols();
    if (symbols.empty()) return bound;

    Binding binding{symbolic};
    for (auto const& [name, value] : requested.named) binding.set(name, value, requested.axes);
    auto const set_flag = [&](char const* name, std::int32_t dimension, std::int64_t value) {
        if (requested.axes.contains(name)) return binding.set(name, value, requested.axes);
        binding.set_dimension(dimension, value, std::string{"--"} + name);
    };
    if (requested.batch) set_flag("batch", 0, *requested.batch);
    if (requested.sequence) set_flag("seq", 1, *requested.sequence);
    for (auto const& [name, axis] : requested.axes) {
        bool const is_used =
            (name == "batch" && requested.batch) || (name == "seq" && requested.sequence) ||
            std::any_of(requested.named.begin(), requested.named.end(),
                        [&name = name](auto const& named) { return named.first == name; });
        if (is_used) continue;
        throw InputError{"--axis " + name + "=" + axis, "no flag gives it a size",
                         "--dim " + name + "=N too"};
    }
    if (defaults.batch) binding.set_if_open(0, *defaults.batch);
    if (defaults.sequence) binding.set_if_open(1, *defaults.sequence);
    for (auto const& [axis, value] : defaults.named) binding.set_if_open(axis, value);
    auto const given = binding.values();
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        auto const value = given[i].integer();
        if (!value) continue;
        bound.dimensions.push_back(
            {.symbol = symbols[i], .value = *value, .axes = binding.axes_of(i)});
    }

    auto values = symbolic.expressions.evaluate(given);
    auto const sizes = sizes_text(bound.dimensions);
    std::vector<std::pair<ExpressionId, ShapeValue>> instead;
    // What follows from a corrected size may need correcting in turn.
    for (auto pass = symbolic.computed.size(); pass > 0; --pass) {
        auto const known = instead.size();
        for (auto const& [stated, computed] : symbolic.computed) {
            auto const& made = values[static_cast<std::size_t>(computed)];
            if (!made.is_defined() || values[static_cast<std::size_t>(stated)] == made) continue;
            instead.emplace_back(stated, made);
        }
        if (instead.size() == known) break;
        values = symbolic.expressions.evaluate(given, instead);
    }
    if (!instead.empty()) {
        bound.notes.push_back(
            "at " + sizes +
            " the file states sizes that its own nodes do not compute; theirs are "
            "taken, as PyTorch does when it runs");
    }
    check_ranges(symbolic, values, sizes, bound.notes);
    check_conditions(symbolic, values, sizes, bound.notes);

    for (auto const& slot : symbolic.slots) {
        auto const& value = values[static_cast<std::size_t>(slot.expression)];
        if (slot.place == ShapeSlot::Place::argument) {
            auto& node = bound.program.nodes.at(static_cast<std::size_t>(slot.owner));
            auto& argument = node.arguments.at(static_cast<std::size_t>(slot.position));
            if (!set_argument(argument.value, slot.item, value)) {
                throw InputError{symbolic.where,
                                 "argument " + argument.name + " of " + node.target +
                                     " is undefined at " + sizes,
                                 "sizes that the model can run at"};
            }
            continue;
        }
        auto& tensor = bound.program.values.at(static_cast<std::size_t>(slot.owner));
        auto const extent = value.integer();
        if (!extent) {
            throw InputError{symbolic.where,
                             "tensor " + tensor.name + " has no whole size at " + sizes,
                             "sizes that the model can run at"};
        }
        auto const position = static_cast<std::size_t>(slot.position);
        switch (slot.place) {
            case ShapeSlot::Place::size:
                tensor.sizes.at(position) = *extent;
                break;
            case ShapeSlot::Place::stride:
                tensor.strides.at(position) = *extent;
                break;
            default:
                tensor.storage_offset = *extent;
                break;
        }
    }
    for (auto const& tensor : bound.program.values) {
        if (auto const fault = fault_of(tensor)) {
            throw InputError{symbolic.where,
                             "at " + sizes + " tensor " + tensor.name + " " + *fault, held_tensors};
        }
    }
    join_slices_of_everything(bound.program);
    for (auto& tensor : bound.program.values) give_single_entries_a_stride(tensor);
    return bound;
}

std::vector<FreeDimension> free_dimensions(SymbolicProgram const& symbolic) {
    Binding const binding{symbolic};
    std::vector<FreeDimension> free;
    auto const& symbols = symbolic.expressions.symbols();
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        if (!binding.is_needed(i)) continue;
        FreeDimension dimension{
            .symbol = symbols[i], .axes = binding.axes_of(i), .least = {}, .most = {}};
        dimension.is_unbacked = dimension.axes.empty() && symbols[i].starts_with('u');
        for (auto const& range : symbolic.ranges) {
            if (symbolic.expressions.symbol_at(range.expression) != i) continue;
            dimension.least = range.least;
            dimension.most = range.most;
        }
        free.push_back(std::move(dimension));
    }
    return free;
}

}  // namespace derate
