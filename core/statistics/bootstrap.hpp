#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/statistics/interval.hpp"

namespace derate {

/// How a bootstrap was drawn; stored with its result, so that it can be drawn again bit for bit on
/// any machine.
struct BootstrapPlan {
    std::uint64_t seed = 20260101;
    int replicates = 4000;
};

/// A statistic recomputed on samples of whole clusters, drawn with replacement.
///
/// Observations of one cluster (models of one family) are not independent; drawing clusters keeps
/// what they share. As many clusters are drawn as there are, so a replicate's number of
/// observations varies. Few clusters make it optimistic: with fewer than about ten, widen
/// (docs/statistics.md).
///
/// \param cluster_of   cluster of each observation, any labels
/// \param statistic    of the drawn observations' indices (with repeats)
/// \return one value a replicate, ascending
/// Source: Davison, Hinkley, "Bootstrap Methods and their Application", CUP 1997, section 3.8.
[[nodiscard]] std::vector<double> cluster_bootstrap(
    std::span<int const> cluster_of,
    std::function<double(std::span<std::size_t const> drawn)> const& statistic,
    BootstrapPlan const& plan = {});

/// Percentile interval of a bootstrap's sorted replicates.
[[nodiscard]] Interval percentile_interval(std::span<double const> sorted_replicates,
                                           double confidence = 0.95);

/// Cluster labels (0, 1, ...) of names, in order of first appearance.
template <class Names>
[[nodiscard]] std::vector<int> cluster_labels(Names const& names) {
    std::vector<int> labels;
    std::vector<std::size_t> first;  // index of each label's first name
    for (std::size_t i = 0; i < names.size(); ++i) {
        int label = 0;
        while (label < static_cast<int>(first.size()) && names[first[label]] != names[i]) ++label;
        if (label == static_cast<int>(first.size())) first.push_back(i);
        labels.push_back(label);
    }
    return labels;
}

}  // namespace derate
