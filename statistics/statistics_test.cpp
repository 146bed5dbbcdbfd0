// Numbers a person can check, and what each statistic says of samples too small to speak.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "statistics/bootstrap.hpp"
#include "statistics/distribution_fit.hpp"
#include "statistics/heteroscedasticity.hpp"
#include "statistics/mean_tests.hpp"
#include "statistics/moments.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/normality.hpp"
#include "statistics/proportion.hpp"
#include "statistics/quantiles.hpp"
#include "statistics/rank_tests.hpp"
#include "statistics/variance_test.hpp"

namespace derate {
namespace {

TEST(Quantiles, ExpectedLeastOfADrawWithoutReplacement) {
    // Of 1, 2, 4, 8 the six pairs have the leasts 1, 1, 1, 2, 2, 4; the four triples 1, 1, 1, 2.
    std::vector<double> const sorted{1, 2, 4, 8};
    EXPECT_DOUBLE_EQ(expected_least_of_sorted(sorted, 1), 15.0 / 4);
    EXPECT_DOUBLE_EQ(expected_least_of_sorted(sorted, 2), 11.0 / 6);
    EXPECT_DOUBLE_EQ(expected_least_of_sorted(sorted, 3), 5.0 / 4);
    EXPECT_DOUBLE_EQ(expected_least_of_sorted(sorted, 4), 1);
    EXPECT_THROW((void)expected_least_of_sorted(sorted, 0), std::invalid_argument);
    EXPECT_THROW((void)expected_least_of_sorted(sorted, 5), std::invalid_argument);
}

TEST(EquivalenceTest, IsShownExactlyWhenTheIntervalLiesInsideTheMargins) {
    std::mt19937_64 generator{3};
    std::normal_distribution<> value{0.01, 0.04};
    for (int run = 0; run < 50; ++run) {
        std::vector<double> x(4 + run % 20);
        for (auto& v : x) v = value(generator);
        auto const test = *equivalence_test(x, -0.03, 0.03, 0.05);
        bool const inside = test.interval.lower > -0.03 && test.interval.upper < 0.03;
        EXPECT_EQ(test.p_value < 0.05, inside);
    }
}

TEST(EquivalenceTest, FewValuesShowNothingWhereATTestWouldPassThem) {
    std::array const few{0.02, -0.03, 0.04};
    EXPECT_GT(one_sample_t_test(few)->p_value, 0.5);
    EXPECT_GT(equivalence_test(few, -0.05, 0.05)->p_value, 0.05);
}

TEST(MeanTests, SamplesWithoutSpreadHaveNoTest) {
    EXPECT_EQ(one_sample_t_test(std::array{1.0}), std::nullopt);
    EXPECT_EQ(one_sample_t_test(std::array{1.0, 1.0, 1.0}), std::nullopt);
    EXPECT_EQ(two_sample_t_test(std::array{1.0, 2.0}, std::array{1.0}), std::nullopt);
    EXPECT_THROW((void)equivalence_test(std::array{1.0, 2.0}, 0.1, -0.1), std::invalid_argument);
}

TEST(VarianceTest, MeanGivenOrEstimatedDifferByOneDegreeOfFreedom) {
    std::array const z{1.0, -1.0, 2.0};
    EXPECT_DOUBLE_EQ(unit_variance_test(z)->statistic, 6.0);
    EXPECT_DOUBLE_EQ(unit_variance_test(z)->degrees_of_freedom, 3.0);
    EXPECT_NEAR(variance_test(z, 1.0)->statistic, 6.0 - 4.0 / 3, 1e-12);
    EXPECT_DOUBLE_EQ(variance_test(z, 1.0)->degrees_of_freedom, 2.0);
    EXPECT_THROW((void)variance_test(z, 0.0), std::invalid_argument);
}

TEST(Proportion, NoneAndAllHaveOneSidedEnds) {
    EXPECT_EQ(clopper_pearson_interval(0, 10).lower, 0.0);
    EXPECT_NEAR(clopper_pearson_interval(0, 10).upper, 1 - std::pow(0.025, 0.1), 1e-12);
    EXPECT_EQ(clopper_pearson_interval(10, 10).upper, 1.0);
    EXPECT_THROW((void)wilson_interval(3, 2), std::invalid_argument);
    EXPECT_THROW((void)clopper_pearson_interval(0, 0), std::invalid_argument);
}

TEST(MultipleTesting, HolmOfFourByHand) {
    // sorted 0.005 0.01 0.03 0.04 -> 4x, 3x, 2x, 1x = 0.02 0.03 0.06 0.06 (never falling)
    auto const adjusted = holm_adjusted(std::array{0.01, 0.04, 0.03, 0.005});
    EXPECT_NEAR(adjusted[0], 0.03, 1e-15);
    EXPECT_NEAR(adjusted[1], 0.06, 1e-15);
    EXPECT_NEAR(adjusted[2], 0.06, 1e-15);
    EXPECT_NEAR(adjusted[3], 0.02, 1e-15);
    EXPECT_THROW((void)holm_adjusted(std::array{1.5}), std::invalid_argument);
    EXPECT_TRUE(benjamini_hochberg_adjusted({}).empty());
}

TEST(MannWhitney, SeparatedTriplesHaveTheSmallestExactP) {
    auto const test = *mann_whitney_u(std::array{1.0, 2.0, 3.0}, std::array{4.0, 5.0, 6.0});
    EXPECT_EQ(test.u, 0.0);
    EXPECT_TRUE(test.exact);
    EXPECT_NEAR(test.p_value, 2.0 / 20, 1e-15);  // 2 of the C(6, 3) arrangements
    EXPECT_EQ(mann_whitney_u({}, std::array{1.0}), std::nullopt);
    EXPECT_EQ(mann_whitney_u(std::array{1.0}, std::array{1.0}), std::nullopt);
}

TEST(Normality, SaysNothingOutsideItsRange) {
    EXPECT_EQ(shapiro_wilk(std::array{1.0, 2.0}), std::nullopt);
    EXPECT_EQ(shapiro_wilk(std::array{1.0, 1.0, 1.0}), std::nullopt);
    EXPECT_EQ(anderson_darling_normal(std::array{1.0, 2.0, 3.0}), std::nullopt);
}

TEST(BreuschPagan, SlopeSaysWhereTheSpreadGrows) {
    std::array const size{1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
    std::array const growing{0.1, -0.2, 0.3, -0.4, 0.5, -0.6};
    EXPECT_GT(breusch_pagan(growing, size)->slope, 0);
    EXPECT_LT(breusch_pagan(growing, size)->p_value, 0.05);
    EXPECT_EQ(breusch_pagan(std::array{1.0, -1.0, 1.0, -1.0}, std::array{1.0, 2.0, 3.0, 4.0}),
              std::nullopt);
    EXPECT_THROW((void)breusch_pagan(growing, std::array{1.0}), std::invalid_argument);
}

TEST(DistributionFit, ChoosesTheFamilyThatMadeTheData) {
    std::mt19937_64 generator{11};
    std::lognormal_distribution<> log_normal{0.0, 0.8};
    std::vector<double> x(400);
    for (auto& v : x) v = log_normal(generator);
    auto const fits = fit_distributions(x);
    ASSERT_EQ(fits.size(), 2U);  // values above 1 have no beta fit
    EXPECT_EQ(fits.front().family, DistributionFamily::log_normal);
    EXPECT_NEAR(fits.front().quantile(0.5), 1.0, 0.1);
    EXPECT_EQ(fits.front().density(-1.0), 0.0);
}

TEST(DistributionFit, UniformIsBetaOneOne) {
    std::vector<double> x;
    for (int i = 0; i < 1000; ++i) x.push_back((i + 0.5) / 1000);
    auto const fit = *fit_beta(x);
    EXPECT_NEAR(fit.first, 1.0, 0.01);
    EXPECT_NEAR(fit.second, 1.0, 0.01);
}

TEST(Quantiles, TypeSevenInterpolatesBetweenOrderStatistics) {
    // type 6 would give 1.5 for the lower quartile of 1 2 3 4 5, type 7 gives 2
    EXPECT_DOUBLE_EQ(quantile(std::array{5.0, 1.0, 4.0, 2.0, 3.0}, 0.25), 2.0);
    EXPECT_DOUBLE_EQ(median(std::array{4.0, 1.0}), 2.5);
    EXPECT_THROW((void)median({}), std::invalid_argument);
    EXPECT_THROW((void)quantile(std::array{1.0}, 1.5), std::invalid_argument);
}

TEST(Quantiles, FencesOnTheLogSpareASkewedTail) {
    std::array const times{1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1e6};
    EXPECT_EQ(outliers_of_log(times), (std::vector<std::size_t>{6}));
    EXPECT_EQ(tukey_fences_of_log(std::array{1.0, 2.0, -3.0, 4.0}), std::nullopt);
    EXPECT_EQ(tukey_fences_of_log(std::array{1.0, 2.0, 3.0}), std::nullopt);
}

TEST(Bootstrap, SameSeedSameReplicates) {
    std::array const x{1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
    std::array const family{0, 0, 1, 1, 2, 2};
    auto const mean = [&](std::span<std::size_t const> drawn) {
        double sum = 0;
        for (auto const i : drawn) sum += x[i];
        return sum / static_cast<double>(drawn.size());
    };
    auto const once = cluster_bootstrap(family, mean, {.seed = 5, .replicates = 200});
    EXPECT_EQ(once, cluster_bootstrap(family, mean, {.seed = 5, .replicates = 200}));
    EXPECT_NE(once, cluster_bootstrap(family, mean, {.seed = 6, .replicates = 200}));
    for (double const m : once) {  // only means of whole families occur
        EXPECT_NEAR(m * 3, std::round(m * 3 - 0.5) + 0.5, 0.51);
    }
}

TEST(Bootstrap, ClustersWidenTheIntervalThatSingleValuesWouldGive) {
    std::mt19937_64 generator{9};
    std::normal_distribution<> shared{0, 1};
    std::normal_distribution<> own{0, 0.1};
    std::vector<double> x;
    std::vector<std::string> family;
    for (int f = 0; f < 12; ++f) {
        double const shift = shared(generator);
        for (int i = 0; i < 5; ++i) {
            x.push_back(shift + own(generator));
            family.push_back("family " + std::to_string(f));
        }
    }
    auto const mean = [&](std::span<std::size_t const> drawn) {
        double sum = 0;
        for (auto const i : drawn) sum += x[i];
        return sum / static_cast<double>(drawn.size());
    };
    std::vector<int> each(x.size());
    for (std::size_t i = 0; i < each.size(); ++i) each[i] = static_cast<int>(i);
    auto const width = [&](std::vector<int> const& labels) {
        auto const interval = percentile_interval(cluster_bootstrap(labels, mean));
        return interval.upper - interval.lower;
    };
    EXPECT_GT(width(cluster_labels(family)), 1.7 * width(each));  // sqrt(5) without own noise
}

TEST(Moments, SkewAndTailsOfSmallSamples) {
    EXPECT_NEAR(*skewness(std::array{1.0, 2.0, 3.0}), 0.0, 1e-15);
    EXPECT_NEAR(*excess_kurtosis(std::array{-1.0, 1.0}), -2.0, 1e-15);
    EXPECT_EQ(skewness(std::array{1.0, 1.0}), std::nullopt);
}

// Three clusters of two: sums of deviations from the mean 0.5 are 1, -1 and 0. 3/2 * 2 over 6/5 *
// 6/4.
TEST(DesignEffect, ByHand) {
    std::array const values{1.0, 1.0, 0.0, 0.0, 1.0, 0.0};
    EXPECT_NEAR(design_effect(values, std::array{0, 0, 1, 1, 2, 2}), 3.0 / 1.8, 1e-12);
    EXPECT_EQ(design_effect(values, std::array{0, 0, 0, 0, 0, 0}), 6);
    EXPECT_EQ(design_effect(std::array{2.0, 2.0}, std::array{0, 1}), 1);
    // Each its own cluster: 6/5 * 1.5 over the same.
    EXPECT_NEAR(design_effect(values, std::array{0, 1, 2, 3, 4, 5}), 1, 1e-12);
    EXPECT_NEAR(effective_trials(12, 2, 12), 6, 1e-12);
    // t(11) = 2.200985, t(3) = 3.182446
    EXPECT_NEAR(effective_trials(12, 1, 4), 12 * std::pow(2.200985 / 3.182446, 2), 1e-5);
    EXPECT_EQ(effective_trials(4, 10, 3), 1);
}

// Ten families of four models, a family's models inside or outside together with intervals that hold
// 90 %: an interval that takes them for independent covers far less than it says.
TEST(DesignEffect, MakesTheIntervalOfAClusteredProportionCover) {
    std::mt19937_64 random{3};
    std::normal_distribution<double> normal;
    constexpr int draws = 2000;
    constexpr double truth = 0.9;
    double const edge = 1.6448536269514722;
    int clustered = 0;
    int as_if_independent = 0;
    for (int draw = 0; draw < draws; ++draw) {
        std::vector<double> z;
        std::vector<double> inside;
        std::vector<int> family;
        for (int f = 0; f < 10; ++f) {
            double const shared = normal(random);
            for (int m = 0; m < 4; ++m) {
                z.push_back(std::sqrt(0.9) * shared + std::sqrt(0.1) * normal(random));
                inside.push_back(std::abs(z.back()) < edge ? 1 : 0);
                family.push_back(f);
            }
        }
        double const covered = summarize(inside).mean;
        double const effect = std::max(design_effect(z, family), design_effect(inside, family));
        double const worth = effective_trials(40, effect, 10, 0.9);
        clustered += clopper_pearson_interval(covered * worth, worth, 0.9).contains(truth) ? 1 : 0;
        as_if_independent +=
            clopper_pearson_interval(covered * 40, 40, 0.9).contains(truth) ? 1 : 0;
    }
    RecordProperty("clustered", clustered);
    RecordProperty("as_if_independent", as_if_independent);
    EXPECT_GT(clustered, 0.88 * draws);
    EXPECT_LT(clustered, draws);
    EXPECT_LT(as_if_independent, 0.85 * draws);
}

}  // namespace
}  // namespace derate
