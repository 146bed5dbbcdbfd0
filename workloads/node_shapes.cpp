#include "workloads/node_shapes.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/input_error.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

using Sizes = std::vector<std::int64_t>;

[[noreturn]] void refuse(ProgramNode const& node, std::string_view problem,
                         std::string_view required) {
    throw InputError{"node " + node.name,
                     std::string{operator_name(node)} + " " + std::string{problem}, required};
}

TensorValue const& required_tensor(ExportedProgram const& program, ProgramNode const& node,
                                   std::string_view name) {
    auto const* value = tensor_argument(program, node, name);
    if (value == nullptr) refuse(node, "has no tensor \"" + std::string{name} + "\"", "one");
    return *value;
}

/// One value a spatial dimension: a list of that length, or one value for all.
Sizes per_dimension(ProgramNode const& node, std::string_view name, std::size_t dimensions,
                    std::int64_t otherwise) {
    auto const given = integers_argument(node, name);
    if (given.empty()) return Sizes(dimensions, otherwise);
    if (given.size() == 1) return Sizes(dimensions, given.front());
    if (given.size() != dimensions) {
        refuse(node,
               "has " + std::to_string(given.size()) + " values of \"" + std::string{name} + "\"",
               std::to_string(dimensions));
    }
    return given;
}

Sizes last_sizes(TensorValue const& value, std::size_t count) {
    auto const skipped = value.sizes.size() - std::min(count, value.sizes.size());
    return {value.sizes.begin() + static_cast<std::ptrdiff_t>(skipped), value.sizes.end()};
}

/// conv_tbc: time x batch x channels, its weight kernel x in x out.
ConvolutionShape time_batch_channels(ExportedProgram const& program, ProgramNode const& node,
                                     TensorValue const& input, TensorValue const& weight) {
    auto const* result = first_result(program, node);
    if (input.sizes.size() != 3 || weight.sizes.size() != 3 || result == nullptr ||
        result->sizes.size() != 3) {
        refuse(node, "has a tensor of another rank", "3");
    }
    return {.batch = input.sizes[1],
            .in_channels = weight.sizes[1],
            .out_channels = weight.sizes[2],
            .groups = 1,
            .transposed = false,
            .kernel = {weight.sizes[0]},
            .stride = {1},
            .padding = {static_cast<std::int64_t>(number_argument(node, "pad", 0))},
            .padding_mode = {},
            .dilation = {1},
            .input_spatial = {input.sizes[0]},
            .output_spatial = {result->sizes[0]}};
}

/// Of a whole layer: its input is batch x length x embedding, or one length without a batch.
AttentionShape projected_attention(ProgramNode const& node, TensorValue const& query,
                                   TensorValue const& key, std::string_view heads_argument) {
    for (auto const* tensor : {&query, &key}) {
        if (tensor->sizes.size() < 2) refuse(node, "has a tensor of rank below 2", "2 or more");
    }
    auto const heads = static_cast<std::int64_t>(number_argument(node, heads_argument, 1));
    if (heads < 1) refuse(node, "has no heads", "1 or more");
    auto const size = query.sizes.back() / heads;
    return {.batch = query.sizes.size() > 2 ? query.sizes.front() : 1,
            .heads = heads,
            .key_heads = heads,
            .query_length = query.sizes[query.sizes.size() - 2],
            .key_length = key.sizes[key.sizes.size() - 2],
            .head_size = size,
            .value_size = size};
}

}  // namespace

TensorValue const& value_of(ExportedProgram const& program, ValueId id) {
    return program.values.at(static_cast<std::size_t>(id));
}

TensorValue const* tensor_argument(ExportedProgram const& program, ProgramNode const& node,
                                   std::string_view name) {
    auto const* argument = node.find_argument(name);
    if (argument == nullptr) return nullptr;
    auto const* tensor = std::get_if<TensorArgument>(argument);
    return tensor == nullptr ? nullptr : &value_of(program, tensor->value);
}

std::optional<std::vector<std::optional<ValueId>>> tensors_with_gaps(ProgramNode const& node,
                                                                     std::string_view name) {
    auto const* given = node.find_argument(name);
    if (given == nullptr) return std::nullopt;
    if (auto const* list = std::get_if<TensorListArgument>(given)) {
        return std::vector<std::optional<ValueId>>(list->values.begin(), list->values.end());
    }
    if (auto const* optional = std::get_if<OptionalTensorListArgument>(given)) {
        return optional->values;
    }
    return std::nullopt;
}

