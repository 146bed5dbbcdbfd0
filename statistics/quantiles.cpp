#include "statistics/quantiles.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace derate {

double quantile_of_sorted(std::span<double const> sorted, double probability) {
    if (sorted.empty()) throw std::invalid_argument{"a quantile needs a value"};
    if (!(probability >= 0 && probability <= 1)) {
        throw std::invalid_argument{"a quantile's probability lies between 0 and 1"};
    }
    double const position = probability * static_cast<double>(sorted.size() - 1);
    auto const below = static_cast<std::size_t>(position);
    if (below + 1 >= sorted.size()) return sorted.back();
    return std::lerp(sorted[below], sorted[below + 1], position - static_cast<double>(below));
}

double quantile(std::span<double const> values, double probability) {
    std::vector<double> sorted(values.begin(), values.end());
    std::ranges::sort(sorted);
    return quantile_of_sorted(sorted, probability);
}

double expected_least_of_sorted(std::span<double const> sorted, std::size_t drawn) {
    auto const n = sorted.size();
    if (drawn < 1 || drawn > n) {
        throw std::invalid_argument{"a least is drawn of one value or more, of no more than there are"};
    }
    // The chance that the first is the least of those drawn is drawn / n; each further one has the
    // chance of the one before times that of the one before not to have been drawn.
    double chance = static_cast<double>(drawn) / static_cast<double>(n);
    double expected = 0;
    for (std::size_t i = 0; i + drawn <= n; ++i) {
        expected += chance * sorted[i];
        chance *= static_cast<double>(n - i - drawn) / static_cast<double>(n - i - 1);
    }
    return expected;
}

double median(std::span<double const> values) { return quantile(values, 0.5); }

double median_absolute_deviation(std::span<double const> values) {
    double const center = median(values);
    std::vector<double> distances;
    for (double const x : values) distances.push_back(std::abs(x - center));
    return median(distances);
}

std::optional<Interval> tukey_fences_of_log(std::span<double const> values, double multiplier) {
    if (values.size() < 4) return std::nullopt;
    std::vector<double> logs;
    for (double const x : values) {
        if (!(x > 0)) return std::nullopt;
        logs.push_back(std::log(x));
    }
    std::ranges::sort(logs);
    double const lower = quantile_of_sorted(logs, 0.25);
    double const upper = quantile_of_sorted(logs, 0.75);
    double const reach = multiplier * (upper - lower);
    return Interval{.lower = std::exp(lower - reach), .upper = std::exp(upper + reach)};
}

std::vector<std::size_t> outliers_of_log(std::span<double const> values, double multiplier) {
    std::vector<std::size_t> outside;
    auto const fences = tukey_fences_of_log(values, multiplier);
    if (!fences) return outside;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!fences->contains(values[i])) outside.push_back(i);
    }
    return outside;
}

}  // namespace derate
