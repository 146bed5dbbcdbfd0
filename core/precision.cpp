#include "core/precision.hpp"

#include <cctype>
#include <string>

#include "core/name_table.hpp"

namespace derate {
namespace {

constexpr NameTable<Precision, 4> names{{
    {Precision::fp32, "FP32"},
    {Precision::fp16, "FP16"},
    {Precision::bf16, "BF16"},
    {Precision::int8, "INT8"},
}};

}  // namespace

double bytes_of(NumberType type) {
    switch (type) {
        case NumberType::fp32:
        case NumberType::int32:
            return 4;
        case NumberType::fp16:
        case NumberType::bf16:
            return 2;
        case NumberType::int8:
            return 1;
    }
    return 0;
}

NumericFormat numeric_format(Precision precision) {
    switch (precision) {
        case Precision::fp32:
            return {};
        case Precision::fp16:
            return {.weights = NumberType::fp16, .activations = NumberType::fp16};
        case Precision::bf16:
            return {.weights = NumberType::bf16, .activations = NumberType::bf16};
        case Precision::int8:
            return {.weights = NumberType::int8,
                    .activations = NumberType::int8,
                    .accumulation = NumberType::int32};
    }
    return {};
}

std::string_view to_string(Precision precision) {
    return name_of(precision, names);
}

std::optional<Precision> parse_precision(std::string_view text) {
    std::string upper{text};
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return value_named<Precision>(upper, names);
}

}  // namespace derate