TensorValue const* first_result(ExportedProgram const& program, ProgramNode const& node) {
    auto const made = tensors_returned(node);
    return made.empty() ? nullptr : &value_of(program, made.front());
}

bool flag_argument(ProgramNode const& node, std::string_view name, bool otherwise) {
    auto const* argument = node.find_argument(name);
    auto const* flag = argument == nullptr ? nullptr : std::get_if<bool>(argument);
    return flag == nullptr ? otherwise : *flag;
}

double number_argument(ProgramNode const& node, std::string_view name, double otherwise) {
    auto const* argument = node.find_argument(name);
    if (argument == nullptr) return otherwise;
    if (auto const* integer = std::get_if<std::int64_t>(argument)) {
        return static_cast<double>(*integer);
    }
    auto const* number = std::get_if<double>(argument);
    return number == nullptr ? otherwise : *number;
}

Sizes integers_argument(ProgramNode const& node, std::string_view name) {
    auto const* argument = node.find_argument(name);
    if (argument == nullptr) return {};
    if (auto const* list = std::get_if<Sizes>(argument)) return *list;
    if (auto const* integer = std::get_if<std::int64_t>(argument)) return {*integer};
    return {};
}

std::optional<ValueId> tensor_id(ProgramNode const& node, std::string_view name) {
    auto const* given = node.find_argument(name);
    auto const* tensor = given == nullptr ? nullptr : std::get_if<TensorArgument>(given);
    return tensor == nullptr ? std::nullopt : std::optional{tensor->value};
}

std::int64_t extent(TensorValue const& value, std::int64_t dimension) {
    auto const rank = static_cast<std::int64_t>(value.sizes.size());
    if (dimension < 0) dimension += rank;
    return dimension >= 0 && dimension < rank ? value.sizes[static_cast<std::size_t>(dimension)]
                                              : 1;
}

std::int64_t integer_argument(ProgramNode const& node, std::string_view name,
                              std::int64_t otherwise) {
    return static_cast<std::int64_t>(number_argument(node, name, static_cast<double>(otherwise)));
}

bool is_boolean(TensorValue const& value) { return value.dtype == ScalarType::boolean; }

double broadcast_count(Sizes const& a, Sizes const& b) {
    double count = 1;
    auto const rank = std::max(a.size(), b.size());
    for (std::size_t i = 0; i < rank; ++i) {
        auto const from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
        auto const from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
        count *= static_cast<double>(std::max(from_a, from_b));
    }
    return count;
}

double unique_elements(TensorValue const& value) {
    double count = 1;
    for (std::size_t i = 0; i < value.sizes.size(); ++i) {
        bool const is_expanded = value.strides[i] == 0 && value.sizes[i] > 1;
        if (!is_expanded) count *= static_cast<double>(value.sizes[i]);
    }
    return count;
}

double unique_bytes(TensorValue const& value) {
    return unique_elements(value) * static_cast<double>(bytes_per_element(value.dtype));
}

std::string_view to_string(MemoryOrder order) {
    switch (order) {
        case MemoryOrder::contiguous:
            return "contiguous";
        case MemoryOrder::channels_last:
            return "channels_last";
        case MemoryOrder::strided:
            return "strided";
    }
    return {};
}

MemoryOrder memory_order(TensorValue const& value) {
    auto const rank = value.sizes.size();
    auto const is_dense_in = [&](auto const& from_inner_to_outer) {
        std::int64_t expected = 1;
        for (auto const d : from_inner_to_outer) {
            if (value.sizes[d] == 1) continue;
            if (value.strides[d] != expected) return false;
            expected *= value.sizes[d];
        }
        return true;
    };
    std::vector<std::size_t> order(rank);
    std::iota(order.rbegin(), order.rend(), std::size_t{0});
    if (value.element_count() == 0 || is_dense_in(order)) return MemoryOrder::contiguous;
    if (rank == 4 && is_dense_in(std::array<std::size_t, 4>{1, 3, 2, 0})) {
        return MemoryOrder::channels_last;
    }
    if (rank == 5 && is_dense_in(std::array<std::size_t, 5>{1, 4, 3, 2, 0})) {
        return MemoryOrder::channels_last;
    }
    return MemoryOrder::strided;
}

