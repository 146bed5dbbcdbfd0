#include "statistics/sample_summary.hpp"

#include <gtest/gtest.h>

#include <array>

namespace derate {
namespace {

TEST(SampleSummary, OneObservationHasNoVariance) {
    EXPECT_EQ(summarize(std::array{0.52}).variance(), std::nullopt);
}

TEST(SampleSummary, KeepsSmallSpreadOnLargeMean) {  // mean-of-squares formulas give 29.33
    auto const summary = summarize(std::array{1e8 + 4, 1e8 + 7, 1e8 + 13, 1e8 + 16});
    EXPECT_DOUBLE_EQ(summary.mean, 1e8 + 10);
    EXPECT_DOUBLE_EQ(summary.variance().value(), 30.0);
}

TEST(SampleSummary, MergingModelsEqualsPoolingTheirObservations) {
    auto const resnet = summarize(std::array{0.31, 0.35, 0.36});
    auto const vgg = summarize(std::array{0.52, 0.48});
    auto const pooled = summarize(std::array{0.31, 0.35, 0.36, 0.52, 0.48});

    auto const merged = merge(resnet, vgg);

    EXPECT_EQ(merged.count, pooled.count);
    EXPECT_DOUBLE_EQ(merged.mean, pooled.mean);
    EXPECT_NEAR(merged.variance().value(), pooled.variance().value(), 1e-15);
}

}  // namespace
}  // namespace derate
