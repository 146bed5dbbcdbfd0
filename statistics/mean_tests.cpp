#include "statistics/mean_tests.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "statistics/distributions.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

/// A difference, its standard error and the degrees of freedom to judge it by.
struct Contrast {
    double difference = 0;
    double standard_error = 0;
    double degrees_of_freedom = 0;
};

std::optional<Contrast> contrast_to_zero(std::span<double const> values) {
    auto const summary = summarize(values);
    auto const variance = summary.variance();
    if (!variance || !(*variance > 0)) return std::nullopt;
    auto const n = static_cast<double>(summary.count);
    return Contrast{summary.mean, std::sqrt(*variance / n), n - 1};
}

std::optional<Contrast> contrast(std::span<double const> a, std::span<double const> b,
                                 VarianceAssumption assumption) {
    auto const of_a = summarize(a);
    auto const of_b = summarize(b);
    auto const variance_a = of_a.variance();
    auto const variance_b = of_b.variance();
    if (!variance_a || !variance_b || !(*variance_a + *variance_b > 0)) return std::nullopt;

    auto const n_a = static_cast<double>(of_a.count);
    auto const n_b = static_cast<double>(of_b.count);
    double const difference = of_a.mean - of_b.mean;
    if (assumption == VarianceAssumption::equal) {
        double const pooled =
            (of_a.sum_squared_deviations + of_b.sum_squared_deviations) / (n_a + n_b - 2);
        return Contrast{difference, std::sqrt(pooled * (1 / n_a + 1 / n_b)), n_a + n_b - 2};
    }
    double const part_a = *variance_a / n_a;
    double const part_b = *variance_b / n_b;
    double const satterthwaite = (part_a + part_b) * (part_a + part_b) /
                                 (part_a * part_a / (n_a - 1) + part_b * part_b / (n_b - 1));
    return Contrast{difference, std::sqrt(part_a + part_b), satterthwaite};
}

TTest without_p(Contrast const& c, double hypothesis) {
    return {
        .statistic = (c.difference - hypothesis) / c.standard_error,
        .degrees_of_freedom = c.degrees_of_freedom,
        .p_value = 1,
        .difference = c.difference - hypothesis,
        .standard_error = c.standard_error,
    };
}

TTest two_sided(Contrast const& c, double hypothesis) {
    auto test = without_p(c, hypothesis);
    test.p_value =
        std::min(1.0, 2 * student_t_survival(std::abs(test.statistic), test.degrees_of_freedom));
    return test;
}

EquivalenceTest two_one_sided(Contrast const& c, double lower, double upper, double alpha) {
    if (!(lower < upper)) throw std::invalid_argument{"equivalence margins must be lower < upper"};
    EquivalenceTest result{
        .against_lower = without_p(c, lower),
        .against_upper = without_p(c, upper),
        .p_value = 1,
        .mean = c.difference,
        .interval = {},
    };
    result.against_lower.p_value =
        student_t_survival(result.against_lower.statistic, c.degrees_of_freedom);
    result.against_upper.p_value =
        student_t_cdf(result.against_upper.statistic, c.degrees_of_freedom);
    result.p_value = std::max(result.against_lower.p_value, result.against_upper.p_value);
    double const reach = student_t_quantile(1 - alpha, c.degrees_of_freedom) * c.standard_error;
    result.interval = {.lower = c.difference - reach, .upper = c.difference + reach};
    return result;
}

}  // namespace

std::optional<TTest> one_sample_t_test(std::span<double const> values, double hypothesised_mean) {
    auto const c = contrast_to_zero(values);
    if (!c) return std::nullopt;
    return two_sided(*c, hypothesised_mean);
}

std::optional<TTest> two_sample_t_test(std::span<double const> a, std::span<double const> b,
                                       VarianceAssumption assumption) {
    auto const c = contrast(a, b, assumption);
    if (!c) return std::nullopt;
    return two_sided(*c, 0);
}

std::optional<EquivalenceTest> equivalence_test(std::span<double const> values, double lower,
                                                double upper, double alpha) {
    auto const c = contrast_to_zero(values);
    if (!c) return std::nullopt;
    return two_one_sided(*c, lower, upper, alpha);
}

std::optional<EquivalenceTest> equivalence_test(std::span<double const> a,
                                                std::span<double const> b, double lower,
                                                double upper, double alpha) {
    auto const c = contrast(a, b, VarianceAssumption::unequal);
    if (!c) return std::nullopt;
    return two_one_sided(*c, lower, upper, alpha);
}

std::optional<OneWayAnalysisOfVariance> one_way_analysis_of_variance(
    std::span<SampleSummary const> groups) {
    SampleSummary all;
    double within = 0;
    for (auto const& group : groups) {
        all = merge(all, group);
        within += group.sum_squared_deviations;
    }
    auto const k = static_cast<double>(groups.size());
    auto const n = static_cast<double>(all.count);
    if (groups.size() < 2 || n <= k || !(within > 0)) return std::nullopt;
    OneWayAnalysisOfVariance test{.degrees_of_freedom_between = k - 1,
                                  .degrees_of_freedom_within = n - k};
    double const between = std::max(0.0, all.sum_squared_deviations - within);
    test.statistic = (between / (k - 1)) / (within / (n - k));
    test.p_value = fisher_f_survival(test.statistic, k - 1, n - k);
    return test;
}

}  // namespace derate
