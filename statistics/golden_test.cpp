// Agreement with scipy and statsmodels (versions in testdata/golden.json) and with NIST's certified
// digits. Regenerate the former with ctest/make_statistics_golden.py.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "statistics/distribution_fit.hpp"
#include "statistics/heteroscedasticity.hpp"
#include "statistics/interval_of_mean.hpp"
#include "statistics/mean_tests.hpp"
#include "statistics/moments.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/normality.hpp"
#include "statistics/proportion.hpp"
#include "statistics/quantiles.hpp"
#include "statistics/rank_tests.hpp"
#include "statistics/sample_summary.hpp"
#include "statistics/variance_test.hpp"

namespace derate {
namespace {

using nlohmann::json;

json read_testdata(std::string const& name) {
    std::ifstream file{std::string{DERATE_SOURCE_DIR} + "/statistics/testdata/" + name};
    return json::parse(file);
}

json const& golden(char const* statistic) {
    static json const all = read_testdata("golden.json");
    return all.at(statistic);
}

std::vector<double> values(json const& row, char const* key = "values") {
    return row.at(key).get<std::vector<double>>();
}

/// Relative agreement; `actual` and `expected` of both signs and zero.
void expect_close(double actual, json const& expected, double tolerance = 1e-9) {
    double const wanted = expected.get<double>();
    EXPECT_NEAR(actual, wanted, tolerance * std::abs(wanted) + 1e-13);
}

TEST(Golden, OneSampleTTestAndIntervalOfMean) {
    for (auto const& row : golden("t_one_sample")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = one_sample_t_test(values(row), row.at("hypothesis").get<double>());
        ASSERT_TRUE(test);
        expect_close(test->statistic, row.at("statistic"));
        expect_close(test->p_value, row.at("p_value"));
        expect_close(test->degrees_of_freedom, row.at("degrees_of_freedom"));
        auto const mean = confidence_interval_of_mean(values(row));
        ASSERT_TRUE(mean);
        expect_close(mean->interval.lower, row.at("lower"));
        expect_close(mean->interval.upper, row.at("upper"));
    }
}

TEST(Golden, TwoSampleTTestWelchAndPooled) {
    for (auto const& row : golden("t_two_sample")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = two_sample_t_test(
            values(row, "a"), values(row, "b"),
            row.at("equal_variance") ? VarianceAssumption::equal : VarianceAssumption::unequal);
        ASSERT_TRUE(test);
        expect_close(test->statistic, row.at("statistic"));
        expect_close(test->degrees_of_freedom, row.at("degrees_of_freedom"));
        expect_close(test->p_value, row.at("p_value"));
    }
}

void expect_tost(EquivalenceTest const& test, json const& row) {
    expect_close(test.against_lower.statistic, row.at("statistic_lower"));
    expect_close(test.against_upper.statistic, row.at("statistic_upper"));
    expect_close(test.against_lower.p_value, row.at("p_lower"));
    expect_close(test.against_upper.p_value, row.at("p_upper"));
    expect_close(test.p_value, row.at("p_value"));
}

TEST(Golden, TwoOneSidedTests) {
    for (auto const& row : golden("tost_one_sample")) {
        SCOPED_TRACE(row.at("name"));
        expect_tost(*equivalence_test(values(row), row.at("lower"), row.at("upper")), row);
    }
    for (auto const& row : golden("tost_two_sample")) {
        SCOPED_TRACE(row.at("name"));
        expect_tost(*equivalence_test(values(row, "a"), values(row, "b"),
                                      row.at("lower").get<double>(), row.at("upper").get<double>()),
                    row);
    }
}

TEST(Golden, ChiSquaredTestOfVariance) {
    for (auto const& row : golden("chi_squared")) {
        SCOPED_TRACE(row.at("name"));
        auto const about_zero = *unit_variance_test(values(row));
        auto const variance = *variance_test(values(row), row.at("variance").at("hypothesis"));
        for (auto const& [test, expected] :
             {std::pair{about_zero, row.at("about_zero")}, {variance, row.at("variance")}}) {
            expect_close(test.statistic, expected.at("statistic"));
            expect_close(test.degrees_of_freedom, expected.at("degrees_of_freedom"));
            expect_close(test.p_greater, expected.at("p_greater"));
            expect_close(test.p_less, expected.at("p_less"));
        }
    }
}

TEST(Golden, BinomialAndWilsonIntervals) {
    for (auto const& row : golden("proportions")) {
        SCOPED_TRACE(row.dump());
        std::int64_t const k = row.at("successes");
        std::int64_t const n = row.at("trials");
        double const confidence = row.at("confidence");
        auto const exact = clopper_pearson_interval(static_cast<double>(k), static_cast<double>(n), confidence);
        auto const score = wilson_interval(static_cast<double>(k), static_cast<double>(n), confidence);
        expect_close(exact.lower, row.at("clopper_pearson").at(0));
        expect_close(exact.upper, row.at("clopper_pearson").at(1));
        expect_close(score.lower, row.at("wilson").at(0));
        expect_close(score.upper, row.at("wilson").at(1));
        expect_close(binomial_cdf(k, n, 0.95), row.at("cdf_at_095"));
    }
}

TEST(Golden, HolmAndBenjaminiHochberg) {
    for (auto const& row : golden("multiplicity")) {
        SCOPED_TRACE(row.dump());
        auto const p = values(row, "p_values");
        auto const holm = holm_adjusted(p);
        auto const false_discovery = benjamini_hochberg_adjusted(p);
        for (std::size_t i = 0; i < p.size(); ++i) {
            expect_close(holm[i], row.at("holm").at(i));
            expect_close(false_discovery[i], row.at("benjamini_hochberg").at(i));
        }
    }
}

TEST(Golden, MannWhitneyExactAndWithTies) {
    for (auto const& row : golden("mann_whitney")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = *mann_whitney_u(values(row, "a"), values(row, "b"));
        EXPECT_EQ(test.exact, row.at("exact").get<bool>());
        expect_close(test.u, row.at("u"));
        expect_close(test.p_value, row.at("p_value"));
    }
}

TEST(Golden, ShapiroWilk) {
    for (auto const& row : golden("shapiro_wilk")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = *shapiro_wilk(values(row));
        // scipy's normal quantiles hold seven digits, and a p-value magnifies the difference.
        expect_close(test.w, row.at("w"), 1e-6);
        expect_close(test.p_value, row.at("p_value"), 2e-5);
    }
}

TEST(Golden, AndersonDarling) {
    for (auto const& row : golden("anderson_darling")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = *anderson_darling_normal(values(row));
        expect_close(test.a_squared, row.at("a_squared"), 1e-8);
        expect_close(test.p_value, row.at("p_value"), 1e-7);
    }
}

TEST(Golden, BreuschPaganStudentised) {
    for (auto const& row : golden("breusch_pagan")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = *breusch_pagan(values(row, "residuals"), values(row, "regressor"));
        expect_close(test.statistic, row.at("statistic"));
        expect_close(test.p_value, row.at("p_value"));
    }
}

TEST(Golden, DistributionFitsWithCriteria) {
    for (auto const& row : golden("distribution_fits")) {
        SCOPED_TRACE(row.at("name"));
        auto const x = values(row);
        for (auto const& [key, fit] : {std::pair{"normal", fit_normal(x)},
                                       {"log_normal", fit_log_normal(x)},
                                       {"beta", fit_beta(x)}}) {
            SCOPED_TRACE(key);
            ASSERT_EQ(fit.has_value(), row.contains(key));
            if (!fit) continue;
            auto const& expected = row.at(key);
            // scipy's optimiser of beta stops at about six digits of the parameters, where the
            // likelihood is already flat.
            bool const iterated = fit->family == DistributionFamily::beta;
            expect_close(fit->first, expected.at("first"), iterated ? 1e-5 : 1e-9);
            expect_close(fit->second, expected.at("second"), iterated ? 1e-5 : 1e-9);
            expect_close(fit->log_likelihood, expected.at("log_likelihood"), 1e-8);
            expect_close(fit->aic, expected.at("aic"), 1e-8);
            expect_close(fit->bic, expected.at("bic"), 1e-8);
        }
    }
}

TEST(Golden, QuantilesAndMoments) {
    for (auto const& row : golden("quantiles")) {
        SCOPED_TRACE(row.at("name"));
        auto const x = values(row);
        for (auto const& [probability, expected] : row.at("quantiles").items()) {
            expect_close(quantile(x, std::stod(probability)), expected);
        }
        expect_close(median_absolute_deviation(x), row.at("mad"));
        expect_close(*skewness(x), row.at("skewness"));
        expect_close(*excess_kurtosis(x), row.at("excess_kurtosis"));
        auto const fences = tukey_fences_of_log(x);
        ASSERT_EQ(fences.has_value(), row.contains("log_fences"));
        if (fences) {
            expect_close(fences->lower, row.at("log_fences").at(0));
            expect_close(fences->upper, row.at("log_fences").at(1));
        }
    }
}

std::vector<SampleSummary> groups(json const& row) {
    std::vector<SampleSummary> summaries;
    for (auto const& group : row.at("groups")) {
        summaries.push_back(summarize(group.get<std::vector<double>>()));
    }
    return summaries;
}

TEST(Golden, OneWayAnalysisOfVariance) {
    for (auto const& row : golden("analysis_of_variance")) {
        SCOPED_TRACE(row.at("name"));
        auto const test = one_way_analysis_of_variance(groups(row));
        ASSERT_TRUE(test);
        expect_close(test->statistic, row.at("statistic"));
        expect_close(test->degrees_of_freedom_between, row.at("degrees_of_freedom_between"));
        expect_close(test->degrees_of_freedom_within, row.at("degrees_of_freedom_within"));
        expect_close(test->p_value, row.at("p_value"));
    }
}

TEST(Golden, VarianceComponentsOfEqualAndUnequalGroups) {
    for (auto const& row : golden("variance_components")) {
        SCOPED_TRACE(row.at("name"));
        auto const split = split_variance(groups(row));
        ASSERT_TRUE(split);
        expect_close(split->within, row.at("within"));
        expect_close(split->between, row.at("between"));
        expect_close(split->effective_group_size, row.at("effective_group_size"));
        EXPECT_EQ(split->truncated, row.at("truncated").get<bool>());
        if (row.at("reml").is_null()) continue;
        expect_close(split->within, row.at("reml").at("within"), 1e-3);  // an iteration's end
        expect_close(split->between, row.at("reml").at("between"), 1e-3);
    }
}

TEST(Golden, StandardScoresAndOutliersBeyondThree) {
    for (auto const& row : golden("standard_scores")) {
        SCOPED_TRACE(row.at("name"));
        auto const scores = standardised(values(row));
        std::vector<std::size_t> beyond;
        for (std::size_t i = 0; i < scores.size(); ++i) {
            expect_close(scores[i], row.at("scores").at(i));
            if (std::abs(scores[i]) > 3) beyond.push_back(i);
        }
        EXPECT_EQ(beyond, row.at("beyond_3").get<std::vector<std::size_t>>());
    }
}

void expect_nist(std::vector<double> const& x, double mean, double deviation, double correlation,
                 double tolerance) {
    auto const summary = summarize(x);
    EXPECT_NEAR(summary.mean, mean, 1e-14 * std::abs(mean));
    EXPECT_NEAR(std::sqrt(*summary.variance()), deviation, tolerance * deviation);
    EXPECT_NEAR(*lag_one_autocorrelation(x), correlation, tolerance);
}

TEST(Nist, UnivariateSummaries) {
    auto const nist = read_testdata("nist_univariate.json");
    for (auto const& set : nist.at("data_sets")) {
        SCOPED_TRACE(set.at("name"));
        expect_nist(values(set), set.at("mean"), set.at("standard_deviation"),
                    set.at("lag_one_autocorrelation"), 1e-11);
    }
}

/// NumAcc2 to 4: `center`, then 500 times center - 0.1, center + 0.1; exact by construction.
std::vector<double> alternating(double center, double low, double high) {
    std::vector<double> x{center};
    for (int i = 0; i < 500; ++i) x.insert(x.end(), {low, high});
    return x;
}

TEST(Nist, NumericalAccuracySeries) {
    expect_nist({10000001, 10000003, 10000002}, 10000002, 1, -0.5, 1e-14);
    expect_nist(alternating(1.2, 1.1, 1.3), 1.2, 0.1, -0.999, 1e-13);
    // The data themselves are rounded when read: 0.1 on 1e6 keeps ten digits, on 1e7 nine.
    expect_nist(alternating(1000000.2, 1000000.1, 1000000.3), 1000000.2, 0.1, -0.999, 1e-9);
    expect_nist(alternating(10000000.2, 10000000.1, 10000000.3), 10000000.2, 0.1, -0.999, 1e-8);
}

}  // namespace
}  // namespace derate
