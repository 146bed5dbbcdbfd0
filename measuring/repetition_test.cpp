#include "measuring/repetition.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace derate {
namespace {

RepetitionPolicy policy_of(double min_timed_ms, double max_warmup_ms) {
    RepetitionPolicy policy;
    policy.min_timed_ms = min_timed_ms;
    policy.max_warmup_ms = max_warmup_ms;
    return policy;
}

TEST(TakeRepetition, NeverCountsTheFirstIteration) {
    int call = 0;
    auto const first_is_slow = [&call] { return call++ == 0 ? 15.0 : 1.0; };
    auto const repetition = take_repetition(first_is_slow, policy_of(10, 100));
    EXPECT_DOUBLE_EQ(repetition.mean_ms(), 1.0);
    EXPECT_EQ(repetition.warmup, 1);
    EXPECT_TRUE(repetition.steady);
    EXPECT_EQ(repetition.iteration_ms.size(), 10U);  // not as few as the slow call asked for
}

TEST(Repetition, ItsFastTimeIsTheMeanOfTheFasterHalf) {
    EXPECT_EQ((Repetition{.iteration_ms = {7, 5}}).fast_ms(), 5);
    EXPECT_EQ((Repetition{.iteration_ms = {7, 1, 2}}).fast_ms(), 1.5);  // the middle one counts
    EXPECT_EQ((Repetition{.iteration_ms = {9, 1, 8, 3}}).fast_ms(), 2);
    EXPECT_EQ((Repetition{.iteration_ms = {4}}).fast_ms(), 4);
}

TEST(TakeRepetition, IteratesUntilEnoughWasTimed) {
    auto const repetition = take_repetition([] { return 2.0; }, policy_of(9, 100));
    EXPECT_EQ(repetition.iteration_ms.size(), 5U);  // 5 x 2 ms >= 9 ms
    EXPECT_EQ(repetition.warmup, 1);
}

TEST(TakeRepetition, TimesALongKernelFourTimes) {
    int call = 0;  // its first iteration is colder than the rest, which is no trend
    auto const kernel = [&call] { return call++ == 0 ? 55.0 : 40.0; };
    auto const repetition = take_repetition(kernel, policy_of(5, 20));
    EXPECT_EQ(repetition.iteration_ms.size(), 4U);
    EXPECT_EQ(repetition.warmup, 1);
    EXPECT_TRUE(repetition.steady);
}

TEST(TakeRepetition, ThrowsAwayAWarmUpThatDecays) {
    int call = 0;
    auto const warming = [&call] { return 1.0 + 4.0 * std::exp(-call++ / 10.0); };
    auto const repetition = take_repetition(warming, policy_of(20, 1000));
    EXPECT_TRUE(repetition.steady);
    EXPECT_GT(repetition.warmup, 20);  // 4 exp(-2) is still half of the steady time
    EXPECT_NEAR(repetition.mean_ms(), 1.0, 0.05);
}

TEST(TakeRepetition, MovesOnByHalfAWindow) {
    int call = 0;  // the first call and four of the first window's eight are slow
    auto const kernel = [&call] { return call++ < 5 ? 2.0 : 1.0; };
    auto const repetition = take_repetition(kernel, policy_of(16, 100));
    EXPECT_TRUE(repetition.steady);
    EXPECT_EQ(repetition.warmup, 1 + 4);
    EXPECT_EQ(call, 1 + 4 + 16);  // of the faster ones more are needed
    EXPECT_EQ(repetition.iteration_ms, std::vector<double>(16, 1.0));
}

TEST(TakeRepetition, TakesADisturbanceForNoWarmUp) {
    int call = 0;
    auto const disturbed = [&call] { return call++ > 15 ? 1.5 : 1.0; };
    auto const repetition = take_repetition(disturbed, policy_of(20, 1000));
    EXPECT_TRUE(repetition.steady);
    EXPECT_EQ(repetition.warmup, 1);
    EXPECT_EQ(repetition.fast_ms(), 1.0);
}

TEST(TakeRepetition, KeepsWhatNeverSteadiesAndSaysSo) {
    double ms = 10;
    auto const shrinking = [&ms] { return ms *= 0.8; };
    auto const repetition = take_repetition(shrinking, policy_of(20, 30));
    EXPECT_FALSE(repetition.steady);
    EXPECT_FALSE(repetition.iteration_ms.empty());
}

TEST(TakeRepetition, KeepsTheMeanOfSteadyNoise) {
    std::mt19937_64 random{7};
    std::lognormal_distribution<double> draw{std::log(0.1), 0.05};
    std::vector<double> drawn;
    auto const noisy = [&] { return drawn.emplace_back(draw(random)); };
    auto const repetition = take_repetition(noisy, policy_of(50, 200));
    ASSERT_TRUE(repetition.steady);
    auto const counted = repetition.iteration_ms.size();
    auto const mean =
        std::accumulate(drawn.end() - static_cast<std::ptrdiff_t>(counted), drawn.end(), 0.0) /
        static_cast<double>(counted);
    EXPECT_DOUBLE_EQ(repetition.mean_ms(), mean);
}

TEST(TakeRepetition, RefusesAPolicyWithoutWarmUp) {
    RepetitionPolicy policy;
    policy.min_warmup_iterations = 0;
    EXPECT_THROW((void)take_repetition([] { return 1.0; }, policy), std::invalid_argument);
}

TEST(IsSteady, ComparesASingleTimeWithTheOneBefore) {
    EXPECT_TRUE(is_steady(std::array{10.5}, 10.0));
    EXPECT_FALSE(is_steady(std::array{10.0}, 15.0));
}

TEST(IsSteady, ForgivesOneOutlierAmongMany) {
    std::vector<double> window(40, 1.0);
    window[7] = 30;
    EXPECT_TRUE(is_steady(window, 1.0));
}

TEST(IsSteady, SeesAStep) {
    std::vector<double> window(40, 1.0);
    std::fill(window.begin(), window.begin() + 20, 1.2);
    EXPECT_FALSE(is_steady(window, 1.2));
    std::ranges::reverse(window);  // slower afterwards: disturbed, not warming up
    EXPECT_TRUE(is_steady(window, 1.0));
}

/// A window of two halves, each of so many values of these.
using Halves = std::vector<std::pair<int, double>>;
std::vector<double> window_of(Halves const& first, Halves const& second) {
    std::vector<double> window;
    for (auto const& half : {first, second}) {
        for (auto const& [count, value] : half) window.insert(window.end(), count, value);
    }
    return window;
}

// Each time one of the four signs of a warm-up alone, the other three as in a steady window.
TEST(IsSteady, SeesEachSignAlone) {
    Halves const ones{{20, 1.0}};
    EXPECT_FALSE(is_steady(window_of(ones, {{8, 0.9}, {12, 1.0}}), 1.0)) << "lower quartile";
    EXPECT_FALSE(is_steady(window_of({{8, 1.1}, {12, 1.0}}, ones), 1.0)) << "upper quartile";
    EXPECT_FALSE(is_steady(window_of({{5, 1.0}, {10, 1.1}, {5, 1.11}},
                                     {{5, 1.0}, {6, 1.04}, {4, 1.08}, {5, 1.11}}),
                           1.0))
        << "median";
    EXPECT_FALSE(
        is_steady(window_of({{8, 0.8}, {4, 1.0}, {4, 1.04}, {4, 1.5}}, ones), 1.0))
        << "median absolute deviation";
    EXPECT_TRUE(is_steady(window_of({{20, 1.04}}, ones), 1.0));
}

}  // namespace
}  // namespace derate
