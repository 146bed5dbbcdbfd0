#include "workloads/constant_bytes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace derate {
namespace {

template <class T>
void append_raw(std::vector<std::byte>& bytes, T value) {
    auto const at = bytes.size();
    bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// IEEE 754 binary interchange bits of a 16-bit format.
///
/// With e the exponent (not below the smallest normal one) and m = round(|x| 2^(p - e)), p mantissa
/// bits, the bits are (e + bias) 2^p + (m - 2^p): a carry out of m moves into the exponent, and
/// subnormals have e at its floor and m below 2^p.
std::uint16_t to_bits16(double x, int mantissa_bits, int bias) {
    int const exponent_max = bias;  // of a finite number
    auto const sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
    auto const infinity = static_cast<std::uint16_t>((2 * bias + 1) << mantissa_bits);
    if (std::isnan(x)) return static_cast<std::uint16_t>(infinity | (1 << (mantissa_bits - 1)));
    double const magnitude = std::fabs(x);
    if (std::isinf(x)) return sign | infinity;
    int const exponent = magnitude == 0 ? 1 - bias : std::max(std::ilogb(magnitude), 1 - bias);
    if (exponent > exponent_max) return sign | infinity;
    auto const mantissa =
        static_cast<int>(std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent)));
    int const bits = ((exponent + bias) << mantissa_bits) + mantissa - (1 << mantissa_bits);
    return static_cast<std::uint16_t>(sign | bits);
}

}  // namespace

void append_element(std::vector<std::byte>& bytes, ScalarType dtype, double element) {
    switch (dtype) {
        case ScalarType::float16:
            return append_raw(bytes, to_bits16(element, 10, 15));
        case ScalarType::bfloat16:
            return append_raw(bytes, to_bits16(element, 7, 127));
        case ScalarType::float64:
            return append_raw(bytes, element);
        default:
            return append_raw(bytes, static_cast<float>(element));
    }
}

void append_element(std::vector<std::byte>& bytes, ScalarType dtype, std::int64_t element) {
    auto const unsigned_element = static_cast<std::uint64_t>(element);
    switch (bytes_per_element(dtype)) {
        case 1:
            return append_raw(bytes, static_cast<std::uint8_t>(unsigned_element));
        case 2:
            return append_raw(bytes, static_cast<std::uint16_t>(unsigned_element));
        case 4:
            return append_raw(bytes, static_cast<std::uint32_t>(unsigned_element));
        default:
            return append_raw(bytes, unsigned_element);
    }
}

std::optional<StorageRange> storage_range(TensorValue const& layout) {
    constexpr std::int64_t limit = std::int64_t{1} << 48;
    auto const width = bytes_per_element(layout.dtype);
    std::int64_t reach = 0;  // elements between the first and the last
    for (std::size_t i = 0; i < layout.sizes.size(); ++i) {
        if (layout.sizes[i] == 0) return StorageRange{};
        std::int64_t span = 0;
        if (layout.sizes[i] < 0 || layout.strides[i] < 0 ||
            __builtin_mul_overflow(layout.sizes[i] - 1, layout.strides[i], &span) ||
            __builtin_add_overflow(reach, span, &reach)) {
            return std::nullopt;
        }
    }
    if (layout.storage_offset < 0 || layout.storage_offset > limit / 16 || reach > limit / 16) {
        return std::nullopt;
    }
    return StorageRange{.first = static_cast<std::uint64_t>(layout.storage_offset * width),
                        .count = static_cast<std::uint64_t>((reach + 1) * width)};
}

std::optional<std::vector<std::byte>> gather_elements(std::string_view storage,
                                                      TensorValue const& layout) {
    auto const width = bytes_per_element(layout.dtype);
    auto const count = layout.element_count();
    auto const range = storage_range(layout);
    if (!range || range->first + range->count > storage.size()) return std::nullopt;

    std::vector<std::byte> bytes(static_cast<std::size_t>(count * width));
    std::vector<std::int64_t> index(layout.sizes.size(), 0);
    std::int64_t at = layout.storage_offset;
    for (std::int64_t element = 0; element < count; ++element) {
        std::memcpy(bytes.data() + element * width, storage.data() + at * width,
                    static_cast<std::size_t>(width));
        for (std::size_t i = index.size(); i-- > 0;) {
            at += layout.strides[i];
            if (++index[i] < layout.sizes[i]) break;
            at -= layout.sizes[i] * layout.strides[i];
            index[i] = 0;
        }
    }
    return bytes;
}

}  // namespace derate
