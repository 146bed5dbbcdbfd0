#include "calibration/rates_above_peak.hpp"

#include <gmock/gmock.h>

namespace derate {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

EvidenceCase kernel(double flops, double bytes, double ms) {
    EvidenceCase result;
    result.subgraph.fusion_pattern = "Conv2d";
    result.subgraph.work = Flops{flops};
    result.subgraph.traffic.output = Bytes{bytes};
    result.timing = Timing{.center_ms = ms, .mean_ms = ms};
    return result;
}

Calibration of_peaks(double flops, double bytes) {
    Calibration calibration;
    if (flops > 0) calibration.peak_flops = PeakRate{.per_second = flops};
    if (bytes > 0) calibration.peak_bandwidth = PeakRate{.per_second = bytes};
    return calibration;
}

// 1e9 FLOP in 1 ms are 1 TFLOP/s.
TEST(RatesAbovePeak, CountsKernelsAndNamesTheFastest) {
    Evidence evidence;
    evidence.cases = {kernel(1e9, 1e6, 1), kernel(2e9, 1e6, 1), kernel(3e9, 1e6, 1)};
    evidence.models = {{.name = "net", .family = "net", .batch = 4, .cases = {0, 2, 1}}};
    auto const above = rates_above_peak(of_peaks(1.5e12, 1), evidence);
    ASSERT_EQ(above.size(), 1U);
    EXPECT_FALSE(above[0].of_bandwidth);
    EXPECT_EQ(above[0].kernels, 2);
    EXPECT_EQ(above[0].of_kernels, 3);
    EXPECT_DOUBLE_EQ(above[0].largest, 2);
    EXPECT_EQ(above[0].fastest, "net/4/1");
    EXPECT_THAT(in_words(above[0]), HasSubstr("2 of 3 kernels run above the stated compute peak of "
                                              "1.50 TFLOP/s, up to 2.0 times (net/4/1)"));
}

// Traffic is judged where it is the axis: a kernel with FLOPs may well read from a cache.
TEST(RatesAbovePeak, JudgesTrafficOfKernelsWithoutFlopsOnly) {
    Evidence evidence;
    evidence.cases = {kernel(1e6, 1e9, 1), kernel(0, 3e7, 1)};
    auto const above = rates_above_peak(of_peaks(1e12, 2e10), evidence);
    ASSERT_EQ(above.size(), 1U);
    EXPECT_TRUE(above[0].of_bandwidth);
    EXPECT_EQ(above[0].of_kernels, 1);
    EXPECT_DOUBLE_EQ(above[0].largest, 1.5);
    EXPECT_EQ(above[0].fastest, "Conv2d");
}

TEST(RatesAbovePeak, SaysNothingBelowOrWithoutAPeak) {
    Evidence evidence;
    evidence.cases = {kernel(1e9, 1e6, 1), kernel(0, 1e6, 1), kernel(5e9, 0, 1)};
    evidence.cases[2].timing.reset();
    EXPECT_THAT(rates_above_peak(of_peaks(1e12, 1e9), evidence), IsEmpty());  // just reached
    EXPECT_THAT(rates_above_peak(of_peaks(0, 0), evidence), IsEmpty());
    EXPECT_EQ(rates_above_peak(of_peaks(0.9e12, 0), evidence).size(), 1U);
}

}  // namespace
}  // namespace derate
