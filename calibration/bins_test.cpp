#include "calibration/bins.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/evidence.hpp"

namespace derate {
namespace {

KernelEfficiency kernel(double work, double efficiency, std::int64_t observations, double std,
                        std::vector<std::string> models) {
    KernelEfficiency result{.work = work,
                            .efficiency = efficiency,
                            .observations = observations,
                            .efficiency_std = std,
                            .efficiency_min = efficiency - 2 * std,
                            .efficiency_max = efficiency + 2 * std,
                            .standard_error = std::nullopt,
                            .launches = 0,
                            .models = std::move(models),
                            .source_subgraphs = {}};
    for (auto const& model : result.models) {
        result.source_subgraphs.push_back(model + "/1/" + std::to_string(int(work / 1e5)));
    }
    return result;
}

TEST(WorkBin, HasEdgesAtOneAndThreeTimesPowersOfTen) {
    EXPECT_EQ(work_bin_of(1e6), (WorkBin{1e6, 3e6}));
    EXPECT_EQ(work_bin_of(2.999e6), (WorkBin{1e6, 3e6}));
    EXPECT_EQ(work_bin_of(3e6), (WorkBin{3e6, 1e7}));
    EXPECT_EQ(work_bin_of(9.99e6), (WorkBin{3e6, 1e7}));
    EXPECT_EQ(work_bin_of(1), (WorkBin{1, 3}));
}

TEST(WorkBin, HoldsItsOwnLowerEdgeAtEveryDecade) {  // log10(1000) rounds below 3 in some libraries
    for (int exponent = 0; exponent <= 18; ++exponent) {
        double const decade = std::pow(10.0, exponent);
        EXPECT_EQ(work_bin_of(decade).lower, decade);
        EXPECT_EQ(work_bin_of(std::nextafter(decade, 0)).upper, decade);
        EXPECT_EQ(work_bin_of(3 * decade).lower, 3 * decade);
    }
}

TEST(WorkBin, RefusesWhatHasNoLogarithm) {
    EXPECT_THROW((void)work_bin_of(0), std::invalid_argument);
    EXPECT_THROW((void)work_bin_of(-1), std::invalid_argument);
    EXPECT_THROW((void)work_bin_of(NAN), std::invalid_argument);
    EXPECT_THROW((void)work_bin_of(INFINITY), std::invalid_argument);
}

TEST(WorkBin, IsNamedInWordsAPersonReads) {
    EXPECT_EQ(to_string(WorkBin{1e7, 3e7}), "10M to 30M");
    EXPECT_EQ(to_string(WorkBin{300, 1000}), "300 to 1k");
}

// Two models of two observations each: {1, 3} and {6, 10}. All four: mean 5, squares 16 + 4 + 1
// + 25.
TEST(Pool, IsTheVarianceOfAllObservationsAtOnce) {
    std::array const kernels{kernel(1e6, 2, 2, std::sqrt(2.0), {"a"}),
                             kernel(1e6, 8, 2, std::sqrt(8.0), {"b"})};

    auto const pooled = pool(kernels);

    EXPECT_EQ(pooled.observations, 4);
    EXPECT_DOUBLE_EQ(pooled.mean, 5);
    EXPECT_DOUBLE_EQ(pooled.variance.value(), 46.0 / 3);
    EXPECT_DOUBLE_EQ(pooled.between_model_variance.value(), 36.0 / 3);  // without it 10 / 3
}

TEST(Pool, CountsAKernelOfTwoModelsOnce) {
    std::array const kernels{kernel(1e6, 2, 2, std::sqrt(2.0), {"a", "b"}),
                             kernel(1e6, 8, 2, std::sqrt(8.0), {"b"})};

    auto const pooled = pool(kernels);

    EXPECT_EQ(pooled.observations, 4);
    EXPECT_DOUBLE_EQ(pooled.mean, 5);
    // a: weight 1, mean 2; b: weight 3, mean (1 * 2 + 2 * 8) / 3 = 6.
    EXPECT_DOUBLE_EQ(pooled.between_model_variance.value(), (1 * 9.0 + 3 * 1.0) / 3);
}

TEST(Pool, WithinAndBetweenModelsAddUpWhateverIsShared) {
    std::mt19937_64 random{7};
    std::uniform_real_distribution<double> efficiency{0.1, 0.9};
    for (int trial = 0; trial < 50; ++trial) {
        std::vector<KernelEfficiency> kernels;
        double n = 0;
        for (int i = 0; i < 12; ++i) {
            std::vector<std::string> models{std::string(1, char('a' + i % 3))};
            if (i % 4 == 0) models.push_back("z");
            kernels.push_back(kernel(1e6 + i, efficiency(random), 1 + i % 5, 0.02, models));
            n += double(1 + i % 5);
        }
        auto const pooled = pool(kernels);

        // Within models, from its definition: a shared kernel's observations count by halves.
        double within = 0;
        for (std::string const name : {"a", "b", "c", "z"}) {
            double weight = 0;
            double mean = 0;
            for (auto const& k : kernels) {
                if (std::ranges::count(k.models, name) == 0) continue;
                weight += double(k.observations) / double(k.models.size());
                mean += k.efficiency * double(k.observations) / double(k.models.size());
            }
            mean /= weight;
            for (auto const& k : kernels) {
                if (std::ranges::count(k.models, name) == 0) continue;
                double const share = 1 / double(k.models.size());
                within += share * (double(k.observations - 1) * 0.02 * 0.02 +
                                   double(k.observations) * std::pow(k.efficiency - mean, 2));
            }
        }
        EXPECT_NEAR(pooled.variance.value() * (n - 1),
                    within + pooled.between_model_variance.value() * (n - 1), 1e-12);
    }
}

TEST(Pool, UnknownSpreadStaysUnknown) {
    auto imported = kernel(1e6, 0.5, 50, 0.1, {"a"});
    imported.efficiency_std.reset();
    std::array const kernels{imported, kernel(1e6, 0.6, 50, 0.1, {"b"})};

    EXPECT_EQ(pool(kernels).variance, std::nullopt);
    EXPECT_TRUE(pool(kernels).between_model_variance.has_value());
}

TEST(DataPoints, OneABinWithTheCentreInside) {
    std::array const kernels{kernel(1.1e6, 0.2, 5, 0.01, {"a"}), kernel(2.5e6, 0.3, 5, 0.01, {"b"}),
                             kernel(4e6, 0.4, 5, 0.01, {"a"}), kernel(5e8, 0.8, 5, 0.01, {"a"})};

    auto const points = data_points_of(kernels);

    ASSERT_EQ(points.size(), 3u);
    EXPECT_NEAR(points[0].work, std::sqrt(1.1e6 * 2.5e6), 1e-3);
    EXPECT_EQ(work_bin_of(points[0].work), (WorkBin{1e6, 3e6}));
    EXPECT_DOUBLE_EQ(points[0].efficiency_mean, 0.25);
    EXPECT_EQ(points[0].num_observations, 10);
    EXPECT_THAT(points[0].source_subgraphs, testing::ElementsAre("a/1/11", "b/1/25"));
    EXPECT_DOUBLE_EQ(points[0].efficiency_min.value(), 0.18);
    EXPECT_DOUBLE_EQ(points[0].efficiency_max.value(), 0.32);
    EXPECT_EQ(points[1].work, 4e6);
}

TEST(DataPoints, ConfidenceOfTheMeanAddsErrorsThatMoveTogether) {
    auto a = kernel(1e6, 0.2, 10, 0.01, {"a"});
    auto b = kernel(2e6, 0.4, 30, 0.01, {"b"});
    a.launches = 5;
    a.standard_error = 0.01;
    b.launches = 3;
    b.standard_error = 0.02;

    auto const points = data_points_of(std::array{a, b});

    // (10 * 0.01 + 30 * 0.02) / 40 = 0.0175; t(0.975, 2) = 4.302653 (scipy.stats.t, tables)
    auto const interval = points.at(0).confidence_interval_of_mean.value();
    EXPECT_NEAR(interval.upper - points[0].efficiency_mean, 4.302652729911275 * 0.0175, 1e-9);
}

TEST(DataPoints, OneLaunchSaysNothingOfTheMean) {
    auto a = kernel(1e6, 0.2, 10, 0.01, {"a"});
    a.launches = 1;
    EXPECT_EQ(data_points_of(std::array{a})[0].confidence_interval_of_mean, std::nullopt);
}

TEST(DataPoints, PredictionIsForOneMoreKernelAndOnTheLog) {
    std::array const kernels{kernel(1e6, std::exp(-1.0), 5, 0.01, {"a"}),
                             kernel(1.5e6, std::exp(-2.0), 5, 0.01, {"b"}),
                             kernel(2e6, std::exp(-3.0), 5, 0.01, {"c"})};

    auto const interval = data_points_of(kernels)[0].prediction_interval.value();

    double const half = 4.302652729911275 * std::sqrt(1 + 1.0 / 3);  // s = 1
    EXPECT_NEAR(std::log(interval.lower), -2 - half, 1e-9);
    EXPECT_NEAR(std::log(interval.upper), -2 + half, 1e-9);
    EXPECT_EQ(data_points_of(std::span{kernels}.first(2))[0].prediction_interval, std::nullopt);
}

TEST(DataPoints, DoNotDependOnTheOrderOfKernels) {
    std::mt19937_64 random{11};
    std::uniform_real_distribution<double> log_work{5, 9};
    std::uniform_real_distribution<double> efficiency{0.1, 0.9};
    std::vector<KernelEfficiency> kernels;
    for (int i = 0; i < 200; ++i) {
        kernels.push_back(kernel(std::pow(10, log_work(random)), efficiency(random), 1 + i % 7,
                                 0.01, {std::to_string(i % 9)}));
    }
    auto const before = data_points_of(kernels);
    std::ranges::shuffle(kernels, random);
    auto const after = data_points_of(kernels);

    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {  // bit for bit
        EXPECT_EQ(before[i].work, after[i].work);
        EXPECT_EQ(before[i].efficiency_mean, after[i].efficiency_mean);
        EXPECT_EQ(before[i].efficiency_std, after[i].efficiency_std);
        EXPECT_EQ(before[i].between_model_std, after[i].between_model_std);
        EXPECT_EQ(before[i].prediction_interval, after[i].prediction_interval);
    }
}

EvidenceCase timed(OperationType type, double flops, double bytes, double ms) {
    EvidenceCase result;
    result.subgraph.type = type;
    result.subgraph.work = Flops{flops};
    result.subgraph.traffic.output = Bytes{bytes};
    result.timing = Timing{.center_ms = ms, .mean_ms = ms, .std_ms = ms / 10, .samples = 50};
    return result;
}

// 2 GFLOP in 4 ms on a peak of 1 TFLOP/s: half of the peak.
TEST(KernelEfficiencies, AreWorkOverServedTimeAndPeak) {
    Evidence evidence;
    evidence.cases = {timed(OperationType::conv2d, 2e9, 1e6, 4),
                      timed(OperationType::conv2d, 0, 3e6, 1),
                      timed(OperationType::linear, 1e9, 1e6, 1)};
    evidence.models = {{.name = "net", .family = "f", .batch = 4, .cases = {0, 1, 0, 2}}};
    PeakRate const tera{.per_second = 1e12, .source = "test", .method = ""};

    auto const conv = kernel_efficiencies_of(evidence, OperationType::conv2d, false, tera);

    ASSERT_EQ(conv.size(), 1u);
    EXPECT_DOUBLE_EQ(conv[0].efficiency, 0.5);
    EXPECT_DOUBLE_EQ(conv[0].efficiency_std.value(), 0.05);
    EXPECT_EQ(conv[0].observations, 50);
    EXPECT_THAT(conv[0].source_subgraphs, testing::ElementsAre("net/4/0", "net/4/2"));

    auto const moved = kernel_efficiencies_of(evidence, OperationType::conv2d, true, tera);
    ASSERT_EQ(moved.size(), 1u);
    EXPECT_DOUBLE_EQ(moved[0].work, 3e6);
    EXPECT_DOUBLE_EQ(moved[0].efficiency, 3e6 / 1e-3 / 1e12);
}

TEST(KernelEfficiencies, LeaveHeldOutModelsAndFailuresAside) {
    Evidence evidence;
    evidence.cases = {timed(OperationType::conv2d, 2e9, 1e6, 4),
                      timed(OperationType::conv2d, 2e9, 1e6, 4),
                      timed(OperationType::conv2d, 2e9, 1e6, 4)};
    evidence.cases[1].timing.reset();
    evidence.cases[2].probe = true;
    evidence.cases[2].subgraph.descriptor = "d";
    evidence.models = {
        {.name = "a", .family = "f", .role = ModelRole::held_out, .cases = {0}},
        {.name = "b", .family = "f", .cases = {1}},
    };
    PeakRate const tera{.per_second = 1e12, .source = "test", .method = ""};

    auto const kernels = kernel_efficiencies_of(evidence, OperationType::conv2d, false, tera);

    ASSERT_EQ(kernels.size(), 1u);
    EXPECT_THAT(kernels[0].source_subgraphs, testing::ElementsAre("probe/d"));
}

TEST(KernelEfficiencies, StandardErrorComesFromLaunches) {
    Evidence evidence;
    evidence.cases = {timed(OperationType::conv2d, 2e9, 1e6, 4)};
    evidence.models = {{.name = "a", .family = "f", .cases = {0}}};
    std::vector<LaunchTimes> launches;
    for (double const least : {3.0, 4.0, 5.0}) {
        launches.push_back({.times_ms = {.count = 10, .mean = 7, .sum_squared_deviations = 1},
                            .median_ms = 6,
                            .min_ms = least,
                            .max_ms = 8});
    }
    evidence.cases[0].timing = timing_of(launches);
    PeakRate const tera{.per_second = 1e12, .source = "test", .method = ""};

    auto const kernels = kernel_efficiencies_of(evidence, OperationType::conv2d, false, tera);

    // The efficiency at the served time, 3.5, is 4/7. Its error is the deviation of the logarithm
    // over all 27 draws of three leasts, each served anew, times root(3 / 2).
    EXPECT_NEAR(kernels.at(0).efficiency, 4.0 / 7, 1e-15);
    std::vector<double> logs;
    for (double const a : {3.0, 4.0, 5.0}) {
        for (double const b : {3.0, 4.0, 5.0}) {
            for (double const c : {3.0, 4.0, 5.0}) {
                logs.push_back(std::log((a + b + c - std::max({a, b, c})) / 2));
            }
        }
    }
    double const deviation = std::sqrt(summarize(logs).sum_squared_deviations / 27 * 3 / 2);
    EXPECT_NEAR(kernels[0].standard_error.value(), 4.0 / 7 * deviation, 0.04 * deviation);
    EXPECT_EQ(kernels[0].launches, 3);
}

}  // namespace
}  // namespace derate
