#pragma once
#include <cstdint>

#include "core/statistics/interval.hpp"

namespace derate {

/// Clopper-Pearson interval of a proportion: never covers less than `confidence`, and therefore is
/// wide for few trials. Ends are quantiles of beta distributions; 0 of n and n of n give one-sided
/// ends at 0 and 1.
/// \param successes  0 to `trials`
/// \param trials     >= 1
/// \throws std::invalid_argument otherwise
/// Source: Clopper, Pearson, Biometrika 26 (1934) 404-413.
[[nodiscard]] Interval clopper_pearson_interval(std::int64_t successes, std::int64_t trials,
                                                double confidence = 0.95);

/// Wilson's score interval, without continuity correction: covers `confidence` on average, may
/// cover a little less for single proportions. The one to show; Clopper-Pearson is the one to judge
/// by. Source: Wilson, J. American Statistical Association 22 (1927) 209-212.
[[nodiscard]] Interval wilson_interval(std::int64_t successes, std::int64_t trials,
                                       double confidence = 0.95);

/// P(at most `successes` of `trials` | each succeeds with `probability`): the one-sided binomial
/// test of "covers at least `probability`".
[[nodiscard]] double binomial_cdf(std::int64_t successes, std::int64_t trials, double probability);

}  // namespace derate
