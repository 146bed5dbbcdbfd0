#include "campaign/session_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

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

}  // namespace
}  // namespace derate
