#include "core/precision.hpp"

#include <array>
#include <cctype>
#include <string>
#include <utility>

namespace derate {
namespace {

constexpr std::array<std::pair<Precision, std::string_view>, 4> names{{
    {Precision::fp32, "FP32"},
    {Precision::fp16, "FP16"},
    {Precision::bf16, "BF16"},
    {Precision::int8, "INT8"},
}};

}  // namespace

std::string_view to_string(Precision precision) {
    for (auto const& [value, name] : names) {
        if (value == precision) return name;
    }
    return {};
}

std::optional<Precision> parse_precision(std::string_view text) {
    std::string upper{text};
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    for (auto const& [value, name] : names) {
        if (name == upper) return value;
    }
    return std::nullopt;
}

}  // namespace derate
