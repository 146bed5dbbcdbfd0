#include "workloads/input_values.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "core/subgraph.hpp"
#include "workloads/index_uses.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/value_words.hpp"
#include "workloads/wanted_values.hpp"

namespace derate {
namespace {

/// The values that a type can hold.
ValueRange range_of_type(ScalarType type) {
    switch (type) {
        case ScalarType::uint8:
            return ValueRange::of(0, 255);
        case ScalarType::int8:
            return ValueRange::of(-128, 127);
        case ScalarType::int16:
            return ValueRange::of(-32768, 32767);
        case ScalarType::int32:
            return ValueRange::of(-2147483648.0, 2147483647.0);
        default:
            break;
    }
    constexpr double farthest = 1e15;  // beyond every table
    return ValueRange::of(-farthest, farthest);
}

/// Elements that nobody reads hold what the others may.
ValueRange without_unread(ValueRange const& range, Extents const& extents) {
    auto const is_read = [&](std::size_t i) {
        return std::isfinite(range.low[i]) || std::isfinite(range.high[i]);
    };
    std::size_t first = 0;
    while (first < range.low.size() && !is_read(first)) ++first;
    if (range.is_uniform() || first == range.low.size()) return narrowed_to(range, extents);
    auto filled = range;
    for (std::size_t i = 0; i < range.low.size(); ++i) {
        if (is_read(i)) continue;
        filled.low[i] = range.low[first];
        filled.high[i] = range.high[first];
    }
    return narrowed_to(range_of_elements(filled.shape, filled.low, filled.high), extents);
}

bool is_named_position(std::string_view name) {
    return name.find("position") != std::string_view::npos || name == "pos" || name == "pos_ids";
}

InputValues mask_of(TensorValue const& value, Wanted const& wanted) {
    auto const rank = value.sizes.size();
    InputValues values{.pattern = ValuePattern::halves};
    values.inverted = wanted.drop && !wanted.keep;
    if (rank >= 2 && extent(value, -1) == extent(value, -2) && extent(value, -1) > 1) {
        values.pattern = ValuePattern::causal;
    } else if (rank <= 2 || extent(value, -2) == 1) {
        values.pattern = ValuePattern::padding;
    }
    return values;
}

InputValues values_of_input(ProgramInput const& input, TensorValue const& value,
                            Wanted const& wanted, std::vector<std::string>& notes) {
    auto const note = [&](std::string const& why) {
        notes.push_back(input.name + ": " + why + ", so it holds 0 and 1");
    };
    bool const is_float = is_floating_point(value.dtype);
    bool const is_small_map = wanted.map && value.sizes.size() >= 3;
    if (is_boolean(value)) return mask_of(value, wanted);
    if (!wanted.lost.empty()) {
        note("its way to a table leads through " + wanted.lost + ", which cannot be followed back");
        return {.pattern = ValuePattern::spread};
    }
    // A mask whose running sum is a position: its sum stays within the table by itself.
    bool const sums_up = wanted.range && !wanted.direct && !is_float &&
                         (wanted.keep || wanted.drop || wanted.range->in_one().greatest() < 1);
    if (wanted.range && !sums_up) {
        auto range = intersection(without_unread(*wanted.range, distinct_sizes(value)),
                                  range_of_type(value.dtype));
        if (range.is_empty(is_float)) range = range.in_one();
        if (range.is_empty(is_float)) {
            note("no value of it is a row of every table that it reaches");
            return {.pattern = ValuePattern::spread};
        }
        InputValues values{.pattern = ValuePattern::spread,
                           .low = range.low,
                           .high = range.high,
                           .bounds_shape = range.shape};
        if (!is_float) {
            for (auto& low : values.low) low = std::ceil(low);
            for (auto& high : values.high) high = std::floor(high);
        }
        if ((wanted.once || is_named_position(input.name)) && !is_float) {
            auto const last = static_cast<double>(std::max<std::int64_t>(extent(value, -1), 1));
            auto const least = *std::ranges::max_element(values.low);
            auto const greatest = *std::ranges::min_element(values.high);
            if (last <= greatest - least + 1) {
                values.pattern = ValuePattern::ascending;
                // A cache that is written to is half full.
                values.low = {wanted.once ? least + std::floor((greatest - least + 1 - last) / 2)
                                          : least};
                values.high = {greatest};
                values.bounds_shape.clear();
            }
        }
        return values;
    }
    if (wanted.offsets_end) {
        return {.pattern = ValuePattern::offsets,
                .low = {0},
                .high = {static_cast<double>(*wanted.offsets_end)},
                .total = wanted.total};
    }
    if (wanted.longest) {
        return {.pattern = ValuePattern::lengths,
                .low = {static_cast<double>(std::max<std::int64_t>((*wanted.longest + 1) / 2, 1))},
                .high = {static_cast<double>(*wanted.longest)},
                .total = wanted.total};
    }
    bool const is_float_mask = is_float && (wanted.keep || wanted.drop) && !wanted.data;
    if (is_float_mask) return mask_of(value, wanted);
    if (is_small_map) return {.pattern = ValuePattern::smooth};
    if (is_float) return {.pattern = ValuePattern::normal};
    return mask_of(value, wanted);
}

}  // namespace

ProgramValues values_of(ExportedProgram const& program) {
    ProgramValues result;
    auto const wanted = wanted_values(program);
    std::vector<std::string> words(program.values.size());
    for (auto const& input : program.inputs) {
        auto const& value = value_of(program, input.value);
        auto& word = words[static_cast<std::size_t>(input.value)];
        if (auto const known = program.constants.find(input.value);
            known != program.constants.end()) {
            std::string_view const bytes{reinterpret_cast<char const*>(known->second.data()),
                                         known->second.size()};
            word = "table:" + descriptor_hash(bytes);
        } else if (input.kind == InputKind::user_input || !is_floating_point(value.dtype)) {
            auto const values =
                values_of_input(input, value, wanted.wanted[static_cast<std::size_t>(input.value)],
                                result.notes);
            word = word_of(values);
            // Coordinates count in a unit of their own.
            auto const rows = wanted.wanted[static_cast<std::size_t>(input.value)].rows;
            bool const is_coordinate = is_floating_point(value.dtype) && rows > 0 &&
                                       values.pattern == ValuePattern::spread;
            if (is_coordinate) word = "ids:" + std::to_string(rows);
            result.inputs.emplace(input.value, values);
        } else {
            word = "noise";
        }
        if (!input.values.empty()) word = input.values;
    }
    result.words = value_words(program, wanted, std::move(words), result.inputs);
    return result;
}

std::vector<ValueId> deciding_values(ExportedProgram const& program, ProgramNode const& node) {
    std::vector<ValueId> deciding;
    for (auto const& use : index_uses(program, node)) deciding.push_back(use.ids);
    auto const name = functional_name(node);
    for (auto const* mask : {"condition", "mask"}) {
        auto const id = tensor_id(node, mask);
        if (id && (name == "where" || name.starts_with("masked_"))) deciding.push_back(*id);
    }
    if (takes_index_list(node)) {
        for (auto const id : tensors_read(node)) {
            if (is_boolean(value_of(program, id)) && id != tensor_id(node, "self")) {
                deciding.push_back(id);
            }
        }
    }
    if (is_max_pool(node)) {
        if (auto const read = tensors_read(node); !read.empty()) deciding.push_back(read.front());
    }
    return deciding;
}

}  // namespace derate
