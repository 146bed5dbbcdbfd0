#include "benchmarks/scalar_types.hpp"

#include <stdexcept>

namespace derate::benchmarks {

c10::ScalarType to_c10(ScalarType type) {
    switch (type) {
        case ScalarType::uint8:
            return c10::ScalarType::Byte;
        case ScalarType::int8:
            return c10::ScalarType::Char;
        case ScalarType::int16:
            return c10::ScalarType::Short;
        case ScalarType::int32:
            return c10::ScalarType::Int;
        case ScalarType::int64:
            return c10::ScalarType::Long;
        case ScalarType::float16:
            return c10::ScalarType::Half;
        case ScalarType::float32:
            return c10::ScalarType::Float;
        case ScalarType::float64:
            return c10::ScalarType::Double;
        case ScalarType::boolean:
            return c10::ScalarType::Bool;
        case ScalarType::bfloat16:
            return c10::ScalarType::BFloat16;
    }
    throw std::logic_error{"scalar type out of range"};
}

c10::ScalarType to_c10(Precision precision) {
    switch (precision) {
        case Precision::fp16:
            return c10::ScalarType::Half;
        case Precision::bf16:
            return c10::ScalarType::BFloat16;
        default:
            return c10::ScalarType::Float;
    }
}

}  // namespace derate::benchmarks
