#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/calibration.hpp"

namespace derate {

/// What limits a kernel by the roofline: the slanted roof (bytes over peak bandwidth) or the flat
/// one (FLOPs over peak FLOP/s), whichever leaves less; overhead where the cost of each operator
/// takes most of the kernel's time.
enum class Bound { compute, memory, overhead };

[[nodiscard]] std::string_view to_string(Bound bound);

/// Farther off than this either way, an interval tells nothing: it is called "not known".
inline constexpr double most_spread = 10;

/// Latency of a model with its 95 % prediction interval.
///
/// The total is a sum of means; its logarithm is taken as t-distributed with variance
/// `log_variance` (docs/uncertainty.md).
struct LatencyEstimate {
    double latency_ms = 0;
    double latency_std_ms = 0;  ///< latency * sqrt(exp(log_variance) - 1)
    double ci_95_lower_ms = 0;
    double ci_95_upper_ms = 0;
    /// Diagnostic: as if kernels' errors were independent. Too narrow.
    double ci_95_independent_lower_ms = 0;
    double ci_95_independent_upper_ms = 0;
    double log_variance = 0;
    double degrees_of_freedom = 1;
    /// Work over (latency * peak); empty where the peak is unknown or the model has no FLOPs.
    std::optional<double> efficiency_used;
    std::optional<double> efficiency_std;
    int extrapolated_subgraphs = 0;  ///< outside the range their curve was fitted on
    int unseen_regimes = 0;          ///< subgraphs of a kind no calibration case shows
    bool foreign_partition = false;  ///< the curves were fitted on another partition's subgraphs

    [[nodiscard]] bool extrapolated() const { return extrapolated_subgraphs > 0; }
};

/// One subgraph's part of an estimate.
struct SubgraphEstimate {
    int subgraph_id = 0;
    double latency_ms = 0;  ///< mean, with the context factor
    double latency_std_ms = 0;
    double log_variance = 0;  ///< of this kernel alone
    /// Its own 95 % prediction interval is latency / spread to latency * spread: that of a model of
    /// this kernel alone. Empty where nothing is known of it.
    std::optional<double> spread;
    /// Its part, with all that it has in common with others, of the model's log variance. What all
    /// kernels share (context factor, another partition) is nobody's.
    std::optional<double> variance_share;
    double roofline_ms =
        0;  ///< the explainable curve's part of the median, before the residual model
    double residual_factor = 1;  ///< the residual model's factor on the median; 1 without one
    std::optional<double>
        efficiency_used;  ///< of peak FLOP/s, or of peak bandwidth for zero-FLOP kernels
    std::optional<double> efficiency_std;
    CurveSource source = CurveSource::measured;
    std::string curve;           ///< the curve that priced it: type, "type|0", parent or "device"
    std::optional<Bound> bound;  ///< empty where it depends on a peak that is unknown
    bool extrapolated = false;
    bool by_parent = false;                    ///< its type has no curve of its own
    std::optional<std::string> unseen_regime;  ///< what no calibration case shows, in words
    double unseen_share = 0;                   ///< of its time
};

}  // namespace derate
