#include "workloads/linear_partition.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>
#include <tuple>

#include "core/input_error.hpp"
#include "workloads/node_shapes.hpp"

namespace derate {
namespace {

constexpr std::int64_t least_size = 2;
constexpr double most_exact = 9007199254740992;  // 2^53

/// factor * size^power, power 0 or 1.
struct Term {
    std::int64_t factor = 0;
    int power = 0;

    friend bool operator==(Term, Term) = default;
};

/// What expressions come to as terms in one symbol, for sizes from 2 to `most`.
class Terms {
  public:
    /// \param at_some_size  values of all expressions where the symbol has some value
    Terms(ShapeExpressions const& expressions, std::size_t symbol, std::int64_t most,
          std::vector<ShapeValue> at_some_size)
        : expressions_{expressions},
          symbol_{symbol},
          most_{most},
          values_{std::move(at_some_size)} {}

    [[nodiscard]] bool is_fixed(ExpressionId id) const {
        auto const symbols = expressions_.symbols_of(id);
        return !std::binary_search(symbols.begin(), symbols.end(), symbol_);
    }

    /// Empty: it is none, or nobody knows.
    [[nodiscard]] std::optional<Term> of(ExpressionId id) {
        auto const known = known_.find(id);
        if (known != known_.end()) return known->second;
        auto const term = found(id);
        known_.emplace(id, term);
        return term;
    }

  private:
    [[nodiscard]] std::optional<Term> found(ExpressionId id) {
        if (is_fixed(id)) {
            auto const value = values_[static_cast<std::size_t>(id)].integer();
            return value ? std::optional{Term{.factor = *value}} : std::nullopt;
        }
        if (expressions_.symbol_at(id)) return Term{.factor = 1, .power = 1};
        auto const call = expressions_.call_at(id);
        if (!call || call->arguments.empty()) return std::nullopt;
        auto result = of(call->arguments.front());
        for (auto const argument : call->arguments.subspan(1)) {
            auto const other = of(argument);
            if (!result || !other) return std::nullopt;
            result = combined(call->function, *result, *other);
        }
        bool const is_itself =
            call->arguments.size() > 1 || call->function == ShapeFunction::identity;
        return is_itself && result && result->factor > 0 ? result : std::nullopt;
    }

    [[nodiscard]] std::optional<Term> combined(ShapeFunction function, Term a, Term b) const {
        switch (function) {
            case ShapeFunction::multiply: {
                Term product{.power = a.power + b.power};
                bool const is_beyond = __builtin_mul_overflow(a.factor, b.factor, &product.factor);
                if (is_beyond || product.power > 1) return std::nullopt;
                return product;
            }
            case ShapeFunction::add: {
                Term sum{.power = a.power};
                bool const is_beyond = __builtin_add_overflow(a.factor, b.factor, &sum.factor);
                if (is_beyond || a.power != b.power) return std::nullopt;
                return sum;
            }
            case ShapeFunction::minimum:
            case ShapeFunction::maximum: {
                if (a.power == b.power) {
                    bool const takes_a =
                        (function == ShapeFunction::minimum) == (a.factor <= b.factor);
                    return takes_a ? a : b;
                }
                auto const& moving = a.power == 1 ? a : b;
                auto const& fixed = a.power == 1 ? b : a;
                std::int64_t at_most = 0;
                if (__builtin_mul_overflow(moving.factor, most_, &at_most)) return std::nullopt;
                bool const is_above = moving.factor * least_size >= fixed.factor;
                if (!is_above && at_most > fixed.factor) return std::nullopt;
                return is_above == (function == ShapeFunction::maximum) ? moving : fixed;
            }
            case ShapeFunction::floor_divide:
            case ShapeFunction::exact_divide:
                if (b.factor <= 0 || a.factor % b.factor != 0 || a.power < b.power) {
                    return std::nullopt;
                }
                return Term{.factor = a.factor / b.factor, .power = a.power - b.power};
            default:
                return std::nullopt;
        }
    }

