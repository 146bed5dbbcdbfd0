#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/legacy_rules.hpp"
#include "core/precision.hpp"
#include "core/subgraph.hpp"

namespace derate {

/// What the legacy estimator says of one subgraph. Its spread is unknown.
struct LegacyLatency {
    double latency_ms = 0;
    double compute_ms = 0;   ///< after correction
    double memory_ms = 0;    ///< after correction
    double overhead_ms = 0;  ///< added to the greater of the two
    double compute_scale = 0;
    double bandwidth_scale = 0;
    std::string compute_scale_id;    ///< of LegacyRules::compute_scales
    std::string bandwidth_scale_id;  ///< of LegacyRules::bandwidth_scales
};

/// The two rates that the legacy scales multiply.
struct LegacyRoof {
    double flops_per_second = 0;  ///< derated, > 0
    double bytes_per_second = 0;  ///< > 0

    friend bool operator==(LegacyRoof const&, LegacyRoof const&) = default;
};

/// The rates for `precision` in the rules' served profile.
///
/// \return empty where the rules hold none for this precision
[[nodiscard]] std::optional<LegacyRoof> legacy_roof(LegacyRules const& rules, Precision precision);

/// Latency of one subgraph as the legacy estimator computes it, jumps at the segments' ends and
/// all: max(flops / (rate * compute_scale), bytes / (bandwidth * bandwidth_scale)) * correction
/// + overhead.
///
/// \param partition  of the subgraph: decides how operator names are read
/// \throws std::invalid_argument  a rate is not positive, or no scale of the rules applies
[[nodiscard]] LegacyLatency legacy_latency(LegacyRules const& rules, Subgraph const& subgraph,
                                           LegacyRoof const& roof, std::string_view partition);

/// Value of a scale at `work` (FLOPs or bytes).
///
/// \return empty where no segment holds `work`
[[nodiscard]] std::optional<double> scale_at(LegacyScale const& scale, double work);

}  // namespace derate