bool same_element_order(TensorValue const& a, TensorValue const& b) {
    if (a.sizes != b.sizes) return false;
    for (std::size_t i = 0; i < a.sizes.size(); ++i) {
        if (a.sizes[i] > 1 && a.strides[i] != b.strides[i]) return false;
    }
    return true;
}

bool can_view(TensorValue const& value, Sizes const& sizes) {
    if (value.element_count() == 0) return true;
    // Dimensions that lie densely behind one another form one chunk of memory; the new shape must
    // cut at every border between chunks.
    struct Chunk {
        std::int64_t elements;
        std::int64_t outermost_stride;
        std::int64_t outermost_size;
    };
    std::vector<Chunk> chunks;  // from the innermost outwards
    for (std::size_t i = value.sizes.size(); i-- > 0;) {
        auto const size = value.sizes[i];
        auto const stride = value.strides[i];
        if (size == 1) continue;
        std::int64_t dense = 0;
        if (!chunks.empty() &&
            !__builtin_mul_overflow(chunks.back().outermost_stride, chunks.back().outermost_size,
                                    &dense) &&
            stride == dense) {
            chunks.back() = {chunks.back().elements * size, stride, size};
        } else {
            chunks.push_back({size, stride, size});
        }
    }
    std::size_t chunk = 0;
    std::int64_t left = chunks.empty() ? 1 : chunks.front().elements;
    for (std::size_t i = sizes.size(); i-- > 0;) {
        if (sizes[i] == 1) continue;
        if (left == 1 && ++chunk < chunks.size()) left = chunks[chunk].elements;
        if (sizes[i] == 0 || left % sizes[i] != 0) return false;
        left /= sizes[i];
    }
    return left == 1;
}

ConvolutionShape convolution_shape(ExportedProgram const& program, ProgramNode const& node) {
    auto const name = operator_name(node);
    bool const names_input = tensor_argument(program, node, "input") != nullptr;
    auto const& input = required_tensor(program, node, names_input ? "input" : "self");
    auto const& weight = required_tensor(program, node, "weight");
    if (name == "conv_tbc") return time_batch_channels(program, node, input, weight);
    if (weight.sizes.size() < 3 || weight.sizes.size() > 5) {
        refuse(node, "has a weight of rank " + std::to_string(weight.sizes.size()), "3 to 5");
    }
    auto const dimensions = weight.sizes.size() - 2;
    if (input.sizes.size() < dimensions + 1 || input.sizes.size() > dimensions + 2) {
        refuse(node, "has an input of rank " + std::to_string(input.sizes.size()),
               "the weight's rank");
    }
    auto const* result = first_result(program, node);
    if (result == nullptr || result->sizes.size() != input.sizes.size()) {
        refuse(node, "has no result of its input's rank", "one");
    }
    ConvolutionShape shape;
    shape.transposed = name.find("conv_transpose") != std::string_view::npos ||
                       name.find("convolution_transpose") != std::string_view::npos ||
                       flag_argument(node, "transposed", false);
    shape.batch = input.sizes.size() == dimensions + 2 ? input.sizes.front() : 1;
    shape.in_channels = input.sizes[input.sizes.size() - dimensions - 1];
    bool const is_depthwise = name.find("depthwise") != std::string_view::npos;
    shape.groups = is_depthwise
                       ? shape.in_channels
                       : static_cast<std::int64_t>(number_argument(node, "groups", 1));
    shape.out_channels = result->sizes[result->sizes.size() - dimensions - 1];
    shape.kernel = last_sizes(weight, dimensions);
    shape.stride = per_dimension(node, "stride", dimensions, 1);
    shape.dilation = per_dimension(node, "dilation", dimensions, 1);
    auto const* padding = node.find_argument("padding");
    if (padding != nullptr && std::holds_alternative<std::string>(*padding)) {
        shape.padding_mode = std::get<std::string>(*padding);
    } else {
        shape.padding = per_dimension(node, "padding", dimensions, 0);
    }
    shape.input_spatial = last_sizes(input, dimensions);
    shape.output_spatial = last_sizes(*result, dimensions);
    return shape;
}

