#include "campaign/samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "campaign/drift.hpp"
#include "campaign/stop_rule.hpp"
#include "core/input_error.hpp"

namespace derate {
namespace {

Repetitions launches_of(std::vector<std::vector<double>> const& times) {
    Repetitions repetitions;
    for (std::size_t i = 0; i < times.size(); ++i) {
        repetitions[static_cast<int>(i)] = {.times_ms = times[i],
                                            .steady = std::vector<bool>(times[i].size(), true)};
    }
    return repetitions;
}

TEST(LaunchTimes, CenterIsTheMeanOfTheFasterLaunchesLeasts) {
    // Leasts 4, 1, 2, 8 and 3: the faster three are 1, 2, 3. Their least would be 1, the mean of
    // all 3.6, of launch medians 4.8.
    auto const launches = launches_of({{4, 5, 7}, {2, 1, 3}, {2, 4, 6}, {8, 8, 8}, {3, 5, 9}});
    auto const timing = timing_of(launches).value();
    EXPECT_EQ(timing.statistic, CenterStatistic::faster_launches);
    EXPECT_DOUBLE_EQ(timing.center_ms, 2);
    EXPECT_EQ(timing.min_ms, 1);
    EXPECT_DOUBLE_EQ(timing.mean_ms, 75.0 / 15);
    EXPECT_EQ(timing.samples, 15);
    EXPECT_DOUBLE_EQ(timing_of(launches_of({{4, 5, 7}, {2, 1, 3}}))->center_ms, 1);
}

TEST(LaunchTimes, LeastIsOfTheFasterHalvesWhereAllRepetitionsHaveThem) {
    Repetitions repetitions;
    repetitions[0] = {{4, 5}, {true, true}, {3.5, 2.5}};
    repetitions[1] = {{4, 5}, {true, true}, {2.0}};  // one repetition is known by its mean only
    auto const launches = launch_times(repetitions);
    EXPECT_EQ(launches[0].least_ms, 2.5);
    EXPECT_EQ(launches[0].min_ms, 4);
    EXPECT_EQ(launches[1].least_ms, 4);
    EXPECT_EQ(timing_of(repetitions)->center_ms, 2.5);
}

// Launches that timed nothing of a case leave gaps: numbers are the campaign's, not positions.
TEST(LaunchTimes, CarryTheirNumberInTheCampaign) {
    Repetitions repetitions;
    for (int const number : {4, 0, 7}) repetitions[number] = {{1.0 + number}, {true}};
    repetitions[5] = {};
    auto const launches = launch_times(repetitions);
    ASSERT_EQ(launches.size(), 3U);
    EXPECT_EQ(launches[0].launch, 0);
    EXPECT_EQ(launches[1].launch, 4);
    EXPECT_EQ(launches[2].launch, 7);
}

// A model timed six times in a launch and its kernel timed twice: the model's least of six lies
// lower by as much as four more draws bring, the expected least of two does not.
TEST(LaunchTimes, LeastIsOfAsManyRepetitionsAsMostOfTheLaunchHave) {
    std::map<std::string, Repetitions> const isolated{{"a", launches_of({{3, 1}, {3, 1}})},
                                                      {"b", launches_of({{5, 4}, {5, 4, 6}})}};
    std::map<std::string, Repetitions> const whole{{"m/b1", launches_of({{9, 7, 8}, {9, 7, 8}})}};
    auto const compared = least_of(isolated, whole);
    EXPECT_EQ(compared, (LeastOf{{0, 2}, {1, 2}}));
    // Pairs of 7, 8, 9 have the leasts 7, 7, 8; of 4, 5, 6 the leasts 4, 4, 5.
    EXPECT_DOUBLE_EQ(*launch_times(whole.at("m/b1"), compared)[0].least_ms, 22.0 / 3);
    EXPECT_DOUBLE_EQ(*launch_times(isolated.at("a"), compared)[0].least_ms, 1);
    EXPECT_DOUBLE_EQ(*launch_times(isolated.at("b"), compared)[1].least_ms, 13.0 / 3);
    Repetitions beside;
    beside[7] = {{9, 7, 8}, {true, true, true}};
    EXPECT_DOUBLE_EQ(*launch_times(beside, compared)[0].least_ms, 22.0 / 3);
    EXPECT_DOUBLE_EQ(*launch_times(beside)[0].least_ms, 7);
}

// Models timed 6 times and their only kernel 2 times in a launch, both of one distribution: whole
// over parts is 1, and some 2 % less where each least is of its own repetitions.
TEST(LaunchTimes, ALeastOfMoreRepetitionsLeansNoContextFactor) {
    std::mt19937_64 random{5};
    std::normal_distribution<double> between{0, 0.03};
    std::normal_distribution<double> within{0, 0.03};
    double equal = 0;
    double own = 0;
    constexpr int runs = 2000;
    for (int run = 0; run < runs; ++run) {
        auto const draw = [&](std::size_t repetitions) {
            std::vector<std::vector<double>> launches(5);
            for (auto& launch : launches) {
                double const effect = between(random);
                for (std::size_t i = 0; i < repetitions; ++i) {
                    launch.push_back(std::exp(effect + within(random)));
                }
            }
            return launches_of(launches);
        };
        std::map<std::string, Repetitions> const part{{"a", draw(2)}};
        std::map<std::string, Repetitions> const whole{{"m", draw(6)}};
        auto const compared = least_of(part, whole);
        auto const log_ratio = [&](LeastOf const& of) {
            return std::log(timing_of(whole.at("m"), of)->center_ms /
                            timing_of(part.at("a"), of)->center_ms);
        };
        equal += log_ratio(compared) / runs;
        own += log_ratio({}) / runs;
    }
    // Not quite 0: the two drawn differ more from launch to launch than the mean of all pairs of
    // six, and the faster launches are served.
    EXPECT_NEAR(equal, 0, 0.005);
    EXPECT_LT(own, -0.015);
}

TEST(LaunchTimes, LeastCountsOnlySteadyRepetitions) {
    Repetitions repetitions;
    repetitions[0] = {{1, 2, 3}, {false, true, true}};
    EXPECT_EQ(launch_times(repetitions)[0].least_ms, 2);
}

TEST(LaunchTimes, UnsteadyRepetitionsAreKeptOutUnlessMostAre) {
    Repetitions repetitions;
    repetitions[0] = {{1, 1, 9}, {true, true, false}};
    repetitions[1] = {{1, 9, 9}, {true, false, false}};
    auto const launches = launch_times(repetitions);
    ASSERT_EQ(launches.size(), 2U);
    EXPECT_TRUE(launches[0].steady);
    EXPECT_EQ(launches[0].times_ms.count, 2);
    EXPECT_FALSE(launches[1].steady);
    EXPECT_EQ(launches[1].times_ms.count, 3);
}

TEST(Samples, PauseBeforeALaunchGoesOnIsNoMeasuring) {
    Samples samples;
    for (auto const& [content, second] : {std::pair{SampleContent{EnvironmentLine{}}, 10},
                                          {SampleContent{DriftLine{}}, 13},
                                          {SampleContent{EnvironmentLine{}}, 100},
                                          {SampleContent{DriftLine{}}, 104}}) {
        samples.add({.time_ns = second * std::int64_t{1'000'000'000}, .content = content});
    }
    EXPECT_DOUBLE_EQ(samples.wall_s(), 3 + 4);
}

TEST(RelativeHalfWidth, TakesLaunchesAsTheUnit) {
    // Leasts 9, 10, 11: the 27 draws of three, each served as the mean of its lower two, have
    // logarithms of standard deviation s; the half-width is sinh(t(0.975, 2) s root(3 / 2)).
    auto const repetitions = launches_of({{9, 12, 13}, {10, 11, 12}, {11, 13, 14}});
    std::vector<double> const leasts{9, 10, 11};
    double sum = 0;
    double squares = 0;
    for (double const a : leasts) {
        for (double const b : leasts) {
            for (double const c : leasts) {
                double const served = std::log((a + b + c - std::max({a, b, c})) / 2);
                sum += served / 27;
                squares += served * served / 27;
            }
        }
    }
    double const expected = std::sinh(4.302653 * std::sqrt((squares - sum * sum) * 1.5));
    EXPECT_NEAR(relative_half_width(repetitions).value(), expected, 0.06 * expected);
    EXPECT_EQ(relative_half_width(launches_of({{1, 2, 3}})), std::nullopt);
}

TEST(StopReason, NeverBeforeTheLeastNumberOfLaunches) {
    CampaignRules const rules{.min_launches = 3, .target_half_width = 0.02};
    EXPECT_EQ(stop_reason(launches_of({{1}, {1}}), rules), std::nullopt);
    EXPECT_EQ(stop_reason(launches_of({{1}, {1}, {1}}), rules), StopReason::precise);
}

TEST(StopReason, NoiseFloorWhereTheLaunchesAllowedWillNotHelp) {
    // Five times 1.0 and five times 1.1: of ten draws the faster five are all 1.0 in 63 %, and by
    // the binomial distribution their mean's logarithm deviates by s = 0.018201. With t(0.975, 9) =
    // 2.262157 the half-width is sinh(2.262157 s root(10 / 9)) = 4.34 %. Twenty launches of that
    // spread would make 3.07 % of it, twice 1.53 %.
    std::vector<std::vector<double>> const times{{1.0}, {1.1}, {1.0}, {1.1}, {1.0},
                                                 {1.1}, {1.0}, {1.1}, {1.0}, {1.1}};
    CampaignRules rules{.min_launches = 3, .max_launches = 20, .target_half_width = 0.0146};
    EXPECT_EQ(stop_reason(launches_of(times), rules), StopReason::noise_floor);
    rules.target_half_width = 0.0162;
    EXPECT_EQ(stop_reason(launches_of(times), rules), std::nullopt) << "they bring it near enough";
    rules.target_half_width = 0.0146;
    auto const nine = std::vector(times.begin(), times.end() - 1);
    EXPECT_EQ(stop_reason(launches_of(nine), rules), std::nullopt) << "nine do not show it yet";
}

TEST(StopReason, SpreadThatGrewIsNoNoiseFloorYet) {
    // The first five happen to be alike: that the interval of ten is ten times as wide says
    // nothing.
    CampaignRules const rules{.min_launches = 3, .max_launches = 14, .target_half_width = 0.011};
    EXPECT_EQ(
        stop_reason(
            launches_of(
                {{1.0}, {1.001}, {0.999}, {0.97}, {1.03}, {0.97}, {1.03}, {0.97}, {1.03}, {0.97}}),
            rules),
        std::nullopt);
}

TEST(Samples, ZeroAndNegativeTimesAreNoTimes) {
    Samples samples;
    for (double const ms : {0.0, -1.0, 2.0}) {
        samples.add({.content = IsolatedLine{.case_key = "k", .times = {.time_ms = ms}}});
    }
    EXPECT_EQ(samples.isolated.at("k").at(0).times_ms, std::vector{2.0});
}

TEST(Samples, TimeIsChargedToTheModelItWasSpentOn) {
    Samples samples;
    auto const add = [&](double at_s, SampleContent content) {
        samples.add(
            {.time_ns = static_cast<std::int64_t>(at_s * 1e9), .content = std::move(content)});
    };
    RepetitionTimes const half_a_second{.time_ms = 500, .warmup = 1};
    add(100, EnvironmentLine{});
    // 2 s of loading a, then 2 x 0.5 s
    add(102, WholeLine{.model = "a", .times = half_a_second});
    // of the 4 s since, 1 s was a's, 3 s loading b
    add(106, WholeLine{.model = "b", .times = half_a_second});
    add(107, LaunchEndLine{});
    EXPECT_NEAR(samples.spent_s.at("a"), 3, 1e-9);
    EXPECT_NEAR(samples.spent_s.at("b"), 4, 1e-9);
}

std::vector<DriftSample> series(std::vector<double> const& times) {
    std::vector<DriftSample> samples;
    for (std::size_t i = 0; i < times.size(); ++i) {
        samples.push_back({.launch = 0,
                           .time_ns = static_cast<std::int64_t>(i) * 1'000'000'000,
                           .time_ms = times[i]});
    }
    return samples;
}

TEST(AnalyseDrift, SlopeOverTheSessionIsTheTrend) {
    // 100, 101, ..., 110: the line rises by 10 over a median of 105.
    std::vector<double> rising;
    for (int i = 0; i <= 10; ++i) rising.push_back(100 + i);
    auto const drift = analyse_drift({{"compute", series(rising)}});
    ASSERT_EQ(drift.size(), 1U);
    EXPECT_NEAR(drift[0].relative_trend, 10.0 / 105, 1e-12);
    EXPECT_TRUE(drift[0].drifted);
}

TEST(AnalyseDrift, OneInterruptionIsNoDrift) {
    std::vector<double> times(100, 10.0);
    times[50] = 30;
    auto const drift = analyse_drift({{"compute", series(times)}});
    EXPECT_FALSE(drift[0].drifted);
}

SampleRecord repetition(int launch, std::int64_t sequence, double time_ms) {
    return {.launch = launch,
            .sequence = sequence,
            .time_ns = 1,
            .content = IsolatedLine{.case_key = "k", .times = {.time_ms = time_ms}}};
}

TEST(Samples, CountARepetitionOnceHoweverOftenItIsRead) {
    Samples samples;
    for (int pass = 0; pass < 2; ++pass) {
        samples.add(repetition(0, 0, 1));
        samples.add(repetition(0, 7, 3));
        samples.add(repetition(1, 7, 5));  // the same number in another launch is another
    }
    EXPECT_EQ(samples.repetitions, 3);
    EXPECT_EQ(timing_of(samples.isolated.at("k"))->samples, 3);
    EXPECT_EQ(timing_of(samples.isolated.at("k"))->center_ms, 1);
}

TEST(SequenceSet, ListsWhatItHasInOrder) {
    SequenceSet set;
    EXPECT_TRUE(set.insert(70));
    EXPECT_TRUE(set.insert(3));
    EXPECT_FALSE(set.insert(70));
    EXPECT_TRUE(set.contains(3));
    EXPECT_FALSE(set.contains(4));
    EXPECT_FALSE(set.contains(1000));
    EXPECT_EQ(set.ascending(), (std::vector<std::int64_t>{3, 70}));
    EXPECT_EQ(set.size(), 2u);
}

TEST(SequenceSet, RefusesANumberThatOnlyDamageMakes) {
    SequenceSet set;
    EXPECT_THROW(set.insert(-1), InputError);
    EXPECT_THROW(set.insert(std::int64_t{1} << 60), InputError);
}

}  // namespace
}  // namespace derate