    ShapeExpressions const& expressions_;
    std::size_t symbol_;
    std::int64_t most_;
    std::vector<ShapeValue> values_;
    std::map<ExpressionId, std::optional<Term>> known_;
};

/// A number of a bound program, from two sizes, where it is known to be a term.
std::optional<Term> term_of(std::int64_t at_two, std::int64_t at_three) {
    if (at_two == at_three) return Term{.factor = at_two};
    if (at_two % 2 == 0 && at_two / 2 * 3 == at_three)
        return Term{.factor = at_two / 2, .power = 1};
    return std::nullopt;
}

/// A tensor's sizes and strides.
struct TensorTerms {
    std::vector<Term> sizes;
    std::vector<Term> strides;
    bool are_known = true;

    TensorTerms(TensorValue const& at_two, TensorValue const& at_three) {
        auto const read = [this](auto const& two, auto const& three, std::vector<Term>& terms) {
            are_known = are_known && two.size() == three.size();
            for (std::size_t i = 0; are_known && i < two.size(); ++i) {
                auto const term = term_of(two[i], three[i]);
                are_known = term.has_value();
                if (term) terms.push_back(*term);
            }
        };
        read(at_two.sizes, at_three.sizes, sizes);
        read(at_two.strides, at_three.strides, strides);
    }
};

/// Sizes at which two different terms are equal are left out.
void leave_out_equal(Term a, Term b, std::set<std::int64_t>& left_out) {
    if (a.power == b.power) return;
    auto const& moving = a.power > b.power ? a : b;
    auto const& fixed = a.power > b.power ? b : a;
    if (moving.power - fixed.power == 1 && moving.factor > 0 && fixed.factor % moving.factor == 0) {
        left_out.insert(fixed.factor / moving.factor);
    } else if (moving.power - fixed.power == 2 && moving.factor > 0) {
        auto const square = fixed.factor / moving.factor;
        auto const root = std::llround(std::sqrt(static_cast<double>(square)));
        if (root * root * moving.factor == fixed.factor) left_out.insert(root);
    }
}

/// memory_order() compares each stride with the product of the sizes inside it, in these orders.
void leave_out_other_orders(TensorTerms const& tensor, std::set<std::int64_t>& left_out) {
    auto const rank = tensor.sizes.size();
    std::vector<std::vector<std::size_t>> orders(1);
    for (std::size_t d = rank; d-- > 0;) orders.front().push_back(d);
    if (rank == 4) orders.push_back({1, 3, 2, 0});
    if (rank == 5) orders.push_back({1, 4, 3, 2, 0});
    for (auto const& order : orders) {
        Term inside{.factor = 1};
        for (auto const d : order) {
            if (tensor.sizes[d] == Term{.factor = 1}) continue;
            leave_out_equal(tensor.strides[d], inside, left_out);
            inside.factor *= tensor.sizes[d].factor;
            inside.power += tensor.sizes[d].power;
        }
    }
}

/// Extents of two operands, counted from the last: equal terms, or one of them 1.
bool match(TensorTerms const& a, TensorTerms const& b, std::size_t skipped) {
    auto const rank = std::min(a.sizes.size(), b.sizes.size());
    for (std::size_t i = 1 + skipped; i <= rank; ++i) {
        auto const left = a.sizes[a.sizes.size() - i];
        auto const right = b.sizes[b.sizes.size() - i];
        Term const one{.factor = 1};
        if (left != right && left != one && right != one) return false;
    }
    return true;
}

bool is_plain_product(ProgramNode const& node) {
    auto const name = functional_name(node);
    return name == "linear" || name == "addmm" || name == "mm" || name == "bmm" ||
           name == "matmul" || name == "baddbmm";
}

/// The dimension of a tensor that follows from the size, if one does.
bool moves_in_first_alone(TensorTerms const& tensor) {
    for (std::size_t d = 1; d < tensor.sizes.size(); ++d) {
        if (tensor.sizes[d].power != 0) return false;
    }
    return true;
}

/// Whether a call's counts are what LinearPartition needs them to be.
bool is_countable(ExportedProgram const& program, ProgramNode const& node,
                  std::vector<TensorTerms> const& tensors) {
    auto const terms = [&](ValueId id) -> TensorTerms const& {
        return tensors[static_cast<std::size_t>(id)];
    };
    auto const named = [&](std::string_view argument) -> TensorTerms const* {
        auto const id = tensor_id(node, argument);
        return id ? &terms(*id) : nullptr;
    };
    auto const read = tensors_read(node);
    auto const made = tensors_returned(node);
    auto const all_match = [&](std::size_t skipped) {
        for (auto const id : read) {
            if (!made.empty() && !match(terms(id), terms(made.front()), skipped)) return false;
            for (auto const other : read) {
                if (!match(terms(id), terms(other), skipped)) return false;
            }
        }
        return true;
    };
    auto const is_fixed = [&](ValueId id) {
        return std::ranges::all_of(terms(id).sizes, [](Term size) { return size.power == 0; });
    };
    if (std::ranges::all_of(read, is_fixed) && std::ranges::all_of(made, is_fixed)) return true;
    switch (kind_of(program, node)) {
        case OperatorKind::convolution: {
            auto const* input = named(named("input") != nullptr ? "input" : "self");
            auto const* weight = named("weight");
            return operator_name(node) != "conv_tbc" && input != nullptr && weight != nullptr &&
                   moves_in_first_alone(*input) && input->sizes.size() == weight->sizes.size() &&
                   !made.empty() && moves_in_first_alone(terms(made.front()));
        }
        case OperatorKind::pool:
            return !read.empty() && !made.empty() && terms(read.front()).sizes.size() > 2 &&
                   moves_in_first_alone(terms(read.front())) &&
                   moves_in_first_alone(terms(made.front()));
        case OperatorKind::linear:
        case OperatorKind::matmul: {
            if (!is_plain_product(node)) return false;
            std::size_t const inner = 2;
            auto const name = functional_name(node);
            return name == "linear" || name == "addmm" || all_match(inner);
        }
        case OperatorKind::attention: {
            if (operator_name(node) != "scaled_dot_product_attention") return false;
            auto const* query = named("query");
            auto const* key = named("key");
            auto const* value = named("value");
            if (query == nullptr || key == nullptr || value == nullptr) return false;
            auto const has_same_powers = [&](TensorTerms const& a) {
                return a.sizes.size() == query->sizes.size() &&
                       std::ranges::equal(a.sizes, query->sizes, {}, &Term::power, &Term::power);
            };
            return has_same_powers(*key) && has_same_powers(*value);
        }
        case OperatorKind::elementwise:
            return find_operator(node) != nullptr && all_match(0);
        case OperatorKind::reduction: {
            auto const count = [](TensorTerms const& tensor) {
                Term product{.factor = 1};
                for (auto const& size : tensor.sizes) {
                    product.factor *= size.factor;
                    product.power += size.power;
                }
                return product;
            };
            if (read.empty() || made.empty()) return false;
            auto const all = count(terms(read.front()));
            auto const kept = count(terms(made.front()));
            return kept.factor > 0 && all.factor % kept.factor == 0 && all.power >= kept.power;
        }
        case OperatorKind::norm:
        case OperatorKind::softmax:
        case OperatorKind::activation:
        case OperatorKind::copy:
        case OperatorKind::view:
        case OperatorKind::maybe_view:
        case OperatorKind::dropout:
            return true;
        // A kernel of its own, of which the table counts as far as it can be read.
        case OperatorKind::embedding:
            return operator_name(node) == "embedding";
        case OperatorKind::gather:
            return operator_name(node) == "index_select" || operator_name(node) == "index";
        case OperatorKind::scatter:
        case OperatorKind::recurrent:
        case OperatorKind::decomposition:
            return false;
    }
    return false;
}

/// The line through all values, exact; empty: there is none.
std::optional<LinearNumber> line_through(std::span<double const> values,
                                         std::span<std::int64_t const> sizes) {
    LinearNumber line{.at_zero = values.front()};
    bool const is_constant =
        std::ranges::all_of(values, [&](double value) { return value == values.front(); });
    if (is_constant) return line;
    auto const size = [&](std::size_t i) { return static_cast<double>(sizes[i]); };
    line.per_step = (values[1] - values[0]) / (size(1) - size(0));
    line.at_zero = values[0] - line.per_step * size(0);
    bool const is_whole =
        line.per_step == std::floor(line.per_step) && line.at_zero == std::floor(line.at_zero);
    auto const greatest =
        std::abs(line.at_zero) + std::abs(line.per_step) * static_cast<double>(sizes.back());
    if (!is_whole || !(greatest < most_exact)) return std::nullopt;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (line.at(size(i)) != values[i]) return std::nullopt;
    }
    return line;
}

/// Calls `visit` with each number of the subgraph's nodes, a double or an std::int64_t, always in
/// the same order.
template <class Visit>
void for_each_number(Subgraph& subgraph, Visit const& visit) {
    for (auto& node : subgraph.nodes) {
        for (auto& size : node.input_shape) visit(size);
        for (auto& size : node.output_shape) visit(size);
        for (auto& [name, value] : node.attributes) {
            if (auto* const number = std::get_if<double>(&value)) visit(*number);
            if (auto* const list = std::get_if<std::vector<double>>(&value)) {
                for (auto& number : *list) visit(number);
            }
        }
    }
}

/// What is left of a subgraph without its numbers.
Subgraph without_numbers(Subgraph subgraph) {
    subgraph.work = Flops{};
    subgraph.traffic = {};
    subgraph.descriptor.clear();
    for_each_number(subgraph, [](auto& number) { number = 0; });
    return subgraph;
}

/// What a program's expressions are; sizes at which its structure may be another are left out.
/// \return  false: they are not all terms, or something else is not as LinearPartition needs it
bool are_terms(SymbolicProgram const& symbolic, Terms& terms, std::int64_t most,
               std::set<std::int64_t>& left_out) {
    auto const is_term_or_fixed = [&](ExpressionId id) {
        return terms.is_fixed(id) || terms.of(id).has_value();
    };
    for (auto const& condition : symbolic.conditions) {
        if (condition.expression && !terms.is_fixed(*condition.expression)) return false;
    }
    for (auto const& range : symbolic.ranges) {
        if (terms.is_fixed(range.expression)) continue;
        auto const term = terms.of(range.expression);
        if (!term || term->power != 1) return false;
        if (range.least && *range.least > term->factor * least_size) return false;
        if (range.most && *range.most / term->factor < most) return false;
    }
    for (auto const& [stated, computed] : symbolic.computed) {
        if (terms.is_fixed(stated) && terms.is_fixed(computed)) continue;
        auto const term = terms.of(stated);
        if (!term || term != terms.of(computed)) return false;
    }
    struct Tensor {
        std::vector<Term> sizes, strides;
        Term offset;
    };
    auto const fixed = [](std::vector<std::int64_t> const& numbers) {
        std::vector<Term> all;
        for (auto const number : numbers) all.push_back({.factor = number});
        return all;
    };
    std::vector<Tensor> tensors;
    for (auto const& value : symbolic.program.values) {
        tensors.push_back({.sizes = fixed(value.sizes),
                           .strides = fixed(value.strides),
                           .offset = {.factor = value.storage_offset}});
    }
    for (auto const& slot : symbolic.slots) {
        if (!is_term_or_fixed(slot.expression)) return false;
        if (slot.place == ShapeSlot::Place::argument) {
            if (terms.is_fixed(slot.expression)) continue;
            auto const& node = symbolic.program.nodes[static_cast<std::size_t>(slot.owner)];
            auto const* row = find_operator(node);
            bool const counts_nothing = row != nullptr && (row->kind == OperatorKind::view ||
                                                           row->kind == OperatorKind::maybe_view ||
                                                           row->kind == OperatorKind::copy);
            if (!counts_nothing) return false;
            continue;
        }
        auto const term = terms.of(slot.expression);
        if (!term) return false;
        auto& tensor = tensors[static_cast<std::size_t>(slot.owner)];
        auto const position = static_cast<std::size_t>(slot.position);
        if (slot.place == ShapeSlot::Place::size) tensor.sizes[position] = *term;
        if (slot.place == ShapeSlot::Place::stride) tensor.strides[position] = *term;
        if (slot.place == ShapeSlot::Place::storage_offset) tensor.offset = *term;
    }
    for (auto const& tensor : tensors) {
        if (std::ranges::count(tensor.sizes, 1, &Term::power) > 1) return false;
    }
    // A slice that takes everything is none: bind() compares what it reads with what it makes.
    for (auto const& node : symbolic.program.nodes) {
        auto const read = tensors_read(node);
        auto const made = tensors_returned(node);
        if (operator_name(node) != "slice" || read.size() != 1 || made.size() != 1) continue;
        auto const& before = tensors[static_cast<std::size_t>(read.front())];
        auto const& after = tensors[static_cast<std::size_t>(made.front())];
        if (before.sizes.size() != after.sizes.size()) continue;
        leave_out_equal(before.offset, after.offset, left_out);
        for (std::size_t d = 0; d < before.sizes.size(); ++d) {
            leave_out_equal(before.sizes[d], after.sizes[d], left_out);
            leave_out_equal(before.strides[d], after.strides[d], left_out);
        }
    }
    return true;
}

}  // namespace

