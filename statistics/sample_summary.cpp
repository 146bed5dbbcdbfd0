#include "statistics/sample_summary.hpp"

namespace derate {

std::optional<double> SampleSummary::variance() const {
    if (count < 2) return std::nullopt;
    return sum_squared_deviations / static_cast<double>(count - 1);
}

SampleSummary summarize(std::span<double const> observations) {
    SampleSummary all;
    for (double const x : observations) {
        all = merge(all, {.count = 1, .mean = x, .sum_squared_deviations = 0.0});
    }
    return all;
}

SampleSummary merge(SampleSummary const& a, SampleSummary const& b) {
    if (a.count == 0) return b;
    if (b.count == 0) return a;

    auto const n_a = static_cast<double>(a.count);
    auto const n_b = static_cast<double>(b.count);
    double const shift = b.mean - a.mean;
    return {
        .count = a.count + b.count,
        .mean = a.mean + shift * n_b / (n_a + n_b),
        .sum_squared_deviations = a.sum_squared_deviations + b.sum_squared_deviations +
                                  shift * shift * n_a * n_b / (n_a + n_b),
    };
}

}  // namespace derate
