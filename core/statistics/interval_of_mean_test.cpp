#include "core/statistics/interval_of_mean.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

namespace derate {
namespace {

TEST(IntervalOfMean, UsesTOnLaunchesLessOne) {
    // mean 2, s = 1, k = 3: 2 +- 4.302653 / sqrt(3); 1.96 would give +- 1.13 instead of 2.48
    auto const mean = *confidence_interval_of_mean(std::array{1.0, 2.0, 3.0});
    EXPECT_DOUBLE_EQ(mean.mean, 2.0);
    EXPECT_NEAR(mean.interval.upper - 2.0, 4.30265272974946 / std::sqrt(3.0), 1e-12);
    EXPECT_NEAR(mean.relative_half_width(), 1.2420689, 1e-6);
}

TEST(IntervalOfMean, OneLaunchHasNone) {
    EXPECT_EQ(confidence_interval_of_mean(std::array{1.0}), std::nullopt);
    EXPECT_EQ(naive_interval_of_mean(summarize(std::array{1.0})), std::nullopt);
}

TEST(IntervalOfMean, RoadmapExampleByItsOwnFormula) {
    // mean 0.347, std 0.021, n = 50: 0.341 to 0.353
    auto const mean = *naive_interval_of_mean(
        {.count = 50, .mean = 0.347, .sum_squared_deviations = 0.021 * 0.021 * 49});
    EXPECT_NEAR(mean.interval.lower, 0.341, 5e-4);
    EXPECT_NEAR(mean.interval.upper, 0.353, 5e-4);
}

TEST(VarianceSplit, SeparatesLaunchesFromRepetitions) {
    // Two launches of two: means 1 and 3, within-launch variance 0.02.
    // MS_between = 4, MS_within = 0.02, n0 = 2: between = (4 - 0.02) / 2
    std::array const launches{summarize(std::array{0.9, 1.1}), summarize(std::array{2.9, 3.1})};
    auto const split = *split_variance(launches);
    EXPECT_NEAR(split.within, 0.02, 1e-12);
    EXPECT_NEAR(split.between, 1.99, 1e-12);
    EXPECT_FALSE(split.truncated);
    EXPECT_NEAR(split.variance_of_mean(2, 2), 1.99 / 2 + 0.02 / 4, 1e-12);
}

TEST(VarianceSplit, UnequalGroupsUseTheirEffectiveSize) {
    // sizes 2 and 4: n0 = (6 - 20/6) / 1 = 8/3, not the mean size 3
    std::array const launches{summarize(std::array{1.0, 2.0}),
                              summarize(std::array{3.0, 4.0, 3.0, 4.0})};
    EXPECT_NEAR(split_variance(launches)->effective_group_size, 8.0 / 3, 1e-12);
}

TEST(VarianceSplit, NegativeEstimateIsTruncatedAndSaysSo) {
    std::array const launches{summarize(std::array{0.0, 2.0}), summarize(std::array{0.9, 1.1})};
    auto const split = *split_variance(launches);
    EXPECT_EQ(split.between, 0.0);
    EXPECT_TRUE(split.truncated);
}

TEST(VarianceSplit, NeedsTwoGroupsAndARepetition) {
    EXPECT_EQ(split_variance(std::array{summarize(std::array{1.0, 2.0})}), std::nullopt);
    EXPECT_EQ(split_variance(std::array{summarize(std::array{1.0}), summarize(std::array{2.0})}),
              std::nullopt);
}

// 2000 simulated runs of 5 launches x 10 repetitions whose launches differ by 3 % and repetitions
// by 1 %: launch-level intervals cover at their nominal rate, pooled ones far below it.
TEST(IntervalOfMean, CoversAtItsNominalRateWherePooledRepetitionsDoNot) {
    std::mt19937_64 generator{7};
    std::normal_distribution<> launch{0.0, 0.03};
    std::normal_distribution<> repetition{0.0, 0.01};
    int covered = 0;
    int covered_by_pooled = 0;
    constexpr int runs = 2000;
    for (int run = 0; run < runs; ++run) {
        std::vector<double> launch_means;
        SampleSummary pooled;
        for (int k = 0; k < 5; ++k) {
            double const shift = launch(generator);
            SampleSummary one;
            for (int r = 0; r < 10; ++r) {
                double const x = 1.0 + shift + repetition(generator);
                one = merge(one, {.count = 1, .mean = x, .sum_squared_deviations = 0});
            }
            launch_means.push_back(one.mean);
            pooled = merge(pooled, one);
        }
        covered += confidence_interval_of_mean(launch_means)->interval.contains(1.0);
        covered_by_pooled += naive_interval_of_mean(pooled)->interval.contains(1.0);
    }
    EXPECT_NEAR(static_cast<double>(covered) / runs, 0.95, 0.015);  // 3 binomial deviations
    EXPECT_LT(static_cast<double>(covered_by_pooled) / runs, 0.6);
}

}  // namespace
}  // namespace derate
