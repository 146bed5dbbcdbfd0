#include "workloads/moved_elements.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <string_view>
#include <utility>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/value_range.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;
using Elements = std::vector<std::int64_t>;

// In the order in which they lie, under another shape.
Names const in_order{"view",    "_unsafe_view", "view_as",    "reshape",    "reshape_as",
                     "flatten", "ravel",        "unflatten",  "squeeze",    "unsqueeze",
                     "alias",   "detach",       "lift_fresh", "contiguous", "atleast_1d"};
// Element by element, each operand broadcast.
Names const elementwise{"expand",    "expand_as",       "broadcast_to", "where", "masked_fill",
                        "clone",     "lift_fresh_copy", "to",           "floor", "ceil",
                        "round",     "trunc",           "tril",         "triu",  "_to_copy",
                        "type_as",   "dropout",         "copy",         "fill",  "requires_grad",
                        "alias_copy"};
Names const permutations{"permute", "transpose", "swapaxes", "swapdims", "t",      "numpy_T",
                         "T",       "mT",        "matrix_H", "mH",       "adjoint"};
Names const splits{"split",        "split_with_sizes", "tensor_split",           "chunk",
                   "unsafe_chunk", "unsafe_split",     "unsafe_split_with_sizes"};

std::int64_t element_of(Extents const& at, Extents const& extents) {
    std::int64_t element = 0;
    for (std::size_t d = 0; d < extents.size(); ++d) element = element * extents[d] + at[d];
    return element;
}

/// \param source  makes the place of an element of the result that of the operand's; false: none
template <class Source>
Elements map_elements(Extents const& result, Extents const& operand, Source const& source) {
    auto const count =
        std::accumulate(result.begin(), result.end(), std::int64_t{1}, std::multiplies<>{});
    Elements elements(static_cast<std::size_t>(count), -1);
    Extents at(result.size(), 0);
    Extents from;
    for (auto& element : elements) {
        from = at;
        if (source(from)) element = element_of(from, operand);
        for (std::size_t d = at.size(); d-- > 0;) {
            if (++at[d] < result[d]) break;
            at[d] = 0;
        }
    }
    return elements;
}

class Call {
  public:
    Call(ExportedProgram const& program, ProgramNode const& node, std::size_t result,
         std::size_t operand)
        : program_{program}, node_{node}, result_{result}, operand_{operand} {}

    [[nodiscard]] std::optional<Elements> elements() const {
        auto const name = functional_name(node_);
        if (elementwise.contains(name)) {
            // What lay there before is written over.
            if (operand_ == 0 && (name == "copy" || name == "fill")) return nothing();
            return broadcast_elements(from(), to());
        }
        if (in_order.contains(name)) {
            auto held = nothing();
            if (count(from()) != static_cast<std::int64_t>(held.size())) return std::nullopt;
            std::iota(held.begin(), held.end(), std::int64_t{0});
            return held;
        }
        if (permutations.contains(name)) return permuted(name);
        if (splits.contains(name) || name == "unbind") return part_of_split(name == "unbind");
        if (name == "select") return selected();
        if (name == "slice" || name == "narrow") {
            return map_elements(to(), from(), [&, step = slice(from())](Extents& at) {
                at[step.dimension] = step.start + step.step * at[step.dimension];
                return true;
            });
        }
        if (name == "cat" || name == "concat" || name == "stack") return joined(name == "stack");
        if (name == "slice_scatter" || name == "select_scatter") {
            return scattered(name == "select_scatter");
        }
        if (name == "constant_pad_nd" || name == "pad") return padded();
        if (name == "flip" || name == "roll") return turned(name == "roll");
        if (name == "repeat" || name == "tile") return repeated();
        return std::nullopt;
    }

    static std::int64_t count(Extents const& extents) {
        return std::accumulate(extents.begin(), extents.end(), std::int64_t{1},
                               std::multiplies<>{});
    }

