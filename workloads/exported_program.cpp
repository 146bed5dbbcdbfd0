#include "workloads/exported_program.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace derate {
namespace {

struct ScalarTypeRow {
    ScalarType type;
    std::string_view name;
    std::int64_t bytes;
    bool floating_point;
};

constexpr std::array<ScalarTypeRow, 10> scalar_types{{
    {ScalarType::uint8, "uint8", 1, false},
    {ScalarType::int8, "int8", 1, false},
    {ScalarType::int16, "int16", 2, false},
    {ScalarType::int32, "int32", 4, false},
    {ScalarType::int64, "int64", 8, false},
    {ScalarType::float16, "float16", 2, true},
    {ScalarType::float32, "float32", 4, true},
    {ScalarType::float64, "float64", 8, true},
    {ScalarType::boolean, "bool", 1, false},
    {ScalarType::bfloat16, "bfloat16", 2, true},
}};

ScalarTypeRow const& row_of(ScalarType type) {
    return scalar_types[static_cast<std::size_t>(type)];  // in the order of the enumeration
}

/// The parts of "torch.ops.<namespace>.<operator>.<overload>".
std::string_view target_part(std::string_view target, int part) {
    constexpr std::string_view prefix = "torch.ops.";
    if (!target.starts_with(prefix)) return part == 1 ? target : std::string_view{};
    target.remove_prefix(prefix.size());
    for (; part > 0; --part) {
        auto const dot = target.find('.');
        if (dot == std::string_view::npos) return {};
        target.remove_prefix(dot + 1);
    }
    return target.substr(0, target.find('.'));
}

}  // namespace

std::string_view to_string(ScalarType type) { return row_of(type).name; }

std::optional<ScalarType> parse_scalar_type(std::string_view name) {
    for (auto const& row : scalar_types) {
        if (row.name == name) return row.type;
    }
    return std::nullopt;
}

std::int64_t bytes_per_element(ScalarType type) { return row_of(type).bytes; }

bool is_floating_point(ScalarType type) { return row_of(type).floating_point; }

std::string_view to_string(MemoryFormat format) {
    switch (format) {
        case MemoryFormat::contiguous:
            return "contiguous";
        case MemoryFormat::channels_last:
            return "channels_last";
        case MemoryFormat::channels_last_3d:
            return "channels_last_3d";
        case MemoryFormat::preserve:
            return "preserve";
    }
    return {};
}

std::string_view to_string(InputKind kind) {
    switch (kind) {
        case InputKind::user_input:
            return "user_input";
        case InputKind::parameter:
            return "parameter";
        case InputKind::buffer:
            return "buffer";
        case InputKind::tensor_constant:
            return "tensor_constant";
    }
    return {};
}

ArgumentValue const* ProgramNode::find_argument(std::string_view argument) const {
    for (auto const& candidate : arguments) {
        if (candidate.name == argument) return &candidate.value;
    }
    return nullptr;
}

std::string_view operator_namespace(ProgramNode const& node) { return target_part(node.target, 0); }
std::string_view operator_name(ProgramNode const& node) { return target_part(node.target, 1); }
std::string_view operator_overload(ProgramNode const& node) { return target_part(node.target, 2); }

ValueIds tensors_read(ProgramNode const& node) {
    ValueIds read;
    for (auto const& argument : node.arguments) {
        if (auto const* tensor = std::get_if<TensorArgument>(&argument.value)) {
            read.push_back(tensor->value);
        } else if (auto const* list = std::get_if<TensorListArgument>(&argument.value)) {
            read.append(list->values);
        } else if (auto const* optional =
                       std::get_if<OptionalTensorListArgument>(&argument.value)) {
            for (auto const& value : optional->values) {
                if (value) read.push_back(*value);
            }
        }
    }
    return read;
}

ValueIds tensors_returned(ProgramNode const& node) {
    ValueIds returned;
    for (auto const& output : node.outputs) {
        if (auto const* tensor = std::get_if<TensorArgument>(&output)) {
            returned.push_back(tensor->value);
        } else if (auto const* list = std::get_if<TensorListArgument>(&output)) {
            returned.append(list->values);
        }
    }
    return returned;
}

std::int64_t TensorValue::element_count() const {
    std::int64_t count = 1;
    for (auto const size : sizes) count *= size;
    return count;
}

std::vector<std::int64_t> distinct_sizes(TensorValue const& value) {
    auto sizes = value.sizes;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        if (value.strides[i] == 0) sizes[i] = std::min(sizes[i], std::int64_t{1});
    }
    return sizes;
}

Precision precision_of(ExportedProgram const& program) {
    std::map<ScalarType, double> elements;
    for (auto const& input : program.inputs) {
        if (input.kind != InputKind::parameter) continue;
        auto const& value = program.values.at(static_cast<std::size_t>(input.value));
        elements[value.dtype] += static_cast<double>(value.element_count());
    }
    if (elements.empty()) {
        for (auto const& value : program.values) {
            if (!is_floating_point(value.dtype)) continue;
            elements[value.dtype] += static_cast<double>(value.element_count());
        }
    }
    auto const most = std::max_element(elements.begin(), elements.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    if (most == elements.end()) return Precision::fp32;
    switch (most->first) {
        case ScalarType::float16:
            return Precision::fp16;
        case ScalarType::bfloat16:
            return Precision::bf16;
        case ScalarType::int8:
        case ScalarType::uint8:
            return Precision::int8;
        default:
            return Precision::fp32;
    }
}

}  // namespace derate
