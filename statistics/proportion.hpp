#pragma once
#include <cstdint>
#include <span>

#include "statistics/interval.hpp"

namespace derate {

/// Clopper-Pearson interval of a proportion: never covers less than `confidence`, and therefore is
/// wide for few trials. Ends are quantiles of beta distributions; 0 of n and n of n give one-sided
/// ends at 0 and 1.
/// \param successes  0 to `trials`; need not be whole (effective_trials())
/// \param trials     >= 1
/// \throws std::invalid_argument otherwise
/// Source: Clopper, Pearson, Biometrika 26 (1934) 404-413.
[[nodiscard]] Interval clopper_pearson_interval(double successes, double trials,
                                                double confidence = 0.95);

/// Wilson's score interval, without continuity correction: covers `confidence` on average, may
/// cover a little less for single proportions. The one to show; Clopper-Pearson is the one to judge
/// by. Source: Wilson, J. American Statistical Association 22 (1927) 209-212.
[[nodiscard]] Interval wilson_interval(double successes, double trials, double confidence = 0.95);

/// How many times the variance of a mean of clustered values is that of as many independent ones,
/// from the spread of clusters' sums, whatever is correlated inside a cluster; at least 1. All
/// values equal tell nothing: 1. A single cluster is one value: their number.
///
/// \param cluster_of  cluster of each value, any labels
/// Source: Kish, "Survey Sampling", 1965; Liang, Zeger, Biometrika 73 (1986), with g / (g - 1).
[[nodiscard]] double design_effect(std::span<double const> values, std::span<int const> cluster_of);

/// Independent trials that `trials` clustered ones are worth in an exact interval:
/// trials / design_effect times (t(trials - 1) / t(clusters - 1))^2 at the interval's quantile, 1 at
/// least.
///
/// \param clusters  >= 2
/// Source: Korn, Graubard, "Confidence intervals for proportions with small expected number of
/// positive counts estimated from survey data", Survey Methodology 24 (1998) 193-201.
[[nodiscard]] double effective_trials(double trials, double design_effect, int clusters,
                                      double confidence = 0.95);

/// P(at most `successes` of `trials` | each succeeds with `probability`): the one-sided binomial
/// test of "covers at least `probability`".
[[nodiscard]] double binomial_cdf(std::int64_t successes, std::int64_t trials, double probability);

}  // namespace derate
