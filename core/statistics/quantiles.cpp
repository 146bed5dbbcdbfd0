#include "core/statistics/quantiles.hpp"

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