std::optional<LinearPartition> LinearPartition::of(SymbolicProgram const& program,
                                                   RequestedDimensions const& requested,
                                                   std::string const& dimension, std::int64_t most,
                                                   RequestedDimensions const& defaults) {
    constexpr std::int64_t fewest = 8;
    if (program.expressions.symbols().empty() || most < fewest) return std::nullopt;
    auto const bound_at = [&](std::int64_t size) {
        auto wanted = requested;
        wanted.named.emplace_back(dimension, size);
        return bind(program, wanted, defaults);
    };
    std::vector<std::int64_t> const sizes{least_size, least_size + 1, most / 2, most - 1, most};
    std::vector<BoundProgram> bound;
    Samples samples;
    try {
        for (auto const size : sizes) {
            bound.push_back(bound_at(size));
            auto& subgraphs = samples.emplace_back();
            for (auto& cut : partition(bound.back().program).subgraphs) {
                subgraphs.push_back(std::move(cut.subgraph));
            }
        }
    } catch (InputError const&) {
        return std::nullopt;  // who asks for that size alone is told why
    }

    // The one symbol that is the size.
    std::optional<std::size_t> symbol;
    std::vector<ShapeValue> given(program.expressions.symbols().size());
    for (std::size_t i = 0; i < bound[0].dimensions.size(); ++i) {
        auto const& at_two = bound[0].dimensions[i];
        auto const index = static_cast<std::size_t>(
            std::ranges::find(program.expressions.symbols(), at_two.symbol) -
            program.expressions.symbols().begin());
        given[index] = ShapeValue::of_integer(at_two.value);
        if (at_two.value == bound[1].dimensions[i].value) continue;
        if (symbol || at_two.value != sizes[0]) return std::nullopt;
        symbol = index;
    }
    if (!symbol) return std::nullopt;

    LinearPartition result;
    result.most_ = most;
    Terms terms{program.expressions, *symbol, most, program.expressions.evaluate(given)};
    if (!are_terms(program, terms, most, result.left_out_)) return std::nullopt;

    auto const& two = bound[0].program;
    auto const& three = bound[1].program;
    std::vector<TensorTerms> tensors;
    for (std::size_t i = 0; i < two.values.size(); ++i) {
        tensors.emplace_back(two.values[i], three.values[i]);
        if (!tensors.back().are_known) return std::nullopt;
        leave_out_other_orders(tensors.back(), result.left_out_);
    }
    for (auto const& node : two.nodes) {
        if (!is_countable(two, node, tensors)) return std::nullopt;
    }
    if (two.nodes.size() != three.nodes.size() || !result.learn_reshapes(two, three)) {
        return std::nullopt;
    }
    for (auto const size : sizes) {
        if (!result.holds(size)) return std::nullopt;
    }
    if (!result.learn_kernels(samples, sizes) || !result.learn_subgraphs(samples, sizes)) {
        return std::nullopt;
    }
    return result;
}

