#include "workloads/wanted_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "workloads/index_uses.hpp"
#include "workloads/moved_elements.hpp"
#include "workloads/moved_values.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;

/// Of these results only the first holds values; the second says where they were.
Names const with_places{"sort",   "topk",   "max",  "min",     "cummax",
                        "cummin", "median", "mode", "kthvalue"};
/// Whatever goes in, what comes out is bounded by the operator itself.
Names const forgetful{"argmax",       "argmin",
                      "argsort",      "nonzero",
                      "searchsorted", "bucketize",
                      "multinomial",  "eq",
                      "ne",           "lt",
                      "le",           "gt",
                      "ge",           "isnan",
                      "isfinite",     "isinf",
                      "logical_and",  "logical_or",
                      "logical_not",  "logical_xor",
                      "any",          "all",
                      "isin",         "equal",
                      "arange",       "zeros",
                      "ones",         "full",
                      "zeros_like",   "ones_like",
                      "full_like",    "new_zeros",
                      "new_ones",     "new_full",
                      "empty",        "empty_like",
                      "new_empty",    "scalar_tensor",
                      "eye",          "linspace",
                      "rand",         "randn",
                      "randint",      "sign",
                      "sgn",          "sigmoid",
                      "tanh",         "softmax",
                      "_softmax",     "hardsigmoid",
                      "sin",          "cos",
                      "one_hot",      "meshgrid",
                      "tril_indices", "triu_indices"};
Names const comparisons{"eq", "ne", "lt", "le", "gt", "ge"};
Names const conjunctions{"logical_and", "logical_or", "bitwise_and", "bitwise_or", "__and__",
                         "__or__",      "mul",        "maximum",     "minimum"};
Names const negations{"logical_not", "bitwise_not", "rsub"};

/// It looks at pixels and their neighbours: what reaches it from outside is an image.
bool reads_map(ProgramNode const& node) {
    auto const* row = find_operator(node);
    auto const name = functional_name(node);
    return (row != nullptr &&
            (row->kind == OperatorKind::convolution || row->kind == OperatorKind::pool)) ||
           is_max_pool(node) || name.starts_with("upsample_") ||
           name.starts_with("_upsample_") || name == "grid_sampler" || name == "im2col";
}

/// Elementwise on floats or a norm: a map stays a map.
bool keeps_map(ProgramNode const& node) {
    auto const* row = find_operator(node);
    return row != nullptr &&
           (row->kind == OperatorKind::elementwise || row->kind == OperatorKind::activation ||
            row->kind == OperatorKind::norm);
}

template <class T>
double element_at(std::vector<std::byte> const& bytes, std::size_t index) {
    T element{};
    std::memcpy(&element, bytes.data() + index * sizeof element, sizeof element);
    return static_cast<double>(element);
}

std::optional<double> constant_element(TensorValue const& value,
                                       std::vector<std::byte> const& bytes, std::size_t index) {
    switch (value.dtype) {
        case ScalarType::uint8:
        case ScalarType::boolean:
            return element_at<std::uint8_t>(bytes, index);
        case ScalarType::int8:
            return element_at<std::int8_t>(bytes, index);
        case ScalarType::int16:
            return element_at<std::int16_t>(bytes, index);
        case ScalarType::int32:
            return element_at<std::int32_t>(bytes, index);
        case ScalarType::int64:
            return element_at<std::int64_t>(bytes, index);
        case ScalarType::float32:
            return element_at<float>(bytes, index);
        case ScalarType::float64:
            return element_at<double>(bytes, index);
        case ScalarType::float16:
        case ScalarType::bfloat16:
            return std::nullopt;
    }
    return std::nullopt;
}

/// Of a tensor whose values the export holds.
std::optional<ValueRange> range_of_constant(TensorValue const& value,
                                            std::vector<std::byte> const& bytes) {
    constexpr std::size_t most_apart = 1 << 22;
    auto const count = bytes.size() / static_cast<std::size_t>(bytes_per_element(value.dtype));
    auto held = distinct_sizes(value);
    std::int64_t elements = 1;
    for (auto const extent : held) elements *= extent;
    if (count == 0 || static_cast<std::size_t>(elements) != count) return std::nullopt;
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i) {
        auto const element = constant_element(value, bytes, i);
        if (!element) return std::nullopt;
        values.push_back(*element);
    }
    if (count > most_apart) {
        auto const [least, most] = std::ranges::minmax(values);
        return ValueRange::of(least, most);
    }
    return range_of_elements(std::move(held), values, values);
}

