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

std::string_view to_string(Precision precision) {
    return name_of(precision, names);
}

std::optional<Precision> parse_precision(std::string_view text) {
    std::string upper{text};
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return value_named<Precision>(upper, names);
}

}  // namespace derate
