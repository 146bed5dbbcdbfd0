#include "workloads/constant_bytes.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace derate {
namespace {

std::uint16_t bits_of(ScalarType dtype, double value) {
    std::vector<std::byte> bytes;
    append_element(bytes, dtype, value);
    std::uint16_t bits = 0;
    EXPECT_EQ(bytes.size(), sizeof bits);
    std::memcpy(&bits, bytes.data(), sizeof bits);
    return bits;
}

TEST(AppendElement, RoundsToBfloat16AsIeeeDoes) {
    EXPECT_EQ(bits_of(ScalarType::bfloat16, 0.0), 0x0000);
    EXPECT_EQ(bits_of(ScalarType::bfloat16, -0.0), 0x8000);
    EXPECT_EQ(bits_of(ScalarType::bfloat16, 1.0), 0x3f80);
    EXPECT_EQ(bits_of(ScalarType::bfloat16, -1.5), 0xbfc0);
    EXPECT_EQ(bits_of(ScalarType::bfloat16, 1.0 + 1.0 / 256), 0x3f80) << "a tie goes to even";
    EXPECT_EQ(bits_of(ScalarType::bfloat16, 1.0 + 3.0 / 256), 0x3f82) << "a tie goes to even";
    EXPECT_EQ(bits_of(ScalarType::bfloat16, 1.999), 0x4000) << "rounding carries into the exponent";
    EXPECT_EQ(bits_of(ScalarType::bfloat16, 3.4e38), 0x7f80) << "beyond the largest: infinity";
    EXPECT_EQ(bits_of(ScalarType::bfloat16, -std::numeric_limits<double>::infinity()), 0xff80);
    EXPECT_EQ(bits_of(ScalarType::bfloat16, std::nan("")), 0x7fc0);
}

TEST(AppendElement, RoundsToHalfAsIeeeDoes) {
    EXPECT_EQ(bits_of(ScalarType::float16, 1.0), 0x3c00);
    EXPECT_EQ(bits_of(ScalarType::float16, 65504.0), 0x7bff) << "the largest";
    EXPECT_EQ(bits_of(ScalarType::float16, 65520.0), 0x7c00) << "rounds to infinity";
    EXPECT_EQ(bits_of(ScalarType::float16, std::ldexp(1.0, -14)), 0x0400) << "smallest normal";
    EXPECT_EQ(bits_of(ScalarType::float16, std::ldexp(1.0, -24)), 0x0001) << "smallest subnormal";
    EXPECT_EQ(bits_of(ScalarType::float16, std::ldexp(1.0, -26)), 0x0000);
}

TEST(GatherElements, FollowsStridesAndOffset) {
    // Storage 0..11 as int32; the transpose of its 3 x 4 matrix without the first column.
    std::string storage(12 * sizeof(std::int32_t), '\0');
    for (std::int32_t i = 0; i < 12; ++i) {
        std::memcpy(storage.data() + 4 * i, &i, sizeof i);
    }
    TensorValue const layout{.name = "t",
                             .dtype = ScalarType::int32,
                             .sizes = {3, 3},
                             .strides = {1, 4},
                             .storage_offset = 1};
    auto const bytes = gather_elements(storage, layout);
    ASSERT_TRUE(bytes);
    std::vector<std::int32_t> elements(9);
    ASSERT_EQ(bytes->size(), 9 * sizeof(std::int32_t));
    std::memcpy(elements.data(), bytes->data(), bytes->size());
    EXPECT_EQ(elements, (std::vector<std::int32_t>{1, 5, 9, 2, 6, 10, 3, 7, 11}));
}

TEST(GatherElements, RefusesATensorThatReachesBeyondItsStorage) {
    TensorValue const layout{
        .name = "t", .dtype = ScalarType::int64, .sizes = {2}, .strides = {1}, .storage_offset = 1};
    EXPECT_TRUE(gather_elements(std::string(24, '\0'), layout));
    EXPECT_FALSE(gather_elements(std::string(23, '\0'), layout));
}

}  // namespace
}  // namespace derate
