#include "core/statistics/bootstrap.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>

#include "core/statistics/quantiles.hpp"

namespace derate {
namespace {

/// Uniform on 0 ... count - 1. std::uniform_int_distribution may differ between libraries, and a
/// recorded seed must give the same draws everywhere.
std::size_t draw_index(std::mt19937_64& generator, std::size_t count) {
    constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t const limit = largest - largest % count;
    std::uint64_t drawn = generator();
    while (drawn >= limit) drawn = generator();
    return static_cast<std::size_t>(drawn % count);
}

}  // namespace

std::vector<double> cluster_bootstrap(
    std::span<int const> cluster_of,
    std::function<double(std::span<std::size_t const> drawn)> const& statistic,
    BootstrapPlan const& plan) {
    if (cluster_of.empty()) throw std::invalid_argument{"a bootstrap needs an observation"};
    std::map<int, std::vector<std::size_t>> members;
    for (std::size_t i = 0; i < cluster_of.size(); ++i) members[cluster_of[i]].push_back(i);
    std::vector<std::vector<std::size_t>> clusters;
    for (auto& [label, indices] : members) clusters.push_back(std::move(indices));

    std::mt19937_64 generator{plan.seed};
    std::vector<double> replicates;
    replicates.reserve(static_cast<std::size_t>(plan.replicates));
    std::vector<std::size_t> drawn;
    for (int r = 0; r < plan.replicates; ++r) {
        drawn.clear();
        for (std::size_t c = 0; c < clusters.size(); ++c) {
            auto const& cluster = clusters[draw_index(generator, clusters.size())];
            drawn.insert(drawn.end(), cluster.begin(), cluster.end());
        }
        replicates.push_back(statistic(drawn));
    }
    std::ranges::sort(replicates);
    return replicates;
}

Interval percentile_interval(std::span<double const> sorted_replicates, double confidence) {
    double const tail = (1 - confidence) / 2;
    return {.lower = quantile_of_sorted(sorted_replicates, tail),
            .upper = quantile_of_sorted(sorted_replicates, 1 - tail)};
}

}  // namespace derate
