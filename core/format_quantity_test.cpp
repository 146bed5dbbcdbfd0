#include "core/format_quantity.hpp"

#include <gtest/gtest.h>

namespace derate {
namespace {

TEST(FormatQuantity, UsesThreeDigitsAndAPrefix) {
    EXPECT_EQ(format_flops(Flops{12.5e6}), "12.5 MFLOP");
    EXPECT_EQ(format_flops(Flops{950}), "950 FLOP");
    EXPECT_EQ(format_flops(Flops{0}), "0 FLOP");
    EXPECT_EQ(format_flops(Flops{999.7e6}), "1.00 GFLOP");
    EXPECT_EQ(format_bytes(Bytes{1.5 * 1024 * 1024}), "1.50 MiB");
    EXPECT_EQ(format_bytes(Bytes{612}), "612 B");
    EXPECT_EQ(format_rate(FlopsPerSecond{1.28e12}), "1.28 TFLOP/s");
    EXPECT_EQ(format_rate(BytesPerSecond{31.4e9}), "31.4 GB/s");
}

TEST(FormatQuantity, ShowsNoDigitBeyondTheInterval) {
    EXPECT_EQ(format_ms(12.3456, 0.87), "12.35 ms");
    EXPECT_EQ(format_ms(1234.5, 87), "1234 ms");
    EXPECT_EQ(format_ms(0.52), "0.5200 ms");
}

TEST(FormatQuantity, WritesVeryLargeAndSmallAsPowers) {
    EXPECT_EQ(format_significant(0.000012, 3), "1.20e-05");
    EXPECT_EQ(format_significant(0.0347, 3), "0.0347");
    EXPECT_EQ(format_significant(-2.5, 2), "-2.5");
}

}  // namespace
}  // namespace derate