class Backward {
  public:
    explicit Backward(ExportedProgram const& program)
        : program_{program},
          known_(program.values.size()),
          fixed_(program.values.size(), false),
          producer_(program.values.size()),
          alias_(program.values.size()),
          wanted_(program.values.size()) {
        for (auto const& [id, bytes] : program.constants) {
            known_[index(id)] = range_of_constant(value_of(program, id), bytes);
        }
        for (auto const& input : program.inputs) {
            bool const is_weight = input.kind != InputKind::user_input &&
                                   is_floating_point(value_of(program, input.value).dtype);
            fixed_[index(input.value)] = is_weight || program.constants.contains(input.value);
        }
        find_aliases();
        for (auto const& node : program.nodes) evaluate(node);
        for (auto const id : program.outputs) want(id, {.data = true});
        for (auto node = program.nodes.rbegin(); node != program.nodes.rend(); ++node) {
            follow(*node);
            note_own_wants(*node);
            note_data(*node);
        }
    }

    [[nodiscard]] WantedValues result() && {
        std::vector<std::vector<ValueId>> aliases(program_.values.size());
        for (std::size_t i = 0; i < aliases.size(); ++i) {
            aliases[i] = written_aliases(static_cast<ValueId>(i));
        }
        return {.wanted = std::move(wanted_),
                .known = std::move(known_),
                .written_aliases = std::move(aliases)};
    }

  private:
    [[nodiscard]] Wanted const& of(ValueId id) const { return wanted_[index(id)]; }
    [[nodiscard]] std::optional<ValueRange> const& known(ValueId id) const {
        return known_[index(id)];
    }
    [[nodiscard]] std::vector<ValueId> written_aliases(ValueId id) const {
        auto const found = written_.find(base_of(id));
        return found == written_.end() ? std::vector<ValueId>{} : found->second;
    }

    struct Producer {
        ProgramNode const* node = nullptr;
        std::size_t result = 0;
    };

    static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

    [[nodiscard]] bool is_fixed(ValueId id) const { return fixed_[index(id)]; }

    void find_aliases() {
        std::vector<ValueId> bases;
        for (auto const& node : program_.nodes) {
            auto const read = tensors_read(node);
            auto const made = tensors_returned(node);
            for (std::size_t j = 0; j < made.size(); ++j) {
                producer_[index(made[j])] = {.node = &node, .result = j};
                if (read.empty() || is_floating_point(value_of(program_, made[j]).dtype)) continue;
                if (is_in_place(node)) bases.push_back(base_of(read.front()));
                if (is_in_place(node) || kind_of(program_, node) == OperatorKind::view) {
                    alias_[index(made[j])] = read.front();
                }
            }
        }
        for (auto const base : bases) written_[base] = {base};
        if (written_.empty()) return;
        for (std::size_t i = 0; i < alias_.size(); ++i) {
            if (!alias_[i]) continue;
            auto const found = written_.find(base_of(static_cast<ValueId>(i)));
            if (found != written_.end()) found->second.push_back(static_cast<ValueId>(i));
        }
    }

    [[nodiscard]] ValueId base_of(ValueId id) const {
        while (alias_[index(id)]) id = *alias_[index(id)];
        return id;
    }

    /// What later calls want of `written` through all tensors that share memory with it.
    [[nodiscard]] Wanted wanted_through_memory(ValueId written) const {
        Wanted wanted;
        for (auto const alias : written_aliases(written)) {
            auto own = of(alias);
            for (auto id = alias; own.range && alias_[index(id)]; id = *alias_[index(id)]) {
                auto const [node, result] = producer_[index(id)];
                if (!is_in_place(*node)) {
                    own.range = moved_back(program_, *node, result, 0, *own.range);
                }
            }
            wanted.add(own);
        }
        std::vector<ValueId> views;
        for (auto id = written; alias_[index(id)]; id = *alias_[index(id)]) views.push_back(id);
        for (auto view = views.rbegin(); wanted.range && view != views.rend(); ++view) {
            auto const [node, result] = producer_[index(*view)];
            if (is_in_place(*node)) continue;
            auto const of_base = *wanted.range;
            auto const of_view =
                moved_on(program_, *node, result, [&](ValueId) { return std::optional{of_base}; });
            wanted.range = of_view ? *of_view : of_base.in_one();
        }
        return wanted;
    }

