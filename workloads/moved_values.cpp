#include "workloads/moved_values.hpp"

#include <cmath>
#include <limits>
#include <set>
#include <string_view>

#include "workloads/index_uses.hpp"
#include "workloads/moved_elements.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;

Names const moves{"clone",
                  "copy",
                  "lift_fresh_copy",
                  "roll",
                  "flip",
                  "repeat",
                  "tile",
                  "tril",
                  "triu",
                  "repeat_interleave",
                  "pad",
                  "constant_pad_nd",
                  "cat",
                  "concat",
                  "hstack",
                  "vstack",
                  "stack",
                  "index",
                  "_unsafe_index",
                  "index_select",
                  "gather",
                  "take_along_dim",
                  "take",
                  "where",
                  "masked_fill",
                  "scatter",
                  "index_put",
                  "index_copy",
                  "slice_scatter",
                  "select_scatter",
                  "masked_scatter",
                  "max",
                  "min",
                  "amax",
                  "amin",
                  "sort",
                  "topk",
                  "floor",
                  "ceil",
                  "round",
                  "trunc",
                  "fliplr",
                  "flipud",
                  "rot90",
                  "masked_select",
                  "unsafe_chunk",
                  "cummax",
                  "cummin",
                  "dropout",
                  "_to_copy",
                  "type_as",
                  "to",
                  "median",
                  "mode",
                  "kthvalue",
                  "column_stack",
                  "dstack",
                  "fill",
                  "rot90",
                  "block_diag"};

}  // namespace

bool moves_values(ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row != nullptr &&
        (row->kind == OperatorKind::view || row->kind == OperatorKind::maybe_view ||
         row->kind == OperatorKind::dropout)) {
        return true;
    }
    return operator_namespace(node) == "aten" && moves.contains(functional_name(node));
}

std::vector<ValueId> moved_tensors(ExportedProgram const& program, ProgramNode const& node) {
    std::vector<ValueId> read = tensors_read(node);
    for (auto const& use : index_uses(program, node)) std::erase(read, use.ids);
    for (auto const* mask : {"condition", "mask"}) {
        if (auto const id = tensor_id(node, mask)) std::erase(read, *id);
    }
    std::erase_if(read, [&](ValueId id) {
        return is_boolean(value_of(program, id)) && functional_name(node).find("index") == 0;
    });
    // These take a shape or a dtype from their second tensor.
    static Names const by_example{"type_as", "view_as", "expand_as", "reshape_as"};
    if (by_example.contains(functional_name(node)) && read.size() > 1) read.resize(1);
    return read;
}

ValueRange moved_back(ExportedProgram const& program, ProgramNode const& node, std::size_t j,
                      std::size_t k, ValueRange const& range) {
    static Names const partial{"select",       "slice",  "narrow",
                               "split",        "chunk",  "split_with_sizes",
                               "tensor_split", "unbind", "unsafe_chunk",
                               "unsafe_split", "copy",   "unsafe_split_with_sizes",
                               "fill"};
    if (range.is_uniform() && !partial.contains(functional_name(node))) return range;
    auto const held = elements_held(program, node, j, k);
    if (!held) return range.in_one();
    return moved_back(range, value_of(program, tensors_returned(node)[j]).sizes,
                      value_of(program, tensors_read(node)[k]).sizes, *held);
}

std::optional<ValueRange> moved_on(
    ExportedProgram const& program, ProgramNode const& node, std::size_t j,
    std::function<std::optional<ValueRange>(ValueId)> const& range_of) {
    static Names const joins{"cat", "concat", "stack", "slice_scatter", "select_scatter"};
    auto const name = functional_name(node);
    bool const pads = name == "pad" || name == "constant_pad_nd";
    auto const sources = moved_tensors(program, node);
    auto const read = tensors_read(node);
    bool const alone = sources.size() == 1 && (read.size() == 1 || name.find("_as") != name.npos);
    if (name == "fill" || !(alone || joins.contains(name))) return std::nullopt;
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> low;
    std::vector<double> high;
    for (std::size_t k = 0; k < sources.size(); ++k) {
        std::optional<ValueRange> const range = range_of(sources[k]);
        if (!range) return std::nullopt;
        if (alone && !pads && range->is_uniform()) return range;
        auto const held = elements_held(program, node, j, k);
        if (!held) return alone && !pads ? std::optional{range->hull()} : std::nullopt;
        auto const bounds = broadcast_elements(range->shape, value_of(program, sources[k]).sizes);
        low.resize(held->size(), none);
        high.resize(held->size(), none);
        for (std::size_t i = 0; i < held->size(); ++i) {
            if ((*held)[i] < 0) continue;
            auto const of = static_cast<std::size_t>(bounds[static_cast<std::size_t>((*held)[i])]);
            low[i] = range->low[of];
            high[i] = range->high[of];
        }
    }
    for (std::size_t i = 0; i < low.size(); ++i) {
        if (!std::isnan(low[i])) continue;
        if (!pads) return std::nullopt;
        low[i] = high[i] = number_argument(node, "value", 0);
    }
    return range_of_elements(value_of(program, tensors_returned(node)[j]).sizes, std::move(low),
                             std::move(high));
}

}  // namespace derate