bool LinearPartition::learn_reshapes(ExportedProgram const& at_two,
                                     ExportedProgram const& at_three) {
    /// A call by what it reads and makes at 2 and at 3: terms that are equal at both are equal.
    struct Known {
        std::string_view target;
        std::array<TensorValue const*, 4> tensors;
    };
    std::vector<Known> known;
    auto const is_alike = [](TensorValue const* a, TensorValue const* b) {
        return a->dtype == b->dtype && a->sizes == b->sizes && a->strides == b->strides;
    };
    auto& values = reshapes_.program.values;
    for (std::size_t n = 0; n < at_two.nodes.size(); ++n) {
        auto const& node = at_two.nodes[n];
        auto const* row = find_operator(node);
        if (row == nullptr || row->kind != OperatorKind::maybe_view) continue;
        auto const read = tensors_read(node);
        auto const made = tensors_returned(node);
        if (read.empty() || made.empty()) continue;
        Known const call{
            .target = node.target,
            .tensors = {&value_of(at_two, read.front()), &value_of(at_two, made.front()),
                        &value_of(at_three, read.front()), &value_of(at_three, made.front())}};
        auto const is_known = std::ranges::any_of(known, [&](Known const& one) {
            return one.target == call.target &&
                   std::ranges::equal(one.tensors, call.tensors, is_alike);
        });
        if (is_known) continue;
        known.push_back(call);
        auto const id = static_cast<ValueId>(values.size());
        values.push_back(value_of(at_two, read.front()));
        values.push_back(value_of(at_two, made.front()));
        reshapes_.program.nodes.push_back(
            {.target = node.target,
             .name = {},
             .module = {},
             .arguments = {{.name = "self", .value = TensorArgument{id}}},
             .outputs = {TensorArgument{static_cast<ValueId>(id + 1)}}});
        reshapes_.kinds.push_back(kind_of(at_two, node));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        auto const& reference = *known[i / 2].tensors[2 + i % 2];
        auto const read = [&](std::vector<std::int64_t>& two,
                              std::vector<std::int64_t> const& three) {
            for (std::size_t d = 0; d < two.size(); ++d) {
                auto const term = term_of(two[d], three[d]);
                if (term && term->power == 1) reshapes_.moving.emplace_back(&two[d], term->factor);
            }
        };
        read(values[i].sizes, reference.sizes);
        read(values[i].strides, reference.strides);
    }
    return true;
}

