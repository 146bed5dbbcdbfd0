#include "statistics/distribution_fit.hpp"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/lognormal.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/trigamma.hpp>
#include <cmath>
#include <numbers>

#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

constexpr double parameters = 2;

template <class Function>
double with_distribution(DistributionFit const& fit, Function const& function) {
    switch (fit.family) {
        case DistributionFamily::normal:
            return function(boost::math::normal_distribution<>{fit.first, fit.second});
        case DistributionFamily::log_normal:
            return function(boost::math::lognormal_distribution<>{fit.first, fit.second});
        case DistributionFamily::beta:
            break;
    }
    return function(boost::math::beta_distribution<>{fit.first, fit.second});
}

DistributionFit with_criteria(DistributionFamily family, double first, double second,
                              double log_likelihood, std::size_t count) {
    return {
        .family = family,
        .first = first,
        .second = second,
        .log_likelihood = log_likelihood,
        .aic = 2 * parameters - 2 * log_likelihood,
        .bic = parameters * std::log(static_cast<double>(count)) - 2 * log_likelihood,
    };
}

/// Log-likelihood of a normal sample at its own maximum.
double normal_log_likelihood(SampleSummary const& summary, double variance) {
    return -static_cast<double>(summary.count) / 2 *
           (std::log(2 * std::numbers::pi * variance) + 1);
}

double maximum_likelihood_variance(SampleSummary const& summary) {
    return summary.sum_squared_deviations / static_cast<double>(summary.count);
}

}  // namespace

std::string_view to_string(DistributionFamily family) {
    switch (family) {
        case DistributionFamily::normal:
            return "normal";
        case DistributionFamily::log_normal:
            return "log-normal";
        case DistributionFamily::beta:
            break;
    }
    return "beta";
}

double DistributionFit::density(double x) const {
    bool const inside = family == DistributionFamily::normal ||
                        (x > 0 && (family == DistributionFamily::log_normal || x < 1));
    if (!inside) return 0;
    return with_distribution(*this, [&](auto const& d) { return boost::math::pdf(d, x); });
}

double DistributionFit::quantile(double probability) const {
    return with_distribution(*this,
                             [&](auto const& d) { return boost::math::quantile(d, probability); });
}

std::optional<DistributionFit> fit_normal(std::span<double const> values) {
    auto const summary = summarize(values);
    double const variance = maximum_likelihood_variance(summary);
    if (summary.count < 2 || !(variance > 0)) return std::nullopt;
    return with_criteria(DistributionFamily::normal, summary.mean, std::sqrt(variance),
                         normal_log_likelihood(summary, variance), values.size());
}

std::optional<DistributionFit> fit_log_normal(std::span<double const> values) {
    if (!std::ranges::all_of(values, [](double x) { return x > 0; })) return std::nullopt;
    std::vector<double> logs;
    for (double const x : values) logs.push_back(std::log(x));
    auto const summary = summarize(logs);
    double const variance = maximum_likelihood_variance(summary);
    if (summary.count < 2 || !(variance > 0)) return std::nullopt;
    // The density of x has the factor 1/x that the density of log x has not.
    double const log_likelihood = normal_log_likelihood(summary, variance) -
                                  summary.mean * static_cast<double>(summary.count);
    return with_criteria(DistributionFamily::log_normal, summary.mean, std::sqrt(variance),
                         log_likelihood, values.size());
}

std::optional<DistributionFit> fit_beta(std::span<double const> values) {
    if (!std::ranges::all_of(values, [](double x) { return x > 0 && x < 1; })) return std::nullopt;
    auto const summary = summarize(values);
    double const variance = maximum_likelihood_variance(summary);
    if (summary.count < 2 || !(variance > 0)) return std::nullopt;

    auto const n = static_cast<double>(values.size());
    double mean_log = 0;
    double mean_log_complement = 0;
    for (double const x : values) {
        mean_log += std::log(x) / n;
        mean_log_complement += std::log1p(-x) / n;
    }
    auto const mean_log_likelihood = [&](double a, double b) {
        return (a - 1) * mean_log + (b - 1) * mean_log_complement + std::lgamma(a + b) -
               std::lgamma(a) - std::lgamma(b);
    };
    // Moment estimates to start from; the likelihood is concave, so damped Newton steps reach its
    // one maximum.
    double const concentration = std::max(summary.mean * (1 - summary.mean) / variance - 1, 0.1);
    double a = summary.mean * concentration;
    double b = (1 - summary.mean) * concentration;
    for (int iteration = 0; iteration < 200; ++iteration) {
        using boost::math::digamma;
        using boost::math::trigamma;
        double const gradient_a = mean_log - digamma(a) + digamma(a + b);
        double const gradient_b = mean_log_complement - digamma(b) + digamma(a + b);
        double const shared = trigamma(a + b);
        double const curvature_a = trigamma(a) - shared;
        double const curvature_b = trigamma(b) - shared;
        double const determinant = curvature_a * curvature_b - shared * shared;
        double const step_a = (curvature_b * gradient_a + shared * gradient_b) / determinant;
        double const step_b = (curvature_a * gradient_b + shared * gradient_a) / determinant;
        double const before = mean_log_likelihood(a, b);
        double scale = 1;
        while (scale > 1e-12 && (!(a + scale * step_a > 0) || !(b + scale * step_b > 0) ||
                                 mean_log_likelihood(a + scale * step_a, b + scale * step_b) <
                                     before - 1e-15 * std::abs(before))) {
            scale /= 2;
        }
        a += scale * step_a;
        b += scale * step_b;
        if (std::abs(step_a) < 1e-12 * a && std::abs(step_b) < 1e-12 * b) break;
    }
    return with_criteria(DistributionFamily::beta, a, b, n * mean_log_likelihood(a, b),
                         values.size());
}

std::vector<DistributionFit> fit_distributions(std::span<double const> values) {
    std::vector<DistributionFit> fits;
    for (auto const& fit : {fit_normal(values), fit_log_normal(values), fit_beta(values)}) {
        if (fit) fits.push_back(*fit);
    }
    std::ranges::stable_sort(fits, {}, &DistributionFit::aic);
    return fits;
}

}  // namespace derate
