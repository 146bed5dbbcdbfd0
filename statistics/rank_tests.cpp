#include "statistics/rank_tests.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "statistics/distributions.hpp"

namespace derate {
namespace {

constexpr std::size_t largest_exact_sample = 20;

/// P(U >= u) under the null without ties: the number of ways to choose which ranks are a's, by the
/// recurrence N(u; m, n) = N(u - n; m - 1, n) + N(u; m, n - 1).
double exact_upper_tail(std::size_t m, std::size_t n, std::size_t u) {
    std::size_t const largest = m * n;
    // ways[i][v]: arrangements of i values of a among the first j values of b with U = v
    std::vector<std::vector<double>> ways(m + 1, std::vector<double>(largest + 1, 0.0));
    for (auto& row : ways) row[0] = 1;
    for (std::size_t j = 1; j <= n; ++j) {
        for (std::size_t i = 1; i <= m; ++i) {
            for (std::size_t v = j; v <= largest; ++v) ways[i][v] += ways[i - 1][v - j];
        }
    }
    double all = 0;
    double tail = 0;
    for (std::size_t v = 0; v <= largest; ++v) {
        all += ways[m][v];
        if (v >= u) tail += ways[m][v];
    }
    return tail / all;
}

}  // namespace

std::optional<MannWhitney> mann_whitney_u(std::span<double const> a, std::span<double const> b) {
    if (a.empty() || b.empty()) return std::nullopt;
    std::vector<double> pooled(a.begin(), a.end());
    pooled.insert(pooled.end(), b.begin(), b.end());
    std::ranges::sort(pooled);
    if (pooled.front() == pooled.back()) return std::nullopt;

    double rank_sum = 0;
    for (double const x : a) {
        auto const [first, last] = std::ranges::equal_range(pooled, x);
        auto const below = static_cast<double>(first - pooled.begin());
        auto const alike = static_cast<double>(last - first);
        rank_sum += below + (alike + 1) / 2;
    }
    double tie_term = 0;  // sum of t^3 - t over groups of t equal values
    for (auto first = pooled.cbegin(); first != pooled.cend();) {
        auto const last = std::upper_bound(first, pooled.cend(), *first);
        auto const t = static_cast<double>(last - first);
        tie_term += t * t * t - t;
        first = last;
    }

    auto const n_a = static_cast<double>(a.size());
    auto const n_b = static_cast<double>(b.size());
    double const n = n_a + n_b;
    MannWhitney result;
    result.u = rank_sum - n_a * (n_a + 1) / 2;
    result.probability_of_superiority = result.u / (n_a * n_b);
    double const larger_u = std::max(result.u, n_a * n_b - result.u);
    if (tie_term == 0 && a.size() <= largest_exact_sample && b.size() <= largest_exact_sample) {
        result.exact = true;
        result.p_value = std::min(
            1.0, 2 * exact_upper_tail(a.size(), b.size(), static_cast<std::size_t>(larger_u)));
    } else {
        double const deviation = std::sqrt(n_a * n_b / 12 * ((n + 1) - tie_term / (n * (n - 1))));
        double const z = (larger_u - n_a * n_b / 2 - 0.5) / deviation;
        result.p_value = std::min(1.0, 2 * normal_survival(z));
    }
    return result;
}

}  // namespace derate
