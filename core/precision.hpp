#pragma once
#include <optional>
#include <string_view>

namespace derate {

/// Number format of a model's weights and activations.
enum class Precision { fp32, fp16, bf16, int8 };

/// As files spell it: "FP32", "FP16", "BF16", "INT8".
[[nodiscard]] std::string_view to_string(Precision precision);

/// Reads either case ("fp32", "FP32"); empty for anything else.
[[nodiscard]] std::optional<Precision> parse_precision(std::string_view text);

}  // namespace derate