AttentionShape attention_shape(ExportedProgram const& program, ProgramNode const& node) {
    auto const name = operator_name(node);
    if (name == "_transformer_encoder_layer_fwd") {
        auto const& source = required_tensor(program, node, "src");
        return projected_attention(node, source, source, "num_heads");
    }
    auto const& query = required_tensor(program, node, "query");
    auto const& key = required_tensor(program, node, "key");
    auto const& value = required_tensor(program, node, "value");
    if (node.find_argument("proj_weight") != nullptr) {
        return projected_attention(node, query, key, "num_head");
    }
    for (auto const* tensor : {&query, &key, &value}) {
        if (tensor->sizes.size() < 2) refuse(node, "has a tensor of rank below 2", "2 or more");
    }
    // These two hold heads behind lengths: batch x length x heads x size.
    bool const heads_inside =
        name == "_flash_attention_forward" || name == "_efficient_attention_forward";
    std::size_t const length_at = heads_inside ? 3 : 2;
    std::size_t const heads_at = heads_inside ? 2 : 3;
    auto const from_end = [](TensorValue const& tensor, std::size_t i) {
        return i <= tensor.sizes.size() ? tensor.sizes[tensor.sizes.size() - i] : std::int64_t{1};
    };
    auto const largest = [&](std::size_t i) {
        return std::max({from_end(query, i), from_end(key, i), from_end(value, i)});
    };
    auto const rank = std::max({query.sizes.size(), key.sizes.size(), value.sizes.size()});
    bool const has_heads = rank >= 4 || (heads_inside && rank == 3);
    AttentionShape shape;
    shape.heads = has_heads ? largest(heads_at) : 1;
    shape.key_heads = key.sizes.size() >= 4 ? from_end(key, heads_at) : 1;
    // Queries, keys and values of a batch of one meet those of a larger one.
    for (std::size_t i = has_heads ? 4 : 3; i <= rank; ++i) {
        auto const extent = largest(i);
        if (__builtin_mul_overflow(shape.batch, extent, &shape.batch)) {
            refuse(node, "has a batch beyond 2^63", "tensors of one batch");
        }
    }
    shape.query_length = from_end(query, length_at);
    shape.key_length = from_end(key, length_at);
    shape.head_size = from_end(query, 1);
    shape.value_size = from_end(value, 1);
    return shape;
}

PoolShape pool_shape(ExportedProgram const& program, ProgramNode const& node) {
    auto const name = operator_name(node);
    auto const digit = name.find_first_of("123");
    auto const dimensions = digit == std::string_view::npos
                                ? std::size_t{2}
                                : static_cast<std::size_t>(name[digit] - '0');
    auto const read = tensors_read(node);
    auto const* result = first_result(program, node);
    if (read.empty() || result == nullptr || result->sizes.size() < dimensions ||
        value_of(program, read.front()).sizes.size() != result->sizes.size()) {
        refuse(node, "has no input and result of equal rank", "both");
    }
    auto const& input = value_of(program, read.front());
    auto const input_spatial = last_sizes(input, dimensions);

    PoolShape shape;
    shape.output_spatial = last_sizes(*result, dimensions);
    shape.window_elements = 1;
    for (std::size_t i = 0; i + dimensions < result->sizes.size(); ++i) {
        shape.window_elements *= static_cast<double>(result->sizes[i]);
    }
    if (name.find("adaptive") != std::string_view::npos) {
        for (std::size_t i = 0; i < dimensions; ++i) {
            auto const in = input_spatial[i];
            auto const out = shape.output_spatial[i];
            // Window o is [floor(o in / out), ceil((o + 1) in / out)): neighbours overlap by one
            // wherever the border is no integer, which gcd(in, out) - 1 of the borders are.
            shape.window_elements *= static_cast<double>(in + out - std::gcd(in, out));
            shape.kernel.push_back(out == 0 ? 0 : (in + out - 1) / out);
            shape.stride.push_back(out == 0 ? 0 : in / out);
        }
        return shape;
    }
    shape.kernel = per_dimension(node, "kernel_size", dimensions, 1);
    shape.stride = integers_argument(node, "stride").empty()
                       ? shape.kernel
                       : per_dimension(node, "stride", dimensions, 1);
    for (std::size_t i = 0; i < dimensions; ++i) {
        shape.window_elements *=
            static_cast<double>(shape.output_spatial[i]) * static_cast<double>(shape.kernel[i]);
    }
    return shape;
}

}  // namespace derate