bool LinearPartition::learn_kernels(Samples const& samples, Sizes const& sizes) {
    std::vector<std::vector<KernelTraits>> traits;
    for (auto const& subgraphs : samples) {
        auto& of_size = traits.emplace_back();
        for (auto const& subgraph : subgraphs) of_size.push_back(traits_of(subgraph));
        if (subgraphs.size() != samples.front().size()) return false;
    }
    for (std::size_t i = 0; i < samples.front().size(); ++i) {
        auto const& first = traits.front()[i];
        for (auto const& of_size : traits) {
            auto same = of_size[i];
            same.sizes = first.sizes;
            same.terms = first.terms;
            if (same != first || of_size[i].terms.kernels != first.terms.kernels) return false;
        }
        bool is_linear = true;
        auto const line = [&](auto const& number) {
            std::vector<double> values;
            for (auto const& of_size : traits) values.push_back(number(of_size[i]));
            auto const found = line_through(values, sizes);
            is_linear = is_linear && found;
            return found.value_or(LinearNumber{});
        };
        KernelNumbers numbers{
            .flops = line([](KernelTraits const& of) { return of.terms.flops; }),
            .bytes = line([](KernelTraits const& of) { return of.terms.bytes; }),
            .activation_bytes =
                line([](KernelTraits const& of) { return of.terms.activation_bytes; }),
            .joined_flops = line([](KernelTraits const& of) { return of.terms.joined_flops; }),
            .sizes = {}};
        for (std::size_t f = 0; f < feature_count; ++f) {
            numbers.sizes[f] = line([f](KernelTraits const& of) { return of.sizes[f]; });
        }
        // Work over outputs is one of the sizes: constant where both grow alike, or not at all.
        auto const& [work, outputs] = std::tie(numbers.flops, numbers.sizes[1]);
        bool const is_alike = (work.at_zero == 0 && outputs.at_zero == 0) ||
                              (work.per_step == 0 && outputs.per_step == 0);
        bool const is_ratio = feature_group_of(first.type) == FeatureGroup::memory;
        if (!is_linear || (is_ratio && work != LinearNumber{} && !is_alike)) return false;
        std::size_t kernel = 0;
        for (; kernel < kernels_.size(); ++kernel) {
            if (numbers_[kernel] == numbers && kernels_[kernel] == first) break;
        }
        if (kernel == kernels_.size()) {
            kernels_.push_back(first);
            numbers_.push_back(numbers);
        }
        kernel_of_.push_back(static_cast<int>(kernel));
    }
    return true;
}

