#include "workloads/graph_tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "workloads/constant_bytes.hpp"
#include "workloads/export_schema.hpp"

namespace derate {
namespace {

constexpr std::int64_t max_elements = std::int64_t{1} << 48;

std::string name_of_unsupported(std::int64_t number) {
    switch (number) {
        case 9:
            return "complex32";
        case 10:
            return "complex64";
        case 11:
            return "complex128";
        case 28:
            return "uint16";
        case 29:
            return "float8_e4m3fn";
        case 30:
            return "float8_e5m2";
        case 34:
            return "uint32";
        case 35:
            return "uint64";
        default:
            return "number " + std::to_string(number);
    }
}

constexpr char const* supported_dtypes =
    "float32, bfloat16 or float16 weights and activations, integers and bool; convert the model "
    "before torch.export, e.g. model.float()";

/// The file lists every element, also of an expanded dimension.
std::vector<std::byte> distinct_elements(TensorValue const& value,
                                         std::vector<std::byte> const& elements) {
    TensorValue layout{
        .name = {}, .dtype = value.dtype, .sizes = distinct_sizes(value), .strides = value.sizes};
    std::int64_t stride = 1;
    for (std::size_t i = value.sizes.size(); i-- > 0;) {
        layout.strides[i] = stride;
        stride *= value.sizes[i];
    }
    std::string_view const listed{reinterpret_cast<char const*>(elements.data()), elements.size()};
    return gather_elements(listed, layout).value();
}

}  // namespace

ScalarType dtype_of(GraphElements const& graph, GraphElements::element value) {
    auto const number = graph.integer_of(value, "dtype");
    auto const dtype = scalar_type_of_schema(number);
    if (!dtype) {
        graph.refuse("dtype " + name_of_unsupported(number) + " is not supported",
                     supported_dtypes);
    }
    return *dtype;
}

GraphTensor tensor_of(GraphElements const& graph, GraphElements::element meta, std::string name,
                      GraphShapes& shapes) {
    auto const number = graph.integer_of(graph.member(meta, "dtype"), "dtype");
    auto const dtype = scalar_type_of_schema(number);
    if (!dtype) {
        graph.refuse(
            "tensor " + name + ": dtype " + name_of_unsupported(number) + " is not supported",
            supported_dtypes);
    }
    if (graph.integer_of(graph.member(meta, "layout"), "layout") != 7) {
        graph.refuse("tensor " + name + " is sparse", "dense tensors");
    }
    GraphTensor tensor{
        .value = {.name = std::move(name), .dtype = *dtype, .sizes = {}, .strides = {}},
        .slots = {}};
    auto const extent = [&](ShapeSlot::Place place, std::size_t position,
                            GraphElements::element value) {
        auto const read = shapes.number_of(graph, value);
        if (auto const* const fixed = std::get_if<std::int64_t>(&read)) return *fixed;
        tensor.slots.push_back({.place = place,
                                .position = static_cast<std::int32_t>(position),
                                .expression = std::get<ExpressionId>(read)});
        return std::int64_t{0};
    };
    auto& value = tensor.value;
    for (auto const size : graph.list_of(graph.member(meta, "sizes"), "sizes")) {
        value.sizes.push_back(extent(ShapeSlot::Place::size, value.sizes.size(), size));
    }
    for (auto const stride : graph.list_of(graph.member(meta, "strides"), "strides")) {
        value.strides.push_back(extent(ShapeSlot::Place::stride, value.strides.size(), stride));
    }
    value.storage_offset =
        extent(ShapeSlot::Place::storage_offset, 0, graph.member(meta, "storage_offset"));
    if (value.sizes.size() != value.strides.size()) {
        graph.refuse("tensor " + value.name + " has " + std::to_string(value.sizes.size()) +
                         " sizes and " + std::to_string(value.strides.size()) + " strides",
                     "as many");
    }
    if (auto const fault = fault_of(value)) {
        graph.refuse("tensor " + value.name + " " + *fault, held_tensors);
    }
    if (*dtype == ScalarType::float64 && (value.element_count() > 1 || !tensor.slots.empty())) {
        graph.refuse("tensor " + value.name + ": dtype float64 is not supported", supported_dtypes);
    }
    return tensor;
}

std::optional<std::string> fault_of(TensorValue const& value) {
    std::int64_t elements = 1;
    std::int64_t reach = value.storage_offset;
    bool is_beyond = value.storage_offset < 0;
    for (std::size_t i = 0; i < value.sizes.size(); ++i) {
        if (value.sizes[i] < 0 || value.strides[i] < 0) {
            return "has size or stride " +
                   std::to_string(std::min(value.sizes[i], value.strides[i]));
        }
        auto const size = std::max(value.sizes[i], std::int64_t{1});
        std::int64_t span = 0;
        is_beyond |= __builtin_mul_overflow(elements, size, &elements) ||
                     __builtin_mul_overflow(size - 1, value.strides[i], &span) ||
                     __builtin_add_overflow(reach, span, &reach);
    }
    if (is_beyond || elements > max_elements || reach > max_elements) return "is too large";
    return std::nullopt;
}

void read_embedded_constants(GraphElements& graph, GraphElements::element constants,
                             ExportedProgram& program) {
    for (auto const [name, constant] : graph.object_of(constants, "derate_constants")) {
        graph.go_to("/derate_constants/" + std::string{name});
        auto const dtype =
            parse_scalar_type(graph.text_of(graph.member(constant, "dtype"), "dtype"));
        auto const shape =
            graph.all_of(graph.member(constant, "shape"), "shape",
                         [&](GraphElements::element v) { return graph.integer_of(v, "shape"); });
        for (auto const& input : program.inputs) {
            bool const holds_values =
                input.kind == InputKind::buffer || input.kind == InputKind::tensor_constant;
            if (!holds_values || input.name != name) continue;
            auto const& value = program.values[static_cast<std::size_t>(input.value)];
            if (dtype != value.dtype || shape != value.sizes) {
                graph.refuse("dtype or shape differs from the tensor's", "the same");
            }
            std::vector<std::byte> bytes;
            for (auto const item : graph.list_of(graph.member(constant, "values"), "values")) {
                if (is_floating_point(value.dtype)) {
                    append_element(bytes, value.dtype, graph.number_of(item, "value"));
                } else {
                    append_element(bytes, value.dtype, graph.integer_of(item, "value"));
                }
            }
            auto const expected = value.element_count() * bytes_per_element(value.dtype);
            if (static_cast<std::int64_t>(bytes.size()) != expected) {
                graph.refuse("the number of values does not match the shape", "one an element");
            }
            program.constants.emplace(input.value, distinct_elements(value, bytes));
        }
    }
    graph.go_to({});
}

}  // namespace derate
