#include "statistics/interval_of_mean.hpp"

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

SampleSummary group_of(std::vector<double> const& values) { return summarize(values); }

// Groups {0}, {1, 1, 1} have no spread inside: between = MS_b / n0, MS_b = 3/4 about the mean 3/4,
// n0 = (4 - 10 / 4) / 1 = 1.5. So between = 1/2, and of the mean's variance it brings 1/2 (9 + 1) /
// 16, not 1/2 / 2.
TEST(GroupedMean, OfUnequalGroupsByHand) {
    std::vector const groups{group_of({0}), group_of({1, 1, 1})};
    auto const mean = interval_of_grouped_mean(groups).value();
    EXPECT_DOUBLE_EQ(mean.mean, 0.75);
    EXPECT_NEAR(mean.standard_error, std::sqrt(0.5 * 10 / 16), 1e-12);
    EXPECT_NEAR(mean.degrees_of_freedom, 1, 1e-12);
}

TEST(GroupedMean, OfEqualGroupsIsTheTextbooksAndOfOneGroupStudents) {
    std::vector const groups{group_of({1, 2}), group_of({4, 5}), group_of({7, 9})};
    auto const split = split_variance(groups).value();
    auto const mean = interval_of_grouped_mean(groups).value();
    EXPECT_NEAR(mean.standard_error, std::sqrt(split.variance_of_mean(3, 2)), 1e-12);

    std::vector const values{1.0, 2.0, 4.0, 8.0};
    auto const one = interval_of_grouped_mean(std::vector{group_of(values)}).value();
    auto const student = confidence_interval_of_mean(values).value();
    EXPECT_DOUBLE_EQ(one.standard_error, student.standard_error);
    EXPECT_DOUBLE_EQ(one.interval.upper, student.interval.upper);
    EXPECT_FALSE(interval_of_grouped_mean(std::vector{group_of({1})}));
}

// Groups differ by 1, their members by 0.3. The stated variance of the mean is right on average,
// whatever the sizes; with the groups counted as if of equal weight it is less than half.
TEST(GroupedMean, VarianceIsTheTrueOneForUnequalGroups) {
    for (auto const& sizes :
         {std::vector{8, 8, 8, 8, 8, 8}, std::vector{60, 4, 4, 4, 4, 4, 4, 4},
          std::vector{40, 20, 10, 5, 3, 2, 2, 2, 2, 2}}) {
        std::mt19937_64 random{5};
        std::normal_distribution<double> normal;
        double stated = 0;
        double as_if_equal = 0;
        SampleSummary means;
        constexpr int draws = 2000;
        int covered = 0;
        for (int draw = 0; draw < draws; ++draw) {
            std::vector<SampleSummary> groups;
            double total = 0;
            for (int const size : sizes) {
                double const shift = normal(random);
                std::vector<double> values;
                for (int i = 0; i < size; ++i) values.push_back(shift + 0.3 * normal(random));
                groups.push_back(summarize(values));
                total += size;
            }
            auto const mean = interval_of_grouped_mean(groups).value();
            auto const split = split_variance(groups).value();
            auto const count = static_cast<double>(sizes.size());
            stated += mean.standard_error * mean.standard_error / draws;
            as_if_equal += (split.between / count + split.within / total) / draws;
            means = merge(means, {.count = 1, .mean = mean.mean});
            covered += mean.interval.contains(0) ? 1 : 0;
        }
        double const truth = means.variance().value();
        RecordProperty("stated_" + std::to_string(sizes[0]), std::to_string(stated / truth));
        RecordProperty("as_if_equal_" + std::to_string(sizes[0]),
                       std::to_string(as_if_equal / truth));
        EXPECT_NEAR(stated / truth, 1, 0.12) << sizes[0];
        EXPECT_GT(covered, 0.90 * draws) << sizes[0];
        EXPECT_LT(covered, 0.995 * draws) << sizes[0];  // where one group is nearly all, more
        if (sizes[0] != sizes[1]) {
            EXPECT_LT(as_if_equal / truth, 0.5) << sizes[0];
        }
    }
}

}  // namespace
}  // namespace derate
