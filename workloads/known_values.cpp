#include "workloads/known_values.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "workloads/moved_values.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

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

std::optional<ValueRange> running_sum(ExportedProgram const& program, ProgramNode const& node,
                                      ValueRange const& terms) {
    auto const* of = tensor_argument(program, node, "self");
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

/// Result `j` of a call, from what is known of its operands.
std::optional<ValueRange> evaluated(ExportedProgram const& program, KnownValues const& known,
                                    ProgramNode const& node, std::size_t j) {
    static std::set<std::string_view> const zeros{"zeros", "zeros_like", "new_zeros"};
    static std::set<std::string_view> const ones{"ones", "ones_like", "new_ones"};
    static std::set<std::string_view> const full{"full", "full_like", "new_full"};
    auto const name = functional_name(node);
    auto const read = tensors_read(node);
    auto const& result = value_of(program, tensors_returned(node)[j]);
    if (result.element_count() == 0) return std::nullopt;
    if (zeros.contains(name)) return ValueRange::of(0, 0);
    if (ones.contains(name)) return ValueRange::of(1, 1);
    if (full.contains(name)) return known.of_argument(node, "fill_value");
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
        return moved_on(program, node, j,
                        [&](ValueId id) { return known.ranges[static_cast<std::size_t>(id)]; });
    }
    auto const self = known.of_argument(node, "self");
    if (!self) return std::nullopt;
    if (name == "cumsum") return running_sum(program, node, *self);
    auto const other = known.of_argument(node, "other");
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

}  // namespace

std::optional<ValueRange> KnownValues::of_argument(ProgramNode const& node,
                                                   std::string_view argument) const {
    auto const* given = node.find_argument(argument);
    if (given == nullptr) return std::nullopt;
    if (auto const* tensor = std::get_if<TensorArgument>(given)) {
        return ranges[static_cast<std::size_t>(tensor->value)];
    }
    if (auto const* integer = std::get_if<std::int64_t>(given)) {
        auto const number = static_cast<double>(*integer);
        return ValueRange::of(number, number);
    }
    if (auto const* real = std::get_if<double>(given)) return ValueRange::of(*real, *real);
    return std::nullopt;
}

KnownValues known_values(ExportedProgram const& program, TensorMemory const& memory) {
    auto const index = [](ValueId id) { return static_cast<std::size_t>(id); };
    KnownValues known{.ranges = std::vector<std::optional<ValueRange>>(program.values.size()),
                      .fixed = std::vector<bool>(program.values.size(), false)};
    for (auto const& [id, bytes] : program.constants) {
        known.ranges[index(id)] = range_of_constant(value_of(program, id), bytes);
    }
    for (auto const& input : program.inputs) {
        bool const is_weight = input.kind != InputKind::user_input &&
                               is_floating_point(value_of(program, input.value).dtype);
        known.fixed[index(input.value)] = is_weight || program.constants.contains(input.value);
    }
    for (auto const& node : program.nodes) {
        auto const made = tensors_returned(node);
        auto const read = tensors_read(node);
        auto const* row = find_operator(node);
        bool const each = made.size() == 1 || (row != nullptr && row->kind == OperatorKind::view);
        for (std::size_t j = 0; j < made.size(); ++j) {
            if (memory.is_written(made[j])) continue;
            auto& range = known.ranges[index(made[j])];
            if (each) range = evaluated(program, known, node, j);
            known.fixed[index(made[j])] =
                range.has_value() ||
                std::ranges::all_of(read, [&](ValueId id) { return known.fixed[index(id)]; });
        }
    }
    return known;
}

}  // namespace derate