    /// Range of a number or of a tensor that depends on the export alone.
    [[nodiscard]] std::optional<ValueRange> constant(ProgramNode const& node,
                                                     std::string_view argument) const {
        auto const* given = node.find_argument(argument);
        if (given == nullptr) return std::nullopt;
        if (auto const* tensor = std::get_if<TensorArgument>(given)) return known(tensor->value);
        if (auto const* integer = std::get_if<std::int64_t>(given)) {
            auto const number = static_cast<double>(*integer);
            return ValueRange::of(number, number);
        }
        if (auto const* real = std::get_if<double>(given)) return ValueRange::of(*real, *real);
        return std::nullopt;
    }

    /// Ranges of what the graph makes of constants alone.
    void evaluate(ProgramNode const& node) {
        auto const made = tensors_returned(node);
        auto const read = tensors_read(node);
        auto const* row = find_operator(node);
        bool const each = made.size() == 1 || (row != nullptr && row->kind == OperatorKind::view);
        for (std::size_t j = 0; j < made.size(); ++j) {
            if (written_.contains(base_of(made[j]))) continue;
            if (each) known_[index(made[j])] = evaluated(node, j);
            fixed_[index(made[j])] =
                known(made[j]).has_value() ||
                std::ranges::all_of(read, [&](ValueId id) { return is_fixed(id); });
        }
    }

    [[nodiscard]] std::optional<ValueRange> evaluated(ProgramNode const& node,
                                                      std::size_t j) const {
        static Names const zeros{"zeros", "zeros_like", "new_zeros"};
        static Names const ones{"ones", "ones_like", "new_ones"};
        static Names const full{"full", "full_like", "new_full"};
        auto const name = functional_name(node);
        auto const read = tensors_read(node);
        auto const& result = value_of(program_, tensors_returned(node)[j]);
        if (result.element_count() == 0) return std::nullopt;
        if (zeros.contains(name)) return ValueRange::of(0, 0);
        if (ones.contains(name)) return ValueRange::of(1, 1);
        if (full.contains(name)) return constant(node, "fill_value");
        if (name == "arange" && read.empty() && !is_boolean(result)) {
            auto const start = number_argument(node, "start", 0);
            auto const step = number_argument(node, "step", 1);
            std::vector<double> values;
            for (std::int64_t i = 0; i < result.element_count(); ++i) {
                values.push_back(start + step * static_cast<double>(i));
            }
            return range_of_elements(result.sizes, values, values);
        }
        if (read.empty()) return std::nullopt;
        if (moves_values(node)) {
            return moved_on(program_, node, j, [&](ValueId id) { return known(id); });
        }
        auto const self = constant(node, "self");
        if (!self) return std::nullopt;
        if (name == "cumsum") return running_sum(node, *self);
        auto const other = constant(node, "other");
        if (!other) return std::nullopt;
        auto const alpha = number_argument(node, "alpha", 1);
        if (name == "add" || name == "sub" || name == "rsub") {
            auto const factor = name == "add" ? alpha : -alpha;
            auto const& first = name == "rsub" ? *other : *self;
            auto const& second = name == "rsub" ? *self : *other;
            return combined(first, second, [&](double a, double b, double c, double d) {
                return factor >= 0 ? std::pair{a + factor * c, b + factor * d}
                                   : std::pair{a + factor * d, b + factor * c};
            });
        }
        if (name == "mul") {
            return combined(*self, *other, [](double a, double b, double c, double d) {
                auto const [low, high] = std::minmax({a * c, a * d, b * c, b * d});
                return std::pair{low, high};
            });
        }
        return std::nullopt;
    }

    [[nodiscard]] std::optional<ValueRange> running_sum(ProgramNode const& node,
                                                        ValueRange const& terms) const {
        auto const* of = tensor_argument(program_, node, "self");
        if (of == nullptr || of->sizes.empty()) return terms;
        auto const rank = static_cast<std::int64_t>(of->sizes.size());
        auto const dimension = (integer_argument(node, "dim", 0) + rank) % rank;
        std::size_t step = 1;
        for (auto d = dimension + 1; d < rank; ++d) {
            step *= static_cast<std::size_t>(extent(*of, d));
        }
        auto const count = static_cast<std::size_t>(extent(*of, dimension));
        std::vector<double> low;
        std::vector<double> high;
        for (auto const element : broadcast_elements(terms.shape, of->sizes)) {
            auto const i = low.size();
            bool const begins = i / step % count == 0;
            auto const term = static_cast<std::size_t>(element);
            low.push_back(terms.low[term] + (begins ? 0 : low[i - step]));
            high.push_back(terms.high[term] + (begins ? 0 : high[i - step]));
        }
        return range_of_elements(of->sizes, std::move(low), std::move(high));
    }