bool LinearPartition::learn_subgraphs(Samples& samples, Sizes const& sizes) {
    bool is_linear = true;
    std::vector<double> values(sizes.size());
    auto const line = [&] {
        auto const found = line_through(values, sizes);
        is_linear = is_linear && found;
        return found.value_or(LinearNumber{});
    };
    for (std::size_t i = 0; i < samples.front().size(); ++i) {
        auto const bare = without_numbers(samples.front()[i]);
        std::vector<std::vector<double>> numbers;
        for (auto& subgraphs : samples) {
            if (without_numbers(subgraphs[i]) != bare) return false;
            auto& of_size = numbers.emplace_back();
            for_each_number(subgraphs[i], [&](auto const& number) {
                of_size.push_back(static_cast<double>(number));
            });
        }
        auto const count = [&](auto const& of) {
            for (std::size_t s = 0; s < sizes.size(); ++s) values[s] = of(samples[s][i]);
            return line();
        };
        counts_.push_back(
            {.work = count([](Subgraph const& of) { return of.work.value(); }),
             .input = count([](Subgraph const& of) { return of.traffic.input.value(); }),
             .weights = count([](Subgraph const& of) { return of.traffic.weights.value(); }),
             .output = count([](Subgraph const& of) { return of.traffic.output.value(); })});
        std::size_t n = 0;
        for_each_number(samples.front()[i], [&](auto& number) {
            for (std::size_t s = 0; s < sizes.size(); ++s) values[s] = numbers[s][n];
            ++n;
            auto const found = line();
            if (found.per_step != 0) moving_.push_back({.place = &number, .number = found});
        });
    }
    subgraphs_ = std::move(samples.front());
    return is_linear;
}