    [[nodiscard]] Extents const& from() const {
        return value_of(program_, tensors_read(node_)[operand_]).sizes;
    }
    [[nodiscard]] Extents const& to() const {
        return value_of(program_, tensors_returned(node_)[result_]).sizes;
    }

  private:
    struct Step {
        std::size_t dimension = 0;
        std::int64_t start = 0;
        std::int64_t step = 1;
    };

    [[nodiscard]] Elements nothing() const {
        return Elements(static_cast<std::size_t>(count(to())), -1);
    }

    [[nodiscard]] std::int64_t number(std::string_view argument, std::int64_t otherwise) const {
        return static_cast<std::int64_t>(
            number_argument(node_, argument, static_cast<double>(otherwise)));
    }

    static std::size_t wrapped(std::int64_t dimension, std::size_t rank) {
        auto const count = static_cast<std::int64_t>(std::max<std::size_t>(rank, 1));
        return static_cast<std::size_t>(
            std::clamp<std::int64_t>(dimension < 0 ? dimension + count : dimension, 0, count - 1));
    }

    /// Of slice, narrow and slice_scatter, along a dimension of a tensor of these extents.
    [[nodiscard]] Step slice(Extents const& extents) const {
        auto const dimension = wrapped(number("dim", 0), extents.size());
        auto const extent = extents.at(dimension);
        auto const start = number("start", 0);
        return {.dimension = dimension,
                .start = std::clamp<std::int64_t>(start < 0 ? start + extent : start, 0, extent),
                .step = number("step", 1)};
    }