    void want(ValueId id, Wanted wanted) {
        if (is_fixed(id)) return;
        if (wanted.range) {
            wanted.range = narrowed_to(*wanted.range, value_of(program_, id).sizes);
            if (wanted.range->is_unbounded()) wanted.range.reset();
        }
        wanted_[index(id)].add(wanted);
    }

    void note_own_wants(ProgramNode const& node) {
        for (auto const& use : index_uses(program_, node)) {
            Wanted wanted;
            auto const bound = static_cast<double>(std::max<std::int64_t>(use.bound, 1));
            switch (use.kind) {
                case IndexKind::write:
                    wanted.once = true;
                    [[fallthrough]];
                case IndexKind::read:
                    wanted.range = ValueRange::of(0, bound - 1);
                    wanted.rows = use.bound;
                    wanted.direct = true;
                    break;
                case IndexKind::offsets:
                    wanted.offsets_end = use.bound;
                    wanted.total = use.total;
                    break;
                case IndexKind::lengths:
                    wanted.longest = std::max<std::int64_t>(use.bound - 1, 1);
                    wanted.total = use.total;
                    break;
            }
            want(use.ids, wanted);
        }
        auto const name = functional_name(node);
        if (reads_map(node)) {
            if (auto const read = tensors_read(node); !read.empty()) {
                want(read.front(), {.map = true});
            }
        }
        if (comparisons.contains(name)) want_among_positions(node, name);
        auto const want_mask = [&](std::string_view argument, bool keeps) {
            auto const mask = tensor_id(node, argument);
            if (mask) want(*mask, {.keep = keeps, .drop = !keeps});
        };
        if (name == "where") {
            // The branch that is the same everywhere is what stands for "not this".
            auto const is_plain = [&](std::string_view argument) {
                auto const* tensor = tensor_argument(program_, node, argument);
                return tensor == nullptr || tensor->element_count() == 1;
            };
            want_mask("condition", !is_plain("self") || is_plain("other"));
        } else if (name == "masked_fill") {
            want_mask("mask", false);
        } else if (name == "masked_scatter" || name == "masked_select") {
            want_mask("mask", true);
        } else if (auto const mask = tensor_id(node, "attn_mask");
                   mask && is_boolean(value_of(program_, *mask))) {
            want_mask("attn_mask", true);
        }
    }

    void follow(ProgramNode const& node) {
        auto const made = tensors_returned(node);
        if (made.empty()) return;
        auto const name = functional_name(node);
        std::vector<Wanted> results;
        for (auto const id : made) {
            results.push_back(of(id));
            if (with_places.contains(name)) break;
        }
        if (is_in_place(node)) results.front().add(wanted_through_memory(made.front()));
        Wanted wanted;
        for (auto const& result : results) wanted.add(result);
        follow_uses(node, name, wanted);
        if (!wanted.is_index()) return;
        wanted.keep = wanted.drop = wanted.map = false;
        if (moves_values(node)) {
            follow_moves(node, wanted, results);
            return;
        }
        if (forgetful.contains(name)) return;
        if (wanted.range && wanted.hashed) {
            for (auto const id : tensors_read(node)) {
                if (!is_boolean(value_of(program_, id))) want(id, anything_for_a_hash(wanted));
            }
            return;
        }
        if (wanted.range && invert(node, name, wanted)) return;
        if (wanted.offsets_end && name == "cumsum" && want_lengths(node, *wanted.offsets_end)) {
            return;
        }
        for (auto const id : tensors_read(node)) {
            if (is_boolean(value_of(program_, id))) continue;
            want(id, {.lost = wanted.lost.empty() ? node.target : wanted.lost});
        }
    }

    void follow_moves(ProgramNode const& node, Wanted const& wanted,
                      std::vector<Wanted> const& results) {
        auto const read = tensors_read(node);
        auto const sources = moved_tensors(program_, node);
        auto const starts = starts_of_fields(node, read);
        for (std::size_t k = 0; k < read.size(); ++k) {
            if (std::ranges::find(sources, read[k]) == sources.end()) continue;
            auto own = wanted;
            own.range.reset();
            for (std::size_t j = 0; j < results.size(); ++j) {
                if (!results[j].range) continue;
                auto range = moved_back(program_, node, j, k, *results[j].range);
                if (!starts.empty()) {
                    range = within_fields(range, ValueRange::of(starts[k], starts[k]), starts);
                }
                own.range = own.range ? intersection(*own.range, range) : range;
            }
            if (own.offsets_end && !keeps_lists(node, k)) {
                own.offsets_end.reset();
                own.lost = node.target;
            }
            want(read[k], own);
        }
    }

