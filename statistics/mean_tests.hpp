#pragma once
#include <optional>
#include <span>

#include "statistics/interval.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {

/// What a test of means says; p-values are two-sided.
struct TTest {
    double statistic = 0;
    double degrees_of_freedom = 0;
    double p_value = 1;
    double difference = 0;      ///< of the means, first minus second (or minus the hypothesis)
    double standard_error = 0;  ///< of the difference
};

/// Is the mean of the population `hypothesised_mean`? Student's one-sample t with n - 1 degrees of
/// freedom. Of paired data pass the differences.
///
/// A small sample passes it for want of power: to claim that a bias is zero, use
/// equivalence_test().
/// \return empty below two values or when all are equal (no spread to judge by)
[[nodiscard]] std::optional<TTest> one_sample_t_test(std::span<double const> values,
                                                     double hypothesised_mean = 0);

enum class VarianceAssumption {
    unequal,  ///< Welch, Satterthwaite's degrees of freedom
    equal,    ///< Student, pooled variance, n_a + n_b - 2 degrees of freedom
};

/// Do two independent samples have the same mean?
/// \return empty when either has fewer than two values or both have no spread
/// Source: Welch, "The generalization of Student's problem", Biometrika 34 (1947).
[[nodiscard]] std::optional<TTest> two_sample_t_test(
    std::span<double const> a, std::span<double const> b,
    VarianceAssumption assumption = VarianceAssumption::unequal);

struct OneWayAnalysisOfVariance {
    double statistic = 0;                   ///< F: mean square between groups over that within
    double degrees_of_freedom_between = 0;  ///< groups - 1
    double degrees_of_freedom_within = 0;   ///< observations - groups
    double p_value = 1;                     ///< P(F >= statistic)
};

/// Do several independent samples have the same mean? Assumes one variance for all of them.
///
/// \param groups  one summary a sample, each with one observation or more
/// \return empty below two groups, without repeated observations, or without spread inside groups
/// Source: Fisher, "Statistical Methods for Research Workers", 1925, chapter 7.
[[nodiscard]] std::optional<OneWayAnalysisOfVariance> one_way_analysis_of_variance(
    std::span<SampleSummary const> groups);

/// Two one-sided tests: the mean is claimed to lie inside (lower, upper).
struct EquivalenceTest {
    TTest against_lower;  ///< one-sided: mean > lower
    TTest against_upper;  ///< one-sided: mean < upper
    double p_value = 1;   ///< the larger of the two; equivalence is shown when it is below alpha
    double mean = 0;
    Interval interval;  ///< 1 - 2 alpha confidence interval; inside the margins iff p < alpha
};

/// Schuirmann's two one-sided t-tests (TOST) of a mean, or of paired differences.
///
/// Rejecting both "mean <= lower" and "mean >= upper" at alpha shows that the mean is inside. Too
/// few values make it fail to show that, never show it falsely: the opposite of a plain t-test.
///
/// \param lower, upper  margins, lower < upper
/// \param alpha         of each one-sided test
/// \return empty below two values or when all are equal
/// Source: Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680.
[[nodiscard]] std::optional<EquivalenceTest> equivalence_test(std::span<double const> values,
                                                              double lower, double upper,
                                                              double alpha = 0.05);

/// The same for the difference of two independent means (a minus b), Welch.
[[nodiscard]] std::optional<EquivalenceTest> equivalence_test(std::span<double const> a,
                                                              std::span<double const> b,
                                                              double lower, double upper,
                                                              double alpha = 0.05);

}  // namespace derate
