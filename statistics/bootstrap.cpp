#include "statistics/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>

#include "statistics/distributions.hpp"
#include "statistics/quantiles.hpp"

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

double widening_for_few_clusters(int clusters, double confidence) {
    auto const g = static_cast<double>(clusters);
    double const probability = (1 + confidence) / 2;
    return std::sqrt(g / (g - 1)) * student_t_quantile(probability, g - 1) /
           normal_quantile(probability);
}

std::optional<ClusterMean> cluster_interval_of_mean(std::span<double const> values,
                                                    std::span<int const> cluster_of,
                                                    double confidence, BootstrapPlan const& plan) {
    if (values.size() != cluster_of.size()) {
        throw std::invalid_argument{"one cluster label per value"};
    }
    auto const clusters =
        static_cast<int>(std::set<int>(cluster_of.begin(), cluster_of.end()).size());
    if (clusters < 2) return std::nullopt;

    auto const mean_of = [&](std::span<std::size_t const> drawn) {
        double sum = 0;
        for (auto const i : drawn) sum += values[i];
        return sum / static_cast<double>(drawn.size());
    };
    double const mean =
        std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
    auto const percentiles =
        percentile_interval(cluster_bootstrap(cluster_of, mean_of, plan), confidence);
    double const widening = widening_for_few_clusters(clusters, confidence);
    return ClusterMean{
        .mean = mean,
        .interval = {.lower = mean - widening * (mean - percentiles.lower),
                     .upper = mean + widening * (percentiles.upper - mean)},
        .clusters = clusters,
    };
}

}  // namespace derate