    /// Lists of offsets, along the last dimension, stay whole, or are cut from one list.
    [[nodiscard]] bool keeps_lists(ProgramNode const& node, std::size_t k) const {
        auto const& from = value_of(program_, tensors_read(node)[k]);
        if (from.sizes.size() <= 1) return true;
        auto const held = elements_held(program_, node, 0, k);
        return held &&
               extent(value_of(program_, tensors_returned(node).front()), -1) == extent(from, -1) &&
               (held->size() < 2 || (*held)[1] - (*held)[0] == 1);
    }

    /// What is added to each of the tensors that a call joins: where fields of one table begin.
    [[nodiscard]] std::vector<double> starts_of_fields(ProgramNode const& node,
                                                       std::vector<ValueId> const& read) const {
        auto const name = functional_name(node);
        if (name != "cat" && name != "concat" && name != "stack") return {};
        std::vector<double> starts;
        for (auto id : read) {
            if (is_fixed(id)) return {};
            auto const* made_by = producer_[index(id)].node;
            while (made_by != nullptr && moves_values(*made_by)) {
                auto const sources = moved_tensors(program_, *made_by);
                if (sources.size() != 1) break;
                made_by = producer_[index(sources.front())].node;
            }
            bool const adds = made_by != nullptr && functional_name(*made_by) == "add";
            auto const added = adds ? constant(*made_by, "other") : std::nullopt;
            starts.push_back(added && added->is_uniform() ? added->least() : 0);
        }
        return starts;
    }

    /// Lengths whose running sum says where bags begin.
    bool want_lengths(ProgramNode const& node, std::int64_t end) {
        auto const self = tensor_id(node, "self");
        if (!self) return false;
        auto const& lengths = value_of(program_, *self);
        auto const terms =
            std::max<std::int64_t>(extent(lengths, integer_argument(node, "dim", 0)), 1);
        if (end < terms) {
            want(*self, {.range = ValueRange::of(0, 0)});
        } else if (lengths.element_count() == terms) {
            want(*self, {.longest = (end + terms - 1) / terms, .total = end});
        } else {
            want(*self, {.longest = end / terms});
        }
        return true;
    }

    static Wanted anything_for_a_hash(Wanted wanted) {
        constexpr double identifiers = 2147483648;  // 2^31
        wanted.range = ValueRange::of(0, identifiers - 1);
        wanted.hashed = true;
        return wanted;
    }

    /// More was done to ids than moving and shifting them.
    [[nodiscard]] bool is_hash(ValueId id) const {
        auto const* node = producer_[index(id)].node;
        if (node == nullptr || forgetful.contains(functional_name(*node))) return false;
        auto const name = functional_name(*node);
        bool const shifts = (name == "add" || name == "sub") && constant(*node, "other");
        if (!moves_values(*node) && !shifts) return true;
        return std::ranges::any_of(moved_tensors(program_, *node),
                                   [&](ValueId source) { return is_hash(source); });
    }

    /// Masks and maps.
    void follow_uses(ProgramNode const& node, std::string_view name, Wanted const& wanted) {
        if (!wanted.keep && !wanted.drop && !wanted.map) return;
        Wanted uses{.keep = wanted.keep, .drop = wanted.drop, .map = wanted.map};
        auto const read = tensors_read(node);
        if (read.empty()) return;
        if (comparisons.contains(name)) {
            follow_comparison(node, name, uses);
            return;
        }
        bool const one_minus = name == "sub" && constant(node, "self").has_value();
        if (negations.contains(name) || one_minus) std::swap(uses.keep, uses.drop);
        if (moves_values(node)) {
            for (auto const id : moved_tensors(program_, node)) want(id, uses);
        } else if (negations.contains(name) || one_minus || conjunctions.contains(name)) {
            for (auto const id : read) want(id, uses);
        } else if (uses.map && keeps_map(node)) {
            for (auto const id : read) want(id, {.map = true});
        }
    }

