#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "campaign/samples.hpp"

namespace derate {

/// How steady the host was over a session, as one drift probe saw it.
struct DriftOfProbe {
    std::string probe;
    int samples = 0;
    double median_ms = 0;
    /// Change of the fitted straight line from the first to the last sample over the median;
    /// signed.
    double relative_trend = 0;
    /// (95 % quantile - 5 % quantile) / median: single interruptions do not count, phases do.
    double relative_range = 0;
    bool drifted = false;  ///< beyond either limit
};

inline constexpr double drift_trend_limit = 0.03;
inline constexpr double drift_range_limit = 0.10;

/// The slope is Theil and Sen's (median of pairwise slopes): one slow visit does not tilt it.
/// \return  one entry a probe with four samples or more
/// Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968).
[[nodiscard]] std::vector<DriftOfProbe> analyse_drift(
    std::map<std::string, std::vector<DriftSample>> const& series);

}  // namespace derate
