#pragma once
#include <optional>
#include <span>

#include "statistics/interval.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {

/// A mean with its interval; `standard_error` and both ends in the unit of the observations.
struct MeanEstimate {
    double mean = 0;
    double standard_error = 0;
    double degrees_of_freedom = 0;
    Interval interval;

    /// (upper - lower) / (2 |mean|); what stop rules and trust grades compare.
    [[nodiscard]] double relative_half_width() const;
};

/// Confidence interval of a mean: mean +- t_{k-1} s / sqrt(k).
///
/// The observations must be independent. Repetitions inside one process launch are not: pass one
/// value a launch (its median), k launches, and not the pooled repetitions, whose interval is 1.6
/// to 3.6 times too narrow. Assumes launch values that are about normal; at k >= 5 mild skew does
/// no harm.
///
/// \param independent_values  one a launch, finite
/// \param confidence          between 0 and 1, usually 0.95
/// \return empty below two values, because one says nothing about spread
/// Source: Student, "The probable error of a mean", Biometrika 6 (1908).
[[nodiscard]] std::optional<MeanEstimate> confidence_interval_of_mean(
    std::span<double const> independent_values, double confidence = 0.95);

/// The roadmap's mean +- 1.96 s / sqrt(n) over pooled repetitions. A diagnostic: it ignores that
/// repetitions of one launch move together, and it uses the normal where t is due.
/// \return empty below two observations
[[nodiscard]] std::optional<MeanEstimate> naive_interval_of_mean(SampleSummary const& pooled);

/// Where the spread of repeated timings comes from.
struct VarianceSplit {
    double between = 0;  ///< variance of the groups' true means (launches, models), >= 0
    double within = 0;   ///< variance of repetitions inside one group, >= 0
    double effective_group_size = 0;  ///< n0; equals the group size when all are alike
    bool truncated = false;           ///< the unbiased estimate of `between` was negative

    /// Var(mean) = between / groups + within / (groups * repetitions).
    [[nodiscard]] double variance_of_mean(double groups, double repetitions_each) const;

    /// Of the mean over all observations of groups of unequal size: between sum (n_j / N)^2 +
    /// within / N. A group that holds most observations brings its shift along with their weight.
    [[nodiscard]] double variance_of_mean(std::span<SampleSummary const> groups) const;
};

/// Random-effects split of one-way grouped data by the moment (ANOVA) estimator, unequal groups
/// allowed: within = MS_within; between = max(0, (MS_between - MS_within) / n0),
/// n0 = (N - sum n_j^2 / N) / (k - 1).
///
/// \param groups  one summary a launch (or model), each with one observation or more
/// \return empty below two groups, or when no group has two observations
/// Source: Searle, Casella, McCulloch, "Variance Components", Wiley 1992, section 3.6.
[[nodiscard]] std::optional<VarianceSplit> split_variance(std::span<SampleSummary const> groups);

/// Mean over all observations of groups that share an error each (models' kernels), its variance
/// from split_variance() with Satterthwaite's degrees of freedom. Where groups do not differ by more
/// than their observations show, or none holds two, observations count as independent.
///
/// \param groups  one summary a group, each with one observation or more
/// \return empty below two observations
[[nodiscard]] std::optional<MeanEstimate> interval_of_grouped_mean(
    std::span<SampleSummary const> groups, double confidence = 0.95);

}  // namespace derate
