#include "statistics/normality.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <numbers>
#include <vector>

#include "statistics/distributions.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

std::vector<double> sorted(std::span<double const> values) {
    std::vector<double> copy(values.begin(), values.end());
    std::ranges::sort(copy);
    return copy;
}

/// Coefficients from the constant upwards.
double polynomial(std::initializer_list<double> coefficients, double x) {
    double sum = 0;
    for (auto c = std::rbegin(coefficients); c != std::rend(coefficients); ++c) sum = sum * x + *c;
    return sum;
}

/// Royston's weights of the upper half of the order statistics, largest first; antisymmetric.
std::vector<double> royston_weights(std::size_t n) {
    std::size_t const half = n / 2;
    if (n == 3) return {std::numbers::sqrt2 / 2};

    std::vector<double> scores(half);  // expected normal order statistics (Blom), largest first
    double sum_of_squares = 0;
    for (std::size_t i = 0; i < half; ++i) {
        scores[i] =
            -normal_quantile((static_cast<double>(i) + 0.625) / (static_cast<double>(n) + 0.25));
        sum_of_squares += 2 * scores[i] * scores[i];
    }
    double const length = std::sqrt(sum_of_squares);
    double const u = 1 / std::sqrt(static_cast<double>(n));
    double const first = scores[0] / length +
                         polynomial({0, 0.221157, -0.147981, -2.071190, 4.434685, -2.706056}, u);
    std::vector<double> weights(half);
    std::size_t corrected = 1;
    double remaining = sum_of_squares - 2 * scores[0] * scores[0];
    double given = 1 - 2 * first * first;
    weights[0] = first;
    if (n > 5) {
        double const second =
            scores[1] / length +
            polynomial({0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633}, u);
        weights[1] = second;
        corrected = 2;
        remaining -= 2 * scores[1] * scores[1];
        given -= 2 * second * second;
    }
    double const scale = std::sqrt(remaining / given);
    for (std::size_t i = corrected; i < half; ++i) weights[i] = scores[i] / scale;
    return weights;
}

double royston_p_value(double w, double n) {
    if (n == 3) {
        double const p =
            6 / std::numbers::pi * (std::asin(std::sqrt(w)) - std::asin(std::sqrt(0.75)));
        return std::clamp(p, 0.0, 1.0);
    }
    double const log_distance = std::log1p(-w);
    if (n <= 11) {
        double const gamma = polynomial({-2.273, 0.459}, n);
        if (log_distance >= gamma) return 0;
        double const mean = polynomial({0.5440, -0.39978, 0.025054, -0.0006714}, n);
        double const deviation = std::exp(polynomial({1.3822, -0.77857, 0.062767, -0.0020322}, n));
        return normal_survival((-std::log(gamma - log_distance) - mean) / deviation);
    }
    double const log_n = std::log(n);
    double const mean = polynomial({-1.5861, -0.31082, -0.083751, 0.0038915}, log_n);
    double const deviation = std::exp(polynomial({-0.4803, -0.082676, 0.0030302}, log_n));
    return normal_survival((log_distance - mean) / deviation);
}

double stephens_p_value(double a) {
    if (a >= 13) return 0;  // beyond it the last parabola turns upwards again
    if (a >= 0.6) return std::exp(1.2937 - 5.709 * a + 0.0186 * a * a);
    if (a >= 0.34) return std::exp(0.9177 - 4.279 * a - 1.38 * a * a);
    if (a >= 0.2) return 1 - std::exp(-8.318 + 42.796 * a - 59.938 * a * a);
    return 1 - std::exp(-13.436 + 101.14 * a - 223.73 * a * a);
}

}  // namespace

std::optional<ShapiroWilk> shapiro_wilk(std::span<double const> values) {
    if (values.size() < 3 || values.size() > 5000) return std::nullopt;
    auto const x = sorted(values);
    if (!(x.back() > x.front())) return std::nullopt;

    auto const weights = royston_weights(x.size());
    double contrast = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        contrast += weights[i] * (x[x.size() - 1 - i] - x[i]);
    }
    double const squares = summarize(x).sum_squared_deviations;
    double const w = std::min(1.0, contrast * contrast / squares);
    return ShapiroWilk{.w = w, .p_value = royston_p_value(w, static_cast<double>(x.size()))};
}

std::optional<AndersonDarling> anderson_darling_normal(std::span<double const> values) {
    if (values.size() < 8) return std::nullopt;
    auto const x = sorted(values);
    if (!(x.back() > x.front())) return std::nullopt;

    auto const summary = summarize(x);
    double const deviation = std::sqrt(*summary.variance());
    auto const n = static_cast<double>(x.size());
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        double const z_low = (x[i] - summary.mean) / deviation;
        double const z_high = (x[x.size() - 1 - i] - summary.mean) / deviation;
        sum += static_cast<double>(2 * i + 1) *
               (std::log(normal_cdf(z_low)) + std::log(normal_survival(z_high)));
    }
    double const a_squared = -n - sum / n;
    double const adjusted = a_squared * (1 + 0.75 / n + 2.25 / (n * n));
    return AndersonDarling{
        .a_squared = a_squared,
        .adjusted_a_squared = adjusted,
        .p_value = stephens_p_value(adjusted),
    };
}

}  // namespace derate