    /// Which floating-point tensors the call reads as numbers. A mask of such numbers is compared,
    /// multiplied into what it masks, and summed to count what it keeps; nothing else.
    void note_data(ProgramNode const& node) {
        static Names const counting{"sum", "mean", "cumsum", "count_nonzero", "any", "all"};
        auto const name = functional_name(node);
        if (comparisons.contains(name) || counting.contains(name) || name == "logical_not") return;
        auto const made = tensors_returned(node);
        bool const passes_on =
            moves_values(node) || negations.contains(name) ||
            ((name == "sub" || name == "mul") && (constant(node, "self") || constant(node, "other")));
        bool const is_data = !passes_on || std::ranges::any_of(made, [&](ValueId id) {
            return is_floating_point(value_of(program_, id).dtype) && of(id).data;
        });
        if (!is_data) return;
        auto const read = tensors_read(node);
        for (auto const id : read) {
            auto const& value = value_of(program_, id);
            bool const masks = name == "mul" && std::ranges::any_of(read, [&](ValueId other) {
                return value.element_count() < value_of(program_, other).element_count();
            });
            if (is_floating_point(value.dtype) && !masks) want(id, {.data = true});
        }
    }

    /// What is compared with a row of positions is one of them, or a length.
    void want_among_positions(ProgramNode const& node, std::string_view name) {
        auto const one_of = [&](std::string_view argument, std::string_view against) {
            auto const id = tensor_id(node, argument);
            auto const positions = constant(node, against);
            if (!id || !positions || positions->least() == positions->greatest()) return;
            if (is_floating_point(value_of(program_, *id).dtype)) return;
            if (name == "eq" || name == "ne") {
                want(*id, {.range = positions->hull(), .direct = true});
            } else {
                want(*id, {.longest = static_cast<std::int64_t>(positions->greatest()) + 1});
            }
        };
        one_of("self", "other");
        one_of("other", "self");
    }

    /// A flag is compared with a number.
    void follow_comparison(ProgramNode const& node, std::string_view name, Wanted uses) {
        auto const self = tensor_id(node, "self");
        auto const other = constant(node, "other");
        if (!self || !other || other->least() != other->greatest()) return;
        uses.map = false;
        auto const limit = other->least();
        bool const tells_flags = limit == (name == "ge" || name == "lt" ? 1 : 0) ||
                                 (limit > 0 && limit < 1) ||
                                 ((name == "eq" || name == "ne") && limit == 1);
        if (is_floating_point(value_of(program_, *self).dtype) && !tells_flags) return;
        bool const swaps = (name == "eq" && other->least() == 0) || name == "lt" || name == "le" ||
                           (name == "ne" && other->least() != 0);
        if (swaps) std::swap(uses.keep, uses.drop);
        want(*self, uses);
    }

    /// Different starts, at some distance from each other, are those of a table's fields: what
    /// begins at one of them stays before the next.
    static ValueRange within_fields(ValueRange const& range, ValueRange const& start,
                                    std::vector<double> starts) {
        constexpr double least_field = 2;
        std::ranges::sort(starts);
        starts.erase(std::ranges::unique(starts).begin(), starts.end());
        auto const fields = static_cast<double>(starts.size());
        if (fields < 2 || starts.front() < 0 ||
            starts.back() - starts.front() < least_field * (fields - 1)) {
            return range;
        }
        auto const inside = combined(range, start, [&](double low, double high, double c, double) {
            auto const next = std::ranges::upper_bound(starts, c);
            return std::pair{std::max(low, c),
                             next == starts.end() ? high : std::min(high, *next - 1)};
        });
        return inside && !inside->is_empty(false) ? *inside : range;
    }

