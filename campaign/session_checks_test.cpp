#include "campaign/session_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "campaign/drift.hpp"

namespace derate {
namespace {

Repetitions drawn(std::mt19937_64& random, int launches, int each, auto const& draw) {
    Repetitions repetitions;
    for (int launch = 0; launch < launches; ++launch) {
        for (int i = 0; i < each; ++i) {
            repetitions[launch].times_ms.push_back(draw(random));
            repetitions[launch].steady.push_back(true);
        }
    }
    return repetitions;
}

TEST(FindTwoPeaks, NamesTwoSpeedsAndTheirShare) {
    std::mt19937_64 random{1};
    auto const mixed = drawn(random, 5, 10, [](std::mt19937_64& r) {
        return (r() % 10 < 3 ? 1.2 : 1.0) * (1 + std::normal_distribution<double>{0, 0.005}(r));
    });
    auto const peaks = find_two_peaks(mixed);
    ASSERT_TRUE(peaks.has_value());
    EXPECT_NEAR(peaks->lower_ms, 1.0, 0.01);
    EXPECT_NEAR(peaks->upper_ms, 1.2, 0.01);
    EXPECT_NEAR(peaks->upper_share, 0.3, 0.15);
}

TEST(FindTwoPeaks, NormalUniformAndSkewedTimesHaveOnePeak) {
    std::mt19937_64 random{2};
    int found = 0;
    for (int run = 0; run < 300; ++run) {
        found += find_two_peaks(drawn(random, 5, 6, [](std::mt19937_64& r) {
                     return 1 + std::normal_distribution<double>{0, 0.05}(r);
                 })).has_value();
        found += find_two_peaks(drawn(random, 5, 6, [](std::mt19937_64& r) {
                     return std::uniform_real_distribution<double>{1, 1.3}(r);
                 })).has_value();
        found += find_two_peaks(drawn(random, 5, 6, [](std::mt19937_64& r) {
                     return std::exp(std::normal_distribution<double>{0, 0.2}(r));
                 })).has_value();
    }
    EXPECT_LE(found, 18) << "2 % of 900";
}

TEST(CompareWithItself, FindsDifferencesAtTheTestsOwnRate) {
    std::mt19937_64 random{3};
    std::map<std::string, Repetitions> cases;
    for (int i = 0; i < 2000; ++i) {
        cases[std::to_string(i)] = drawn(random, 10, 3, [](std::mt19937_64& r) {
            return 1 + std::normal_distribution<double>{0, 0.02}(r);
        });
    }
    auto const comparison = compare_with_itself(cases);
    EXPECT_EQ(comparison.cases, 2000);
    EXPECT_NEAR(comparison.false_alarm_rate(), 0.05, 0.015);
}

TEST(CompareWithItself, SeesLaunchesThatDiffer) {
    std::mt19937_64 random{4};
    auto repetitions = drawn(random, 10, 3, [](std::mt19937_64& r) {
        return 1 + std::normal_distribution<double>{0, 0.02}(r);
    });
    for (auto& [launch, times] : repetitions) {
        if (launch % 2 == 0) continue;
        for (auto& ms : times.times_ms) ms *= 1.2;
    }
    auto const comparison = compare_with_itself({{"k", repetitions}});
    EXPECT_EQ(comparison.alarms, 1);
    EXPECT_THAT(to_string(comparison), testing::StartsWith("1 of 1 cases differ"));
}

TEST(CompareWithItself, FewerThanFourLaunchesSayNothing) {
    std::mt19937_64 random{5};
    auto const few = drawn(random, 3, 3, [](std::mt19937_64&) { return 1.0; });
    EXPECT_EQ(compare_with_itself({{"k", few}}).cases, 0);
}

TEST(Outliers, AreCountedByTukeysFencesOnTheLogarithm) {
    // Logarithms 0, 0.01, ..., 0.09, 0.2, 1: quartiles 0.0275 and 0.0825, fences at 0.165 and
    // 0.2475.
    std::vector<double> times;
    for (int i = 0; i < 10; ++i) times.push_back(std::exp(0.01 * i));
    times.push_back(std::exp(0.2));
    times.push_back(std::exp(1.0));
    std::map<std::string, Repetitions> cases;
    cases["a"][0].times_ms = times;
    cases["few"][0].times_ms = {1, 1, 1, 1, 1, 1, 9};
    EXPECT_EQ(classify_outliers(cases),
              (OutlierCounts{.repetitions = 12, .mild_slow = 1, .severe_slow = 1}));
    EXPECT_EQ(to_string(classify_outliers(cases)),
              "2 of 12 repetitions are slow outliers (1 severe), 0 fast (0 severe)");
    for (auto& time : cases["a"][0].times_ms) time = 1 / time;
    EXPECT_EQ(classify_outliers(cases),
              (OutlierCounts{.repetitions = 12, .mild_fast = 1, .severe_fast = 1}));
}

TEST(Drift, GoesOnWhereTheMachineWasRestarted) {
    // The second launch came after a restart: the clock began anew.
    std::map<std::string, std::vector<DriftSample>> series;
    for (int i = 0; i < 8; ++i) {
        series["compute"].push_back(
            {.launch = i / 4,
             .time_ns = (i < 4 ? 1'000'000'000'000 : 5'000'000'000) + i % 4 * 1'000'000'000LL,
             .time_ms = 1 + 0.02 * i});
    }
    auto const drift = analyse_drift(series);
    ASSERT_EQ(drift.size(), 1);
    // 0.14 from first to last about a median of 1.07.
    EXPECT_NEAR(drift[0].relative_trend, 0.14 / 1.07, 0.02);
}

}  // namespace
}  // namespace derate
