#include "workloads/wanted_values.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "workloads/index_uses.hpp"
#include "workloads/known_values.hpp"
#include "workloads/moved_elements.hpp"
#include "workloads/moved_values.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operand_ranges.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/tensor_memory.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;

/// Of these results only the first holds values; the second says where they were.
Names const with_places{"sort",   "topk",   "max",  "min",     "cummax",
                        "cummin", "median", "mode", "kthvalue"};
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

class Backward {
  public:
    explicit Backward(ExportedProgram const& program)
        : program_{program},
          memory_{program},
          known_{known_values(program, memory_)},
          wanted_(program.values.size()) {
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
            aliases[i] = memory_.written_aliases(static_cast<ValueId>(i));
        }
        return {.wanted = std::move(wanted_),
                .known = std::move(known_.ranges),
                .written_aliases = std::move(aliases)};
    }

  private:
    static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

    [[nodiscard]] Wanted const& of(ValueId id) const { return wanted_[index(id)]; }
    [[nodiscard]] bool is_fixed(ValueId id) const { return known_.fixed[index(id)]; }
    [[nodiscard]] std::optional<ValueRange> constant(ProgramNode const& node,
                                                     std::string_view argument) const {
        return known_.of_argument(node, argument);
    }

    /// What later calls want of `written` through all tensors that share memory with it.
    [[nodiscard]] Wanted wanted_through_memory(ValueId written) const {
        Wanted wanted;
        for (auto const alias : memory_.written_aliases(written)) {
            auto own = of(alias);
            for (auto id = alias; own.range && memory_.viewed(id); id = *memory_.viewed(id)) {
                auto const [node, result] = memory_.maker(id);
                if (!is_in_place(*node)) {
                    own.range = moved_back(program_, *node, result, 0, *own.range);
                }
            }
            wanted.add(own);
        }
        std::vector<ValueId> views;
        for (auto id = written; memory_.viewed(id); id = *memory_.viewed(id)) views.push_back(id);
        for (auto view = views.rbegin(); wanted.range && view != views.rend(); ++view) {
            auto const [node, result] = memory_.maker(*view);
            if (is_in_place(*node)) continue;
            auto const of_base = *wanted.range;
            auto const of_view =
                moved_on(program_, *node, result, [&](ValueId) { return std::optional{of_base}; });
            wanted.range = of_view ? *of_view : of_base.in_one();
        }
        return wanted;
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
        if (forgets_operands(node)) return;
        if (wanted.range && wanted.hashed) {
            wanted.range = any_hashed();
            for (auto const id : tensors_read(node)) {
                if (!is_boolean(value_of(program_, id))) want(id, wanted);
            }
            return;
        }
        if (wanted.range && follow_arithmetic(node, wanted)) return;
        if (wanted.offsets_end && name == "cumsum" && want_lengths(node, *wanted.offsets_end)) {
            return;
        }
        for (auto const id : tensors_read(node)) {
            if (is_boolean(value_of(program_, id))) continue;
            want(id, {.lost = wanted.lost.empty() ? node.target : wanted.lost});
        }
    }

    /// \return false: the call cannot be followed back
    bool follow_arithmetic(ProgramNode const& node, Wanted const& wanted) {
        auto operands = operand_ranges(program_, memory_, known_, node, *wanted.range);
        if (!operands) return false;
        for (auto& operand : *operands) {
            auto own = wanted;
            own.range = std::move(operand.range);
            own.direct = wanted.direct && !operand.is_term;
            own.hashed = operand.is_folded;
            want(operand.operand, std::move(own));
        }
        return true;
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
                                                       ValueIds const& read) const {
        auto const name = functional_name(node);
        if (name != "cat" && name != "concat" && name != "stack") return {};
        std::vector<double> starts;
        for (auto id : read) {
            if (is_fixed(id)) return {};
            auto const* made_by = memory_.maker(id).node;
            while (made_by != nullptr && moves_values(*made_by)) {
                auto const sources = moved_tensors(program_, *made_by);
                if (sources.size() != 1) break;
                made_by = memory_.maker(sources.front()).node;
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

    ExportedProgram const& program_;
    TensorMemory memory_;
    KnownValues known_;
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