bool LinearPartition::holds(std::int64_t size) {
    if (size < least_size || size > most_ || left_out_.contains(size)) return false;
    for (auto const& [number, per_step] : reshapes_.moving) *number = per_step * size;
    for (std::size_t n = 0; n < reshapes_.kinds.size(); ++n) {
        if (kind_of(reshapes_.program, reshapes_.program.nodes[n]) != reshapes_.kinds[n]) {
            return false;
        }
    }
    return true;
}

std::vector<KernelTraits> const& LinearPartition::kernels_at(std::int64_t size) {
    auto const at = static_cast<double>(size);
    for (std::size_t k = 0; k < kernels_.size(); ++k) {
        auto const& numbers = numbers_[k];
        auto& kernel = kernels_[k];
        kernel.terms.flops = numbers.flops.at(at);
        kernel.terms.bytes = numbers.bytes.at(at);
        kernel.terms.activation_bytes = numbers.activation_bytes.at(at);
        kernel.terms.joined_flops = numbers.joined_flops.at(at);
        for (std::size_t f = 0; f < feature_count; ++f) kernel.sizes[f] = numbers.sizes[f].at(at);
    }
    return kernels_;
}

std::vector<Subgraph> const& LinearPartition::subgraphs_at(std::int64_t size) {
    auto const at = static_cast<double>(size);
    for (std::size_t i = 0; i < subgraphs_.size(); ++i) {
        auto const& [work, input, weights, output] = counts_[i];
        subgraphs_[i].work = Flops{work.at(at)};
        subgraphs_[i].traffic = {.input = Bytes{input.at(at)},
                                 .weights = Bytes{weights.at(at)},
                                 .output = Bytes{output.at(at)}};
    }
    for (auto const& [place, number] : moving_) {
        if (auto* const* whole = std::get_if<std::int64_t*>(&place)) {
            **whole = static_cast<std::int64_t>(number.at(at));
        } else {
            *std::get<double*>(place) = number.at(at);
        }
    }
    return subgraphs_;
}

}  // namespace derate