    /// One operand is a constant: what the other may be. Both vary: a share each.
    bool invert(ProgramNode const& node, std::string_view name, Wanted const& index) {
        auto const& range = *index.range;
        auto const self = tensor_id(node, "self");
        auto const other_id = tensor_id(node, "other");
        auto const self_constant = constant(node, "self");
        auto const other = constant(node, "other");
        auto const give = [&](std::optional<ValueId> id, std::optional<ValueRange> allowed) {
            if (!id || !allowed) return false;
            auto wanted = index;
            wanted.range = std::move(allowed);
            want(*id, wanted);
            return true;
        };
        auto const give_term = [&](std::optional<ValueId> id, ValueRange const& allowed) {
            if (!id) return false;
            auto wanted = index;
            wanted.range = allowed;
            wanted.direct = false;
            want(*id, wanted);
            return true;
        };
        auto const each = [&](ValueRange const& by, auto const& combine) {
            auto exact = combined(range, by, combine);
            return exact ? exact : combined(range.in_one(), by.hull(), combine);
        };
        auto const alpha = number_argument(node, "alpha", 1);
        if (name == "add" || name == "sub") {
            auto const factor = name == "add" ? alpha : -alpha;
            auto const less = [factor](double low, double high, double c, double d) {
                return factor >= 0 ? std::pair{low - factor * c, high - factor * d}
                                   : std::pair{low - factor * d, high - factor * c};
            };
            auto const without = [&](ValueRange const& added) {
                bool const starts = factor == 1 && added.low == added.high;
                auto const sum = starts ? within_fields(range, added, added.low) : range;
                auto const exact = combined(sum, added, less);
                return exact ? exact : combined(range.in_one(), added.hull(), less);
            };
            if (other) return give(self, without(*other));
            if (factor == 0) return give(self, range);
            if (self_constant && name == "add" && factor == 1) {
                return give(other_id, without(*self_constant));
            }
            if (self_constant && name == "sub" && factor == -1) {
                return give(other_id,
                            each(*self_constant, [](double low, double high, double c, double d) {
                                return std::pair{d - high, c - low};
                            }));
            }
            if (!self || !other_id || std::abs(factor) != 1) return false;
            // A constant whose values are not known leaves nothing to choose.
            if (is_fixed(*self) || is_fixed(*other_id)) return false;
            auto const whole = range.in_one();
            auto const low = whole.least();
            auto const high = whole.greatest();
            if (low > 0 || high < 0) return false;
            if (factor > 0) {
                auto const half = ValueRange::of(std::ceil(low / 2), std::floor(high / 2));
                return give(self, half) && give(other_id, half);
            }
            auto const middle = std::floor((low + high) / 2);
            return give(self, ValueRange::of(middle, high)) &&
                   give(other_id, ValueRange::of(0, middle - low));
        }
        if (name == "rsub" && other && alpha == 1) {
            return give(self, each(*other, [](double low, double high, double c, double d) {
                            return std::pair{d - high, c - low};
                        }));
        }
        if (name == "neg" || name == "negative") {
            return give(self, combined(range, range, [](double low, double high, double, double) {
                            return std::pair{-high, -low};
                        }));
        }
        if (name == "abs" || name == "relu") {
            return give(self, combined(range, range, [](double low, double high, double, double) {
                            return std::pair{std::max(low, 0.0), high};
                        }));
        }
        auto const divide = [](double low, double high, double c, double d) {
            auto const [least, most] =
                c > 0 ? std::pair{low / (low < 0 ? d : c), high / d} : std::pair{high / c, low / d};
            return std::pair{least, most};
        };
        if (name == "mul" && (other || self_constant)) {
            auto const& by = other ? *other : *self_constant;
            auto const target = other ? self : other_id;
            if (by.least() == 0 && by.greatest() == 0) return give(target, range);
            // A factor that may be 0 makes 0, which must be allowed.
            if (by.least() < 0 && by.greatest() > 0) return false;
            if (by.least() == 0)
                return give(target, each(ValueRange::of(1, by.greatest()), divide));
            return give(target, each(by, divide));
        }
        if (name == "mul" && self && other_id) {
            // A mask leaves ids or makes them 0.
            auto const flags = [&](ValueId id) { return comes_from_mask(id); };
            auto const whole = range.in_one();
            if (whole.least() > 0) return false;
            if (flags(*other_id)) return give(self, range);
            if (flags(*self)) return give(other_id, range);
            auto const root = ValueRange::of(0, std::floor(std::sqrt(whole.greatest())));
            return give_term(self, root) && give_term(other_id, root);
        }
        if (name == "floor_divide" || name == "div" || name == "bitwise_right_shift" ||
            name == "__rshift__") {
            if (!other || other->least() != other->greatest()) return false;
            bool const shifts = name.find("shift") != std::string_view::npos;
            auto const by = shifts ? std::exp2(other->least()) : other->least();
            auto const* mode = node.find_argument("rounding_mode");
            bool const rounds =
                name != "div" || (mode != nullptr && std::holds_alternative<std::string>(*mode));
            if (by <= 0) return false;
            return give(self, combined(range, range, [&](double low, double high, double, double) {
                            return rounds ? std::pair{std::ceil(low) * by,
                                                      std::floor(high) * by + by - 1}
                                          : std::pair{low * by, high * by};
                        }));
        }
        if (name == "bitwise_left_shift" || name == "__lshift__") {
            if (!other || other->least() != other->greatest()) return false;
            auto const by = std::exp2(other->least());
            return give(self, each(ValueRange::of(by, by), divide));
        }
        if ((name == "remainder" || name == "fmod" || name == "bitwise_and" || name == "__and__") &&
            other && other->least() > 0) {
            bool const masks = name.find("and") != std::string_view::npos;
            bool folds = self && name != "fmod" && is_hash(*self);
            (void)combined(range, *other, [&](double low, double high, double c, double d) {
                folds = folds && low <= 0 && high >= (masks ? d : d - 1);
                return std::pair{c, d};
            });
            if (folds) {
                want(*self, anything_for_a_hash(index));
                return true;
            }
            // Within the divisor nothing is folded back, so that every row is reached evenly.
            return give(self, each(*other, [masks](double low, double high, double c, double) {
                            return std::pair{std::max(low, 0.0), std::min(high, masks ? c : c - 1)};
                        }));
        }
        if (name == "clamp" || name == "clip" || name == "clamp_min" || name == "clamp_max" ||
            name == "hardtanh") {
            auto const bound = [&](std::string_view argument, std::string_view second) {
                auto const found = constant(node, argument);
                return found ? found : constant(node, second);
            };
            ValueRange allowed = range;
            if (auto const least = bound("min", "min_val"); least && name != "clamp_max") {
                allowed = intersection(
                    allowed,
                    ValueRange::of(least->greatest(), std::numeric_limits<double>::infinity()));
            }
            if (auto const most = bound("max", "max_val"); most && name != "clamp_min") {
                allowed = intersection(
                    allowed,
                    ValueRange::of(-std::numeric_limits<double>::infinity(), most->least()));
            }
            return give(self, allowed);
        }
        if ((name == "maximum" || name == "minimum") && self && other_id) {
            bool const took_self = self_constant || give(self, range);
            bool const took_other = other || give(other_id, range);
            return took_self && took_other;
        }
        if ((name == "cumsum" || name == "sum") && self) {
            auto const& from = value_of(program_, *self);
            if (is_boolean(from) || comes_from_mask(*self)) return true;
            auto const* result = first_result(program_, node);
            auto const terms = name == "cumsum"
                                   ? extent(from, integer_argument(node, "dim", 0))
                                   : from.element_count() /
                                         std::max<std::int64_t>(
                                             result == nullptr ? 1 : result->element_count(), 1);
            auto const whole = range.in_one();
            auto const count = static_cast<double>(std::max<std::int64_t>(terms, 1));
            // The first term alone reaches the least of running sums.
            auto const least = std::max(whole.least(), 0.0);
            auto const low = name == "cumsum" ? least : std::ceil(least / count);
            auto const high = std::floor(whole.greatest() / count);
            return (low == 0 || low <= high) && give_term(self, ValueRange::of(low, high));
        }
        return false;
    }

