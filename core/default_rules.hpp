#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/hardware.hpp"

namespace derate {

/// What is assumed of one operation type on hardware that nobody has timed.
///
/// median time = kernel_seconds * nodes + F / (compute_efficiency * peak) +
///               B / (bandwidth_efficiency * bandwidth)
struct DefaultRule {
    double compute_efficiency = 0;    ///< fraction of peak, > 0
    double bandwidth_efficiency = 0;  ///< fraction of peak, > 0
    double kernel_seconds = 0;        ///< per node, > 0
    double log_variance = 0;          ///< of log(measured / predicted) of one kernel, > 0

    friend bool operator==(DefaultRule const&, DefaultRule const&) = default;
};

/// The conservative default of one kind of device: wide on purpose, relative to the peaks that the
/// hardware states, and to `fallback_*` where it states none.
struct DefaultRules {
    std::map<std::string, DefaultRule>
        rules;                          ///< by operation type or parent type; "any" must exist
    double same_type_correlation = 0;   ///< of kernels' log errors, 0 to 1
    double cross_type_correlation = 0;  ///< 0 to 1
    double model_log_variance = 0;      ///< whole-model term, >= 0
    double degrees_of_freedom = 0;      ///< of the t quantile, >= 1
    double t_quantile = 0;              ///< 0.975 quantile of Student's t at these, > 0
    std::vector<ComputePeak> fallback_compute_peaks;
    std::optional<PeakRate> fallback_bandwidth_peak;
};

}  // namespace derate
