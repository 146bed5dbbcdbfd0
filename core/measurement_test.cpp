#include "core/measurement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "statistics/interval_of_mean.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

LaunchTimes launch_of(double least_ms) {
    return {.times_ms = {.count = 3, .mean = 1.1 * least_ms},
            .lower_quartile_ms = least_ms,
            .median_ms = 1.1 * least_ms,
            .upper_quartile_ms = 1.2 * least_ms,
            .min_ms = least_ms,
            .max_ms = 1.3 * least_ms,
            .least_ms = least_ms};
}

TEST(Center, IsTheMeanOfTheFasterHalf) {
    EXPECT_DOUBLE_EQ(center_of({3}), 3);
    EXPECT_DOUBLE_EQ(center_of({4, 2}), 2);
    EXPECT_DOUBLE_EQ(center_of({9, 1, 3}), 2);
    EXPECT_DOUBLE_EQ(center_of({9, 1, 3, 8}), 2);
    EXPECT_THROW((void)center_of({}), std::invalid_argument);
}

// Two launches, 1 and e ms: of four equally likely draws three have the 1, so the logarithm of the
// served time is 0 with 3/4 and 1 with 1/4. Variance 3/16, times k / (k - 1) = 2.
TEST(IntervalOfCenter, OfTwoLaunchesByHand) {
    std::vector const launches{launch_of(1), launch_of(std::exp(1))};
    auto const center = interval_of_center(launches).value();
    EXPECT_DOUBLE_EQ(center.mean, 1);
    EXPECT_NEAR(center.standard_error, std::sqrt(3.0 / 8), 0.02);
    EXPECT_DOUBLE_EQ(center.degrees_of_freedom, 1);
    EXPECT_NEAR(std::log(center.interval.upper), 12.706 * center.standard_error, 1e-3);
    EXPECT_NEAR(center.interval.lower * center.interval.upper, 1, 1e-12);
    EXPECT_FALSE(interval_of_center(std::vector{launch_of(1)}));
    EXPECT_EQ(interval_of_center(std::vector{launch_of(2), launch_of(2)})->interval.upper, 2);
}

// A report's launches are numbered by their content, those of samples as they came.
TEST(IntervalOfCenter, LaunchesHaveNoOrder) {
    std::vector<LaunchTimes> launches;
    for (double const ms : {1.3, 0.7, 1.1, 0.9, 1.7}) launches.push_back(launch_of(ms));
    auto const interval = interval_of_center(launches)->interval;
    auto const timing = timing_of(launches);
    for (int turn = 0; turn < 4; ++turn) {
        std::ranges::rotate(launches, launches.begin() + 2);
        EXPECT_EQ(interval_of_center(launches)->interval.upper, interval.upper);
        EXPECT_EQ(timing_of(launches).mean_ms, timing.mean_ms);
        EXPECT_EQ(timing_of(launches).std_ms, timing.std_ms);
    }
}

struct CenterSimulation {
    double coverage = 0;         // of the served time's expectation
    double mean_coverage = 0;    // by the interval of the launches' mean, which is not what is served
    double error_over_true = 0;  // root mean square of the stated standard error over the true one
};

/// Launches whose least times lie exponentially above 1 ms: what others do only adds time.
CenterSimulation simulate(int launches, double scale, int corpora) {
    std::mt19937_64 random{17};
    std::exponential_distribution<double> extra{1 / scale};
    auto const draw = [&] {
        std::vector<LaunchTimes> drawn;
        for (int k = 0; k < launches; ++k) drawn.push_back(launch_of(1 + extra(random)));
        return drawn;
    };
    SampleSummary centers;
    for (int i = 0; i < 20000; ++i) {
        centers = merge(centers, {.count = 1, .mean = center_of(least_times(draw()))});
    }
    CenterSimulation result;
    double squares = 0;
    for (int i = 0; i < corpora; ++i) {
        auto const drawn = draw();
        auto const center = interval_of_center(drawn).value();
        result.coverage += center.interval.contains(centers.mean) ? 1.0 / corpora : 0;
        result.mean_coverage +=
            confidence_interval_of_mean(least_times(drawn))->interval.contains(centers.mean)
                ? 1.0 / corpora
                : 0;
        squares += center.standard_error * center.standard_error / corpora;
    }
    result.error_over_true = std::sqrt(squares / centers.variance().value());
    return result;
}

TEST(IntervalOfCenter, CoversTheServedTimeOfLaunches) {
    for (auto const& [launches, least, most] :
         {std::tuple{3, 0.90, 0.995}, {5, 0.90, 0.995}, {10, 0.90, 0.99}, {14, 0.90, 0.99}}) {
        auto const simulated = simulate(launches, 0.1, 400);
        RecordProperty("coverage_" + std::to_string(launches), std::to_string(simulated.coverage));
        EXPECT_GT(simulated.coverage, least) << launches;
        EXPECT_LT(simulated.coverage, most) << launches;
        EXPECT_GT(simulated.error_over_true, 0.75) << launches;
        EXPECT_LT(simulated.error_over_true, 1.5) << launches;
    }
    // The mean of all launches is another number: its interval leaves the served time behind.
    double const of_the_mean = simulate(14, 0.1, 400).mean_coverage;
    RecordProperty("coverage_of_the_mean_14", std::to_string(of_the_mean));
    EXPECT_LT(of_the_mean, 0.6);
}

}  // namespace
}  // namespace derate