    /// A mask under another dtype: its elements are 0 and 1.
    [[nodiscard]] bool comes_from_mask(ValueId id) const {
        if (is_boolean(value_of(program_, id))) return true;
        auto const* node = producer_[index(id)].node;
        if (node == nullptr || tensors_returned(*node).size() != 1) return false;
        auto const read = tensors_read(*node);
        return read.size() == 1 && moves_values(*node) && comes_from_mask(read.front());
    }

    ExportedProgram const& program_;
    std::vector<std::optional<ValueRange>> known_;
    std::vector<bool> fixed_;  // depends on nothing but the export, known or not
    std::vector<Producer> producer_;
    std::vector<std::optional<ValueId>> alias_;        // the tensor that this is a view of
    std::map<ValueId, std::vector<ValueId>> written_;  // by base: all its aliases
    std::vector<Wanted> wanted_;
};

}  // namespace

void Wanted::add(Wanted const& other) {
    if (other.range) hashed = other.hashed && (hashed || !range);
    if (rows == 0 || (other.rows != 0 && other.rows < rows)) rows = other.rows;
    if (other.range) range = range ? intersection(*range, *other.range) : *other.range;
    once = once || other.once;
    direct = direct || other.direct;
    auto const least = [](auto& kept, auto const& value) {
        if (value && (!kept || *value < *kept)) kept = value;
    };
    least(offsets_end, other.offsets_end);
    least(longest, other.longest);
    if (total == 0) total = other.total;
    keep = keep || other.keep;
    drop = drop || other.drop;
    map = map || other.map;
    data = data || other.data;
    if (lost.empty()) lost = other.lost;
}

WantedValues wanted_values(ExportedProgram const& program) { return Backward{program}.result(); }

}  // namespace derate