    [[nodiscard]] std::optional<Elements> permuted(std::string_view name) const {
        auto const rank = from().size();
        std::vector<std::size_t> order(rank);
        std::iota(order.begin(), order.end(), std::size_t{0});
        if (name == "permute") {
            auto const dims = integers_argument(node_, "dims");
            if (dims.size() != rank) return std::nullopt;
            for (std::size_t d = 0; d < rank; ++d) order[d] = wrapped(dims[d], rank);
        } else if (name == "transpose" || name == "swapaxes" || name == "swapdims") {
            bool const by_axes = name == "swapaxes";
            std::swap(order.at(wrapped(number(by_axes ? "axis0" : "dim0", 0), rank)),
                      order.at(wrapped(number(by_axes ? "axis1" : "dim1", 1), rank)));
        } else if (name == "t" || name == "T" || name == "numpy_T") {
            std::ranges::reverse(order);
        } else if (rank >= 2) {
            std::swap(order[rank - 1], order[rank - 2]);
        }
        Extents at_result;
        return map_elements(to(), from(), [&](Extents& at) {
            at_result = at;
            for (std::size_t d = 0; d < rank; ++d) at[order[d]] = at_result[d];
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> part_of_split(bool drops) const {
        auto const dimension = wrapped(number("dim", 0), from().size());
        auto const made = tensors_returned(node_);
        std::int64_t start = 0;
        for (std::size_t i = 0; i < result_; ++i) {
            start += drops ? 1 : value_of(program_, made[i]).sizes.at(dimension);
        }
        return map_elements(to(), from(), [&](Extents& at) {
            if (drops) {
                at.insert(at.begin() + static_cast<std::ptrdiff_t>(dimension), start);
            } else {
                at[dimension] += start;
            }
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> selected() const {
        auto const dimension = wrapped(number("dim", 0), from().size());
        auto const index = wrapped(number("index", 0), static_cast<std::size_t>(from()[dimension]));
        return map_elements(to(), from(), [&](Extents& at) {
            at.insert(at.begin() + static_cast<std::ptrdiff_t>(dimension),
                      static_cast<std::int64_t>(index));
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> joined(bool stacks) const {
        auto const dimension = wrapped(number("dim", 0), to().size());
        if (!stacks && from().size() != to().size()) return nothing();  // an empty tensor
        auto const read = tensors_read(node_);
        std::int64_t start = 0;
        for (std::size_t i = 0; i < operand_; ++i) {
            auto const& sizes = value_of(program_, read[i]).sizes;
            if (!stacks && sizes.size() != to().size()) continue;
            start += stacks ? 1 : sizes[dimension];
        }
        auto const extent = stacks ? 1 : from()[dimension];
        return map_elements(to(), from(), [&](Extents& at) {
            at[dimension] -= start;
            if (at[dimension] < 0 || at[dimension] >= extent) return false;
            if (stacks) at.erase(at.begin() + static_cast<std::ptrdiff_t>(dimension));
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> scattered(bool selects) const {
        Step step;
        if (selects) {
            step.dimension = wrapped(number("dim", 0), to().size());
            step.start = static_cast<std::int64_t>(
                wrapped(number("index", 0), static_cast<std::size_t>(to()[step.dimension])));
        } else {
            step = slice(to());
        }
        auto const& source = value_of(program_, tensors_read(node_).at(1)).sizes;
        auto const extent = selects ? 1 : source.at(step.dimension);
        return map_elements(to(), from(), [&](Extents& at) {
            auto const from_start = at[step.dimension] - step.start;
            bool const covered =
                from_start >= 0 && from_start % step.step == 0 && from_start / step.step < extent;
            if (operand_ == 0) return !covered;
            if (!covered) return false;
            if (selects) {
                at.erase(at.begin() + static_cast<std::ptrdiff_t>(step.dimension));
            } else {
                at[step.dimension] = from_start / step.step;
            }
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> padded() const {
        auto const pad = integers_argument(node_, "pad");
        auto const* mode = node_.find_argument("mode");
        auto const* text = mode == nullptr ? nullptr : std::get_if<std::string>(mode);
        if (text != nullptr && *text != "constant") return std::nullopt;
        auto const rank = from().size();
        if (pad.size() % 2 != 0 || pad.size() / 2 > rank) return std::nullopt;
        return map_elements(to(), from(), [&](Extents& at) {
            for (std::size_t back = 1; back <= rank; ++back) {
                auto& place = at[rank - back];
                if (2 * back <= pad.size()) place -= pad[2 * back - 2];
                if (place < 0 || place >= from()[rank - back]) return false;
            }
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> turned(bool rolls) const {
        auto const rank = from().size();
        auto const dims = integers_argument(node_, "dims");
        auto const shifts = integers_argument(node_, "shifts");
        if (dims.empty() || (rolls && shifts.size() != dims.size())) return std::nullopt;
        return map_elements(to(), from(), [&](Extents& at) {
            for (std::size_t i = 0; i < dims.size(); ++i) {
                auto const dimension = wrapped(dims[i], rank);
                auto const extent = from()[dimension];
                auto& place = at[dimension];
                place =
                    rolls ? ((place - shifts[i]) % extent + extent) % extent : extent - 1 - place;
            }
            return true;
        });
    }

    [[nodiscard]] std::optional<Elements> repeated() const {
        auto const rank = from().size();
        if (to().size() < rank) return std::nullopt;
        return map_elements(to(), from(), [&](Extents& at) {
            at.erase(at.begin(), at.end() - static_cast<std::ptrdiff_t>(rank));
            for (std::size_t d = 0; d < rank; ++d) at[d] %= from()[d];
            return true;
        });
    }

    ExportedProgram const& program_;
    ProgramNode const& node_;
    std::size_t result_;
    std::size_t operand_;
};

}  // namespace

std::optional<std::vector<std::int64_t>> elements_held(ExportedProgram const& program,
                                                       ProgramNode const& node, std::size_t result,
                                                       std::size_t operand) {
    constexpr std::int64_t most = 1 << 22;
    Call const call{program, node, result, operand};
    auto const from = Call::count(call.from());
    auto const to = Call::count(call.to());
    if (operator_namespace(node) != "aten" || from > most || to > most || from == 0 || to == 0) {
        return std::nullopt;
    }
    return call.elements();
}

}  // namespace derate
