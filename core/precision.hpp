#pragma once
#include <optional>
#include <string_view>

namespace derate {

/// Numeric format of a model, by the name that files and people give it; numeric_format() has its
/// parts.
enum class Precision { fp32, fp16, bf16, int8 };

/// What one number is stored or added up as.
enum class NumberType { fp32, fp16, bf16, int8, int32 };

[[nodiscard]] double bytes_of(NumberType type);

/// Numbers of a kernel: what it reads, and what its sums are held in while they grow.
struct NumericFormat {
    NumberType weights = NumberType::fp32;
    NumberType activations = NumberType::fp32;
    NumberType accumulation = NumberType::fp32;

    friend bool operator==(NumericFormat const&, NumericFormat const&) = default;
};

/// oneDNN and cuBLAS add up products of 16-bit numbers in FP32, of INT8 in INT32.
[[nodiscard]] NumericFormat numeric_format(Precision precision);

/// As files spell it: "FP32", "FP16", "BF16", "INT8".
[[nodiscard]] std::string_view to_string(Precision precision);

/// Reads either case ("fp32", "FP32"); empty for anything else.
[[nodiscard]] std::optional<Precision> parse_precision(std::string_view text);

}  // namespace derate
