#pragma once
#include <cstdint>
#include <optional>

#include "workloads/exported_program.hpp"

namespace derate {

/// The dtype that torch/_export/serde/schema.py gives this number, which is not c10's; empty for
/// one that cannot be timed.
[[nodiscard]] constexpr std::optional<ScalarType> scalar_type_of_schema(std::int64_t number) {
    switch (number) {
        case 1:
            return ScalarType::uint8;
        case 2:
            return ScalarType::int8;
        case 3:
            return ScalarType::int16;
        case 4:
            return ScalarType::int32;
        case 5:
            return ScalarType::int64;
        case 6:
            return ScalarType::float16;
        case 7:
            return ScalarType::float32;
        case 8:
            return ScalarType::float64;
        case 12:
            return ScalarType::boolean;
        case 13:
            return ScalarType::bfloat16;
        default:
            return std::nullopt;
    }
}

}  // namespace derate
