#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/precision.hpp"

namespace derate {

/// What the legacy estimator asks of a subgraph's strings. It holds when any entry of any list
/// matches; an empty feature never holds. Matching ignores case.
struct LegacyFeature {
    std::vector<std::string> op_type_is;           ///< legacy operator type of any node, whole
    std::vector<std::string> op_type_contains;     ///< part of any node's legacy operator type
    std::vector<std::string> pattern_contains;     ///< part of the fusion pattern
    std::vector<std::string> any_node_contains;    ///< part of any node's name
    std::vector<std::string> first_node_contains;  ///< part of the first node's name

    friend bool operator==(LegacyFeature const&, LegacyFeature const&) = default;
};

/// Holds when all its parts do; an empty condition always holds.
struct LegacyCondition {
    std::vector<std::string> all_of;   ///< names of features that hold
    std::vector<std::string> any_of;   ///< at least one of these holds, where any is named
    std::vector<std::string> none_of;  ///< names of features that do not hold
    std::optional<double> flops_below;
    std::optional<double> flops_at_most;
    std::optional<double> bytes_at_most;

    friend bool operator==(LegacyCondition const&, LegacyCondition const&) = default;
};

/// On [lower, upper): t = clamp((log10 x - origin_log10) / span_log10, 0, 1) and the scale is
/// (start + (end - start) t) * multiplier. Origin and span are the original's rounded literals, so
/// that a segment's ends need not meet its neighbours'.
struct LegacySegment {
    std::optional<double> lower;  ///< empty: open
    std::optional<double> upper;  ///< empty: open
    double start = 0;             ///< > 0
    double end = 0;               ///< > 0; equal to `start` where the scale is constant
    double origin_log10 = 0;
    double span_log10 = 1;  ///< > 0
    double multiplier = 1;  ///< > 0

    friend bool operator==(LegacySegment const&, LegacySegment const&) = default;
};

/// A scale that multiplies an effective rate, as a function of FLOPs (compute) or bytes
/// (bandwidth).
struct LegacyScale {
    std::string id;        ///< e.g. "gpu.compute.conv_bn"
    LegacyCondition when;  ///< of several scales the first whose condition holds applies
    std::vector<LegacySegment> segments;  ///< one or more, in increasing order, without gaps
    std::string cite;                     ///< lines of the original that state the numbers
    std::string stated_origin;            ///< what the original says they rest on; may be empty

    friend bool operator==(LegacyScale const&, LegacyScale const&) = default;
};

struct LegacyOverheadCase {
    LegacyCondition when;
    double microseconds = 0;  ///< >= 0

    friend bool operator==(LegacyOverheadCase const&, LegacyOverheadCase const&) = default;
};

/// One assignment in a sequence whose order matters.
struct LegacyOverheadRule {
    enum class Action { set, raise };  ///< `raise`: to at least the case's value

    Action action = Action::set;
    LegacyCondition when;
    std::vector<LegacyOverheadCase> cases;  ///< the first that holds applies; none: unchanged

    friend bool operator==(LegacyOverheadRule const&, LegacyOverheadRule const&) = default;
};

/// Factor on compute and memory time.
struct LegacyCorrection {
    LegacyCondition when;
    double factor = 1;  ///< > 0

    friend bool operator==(LegacyCorrection const&, LegacyCorrection const&) = default;
};

/// The already derated rate that the compute scales multiply:
/// sustained * efficiency_factor * tile_utilization * emulation_factor where those are known.
struct LegacyRate {
    std::string profile;  ///< thermal profile, e.g. "50W"
    Precision precision = Precision::fp32;
    double flops_per_second = 0;  ///< effective, > 0
    std::optional<double> sustained_flops_per_second;
    std::optional<double> efficiency_factor;
    std::optional<double> tile_utilization;
    std::optional<double> emulation_factor;  ///< below 1 where the precision is not native
    std::string note;                        ///< may be empty

    friend bool operator==(LegacyRate const&, LegacyRate const&) = default;
};

/// A number of the original that no latency depends on; kept because people look for it.
struct LegacyConstant {
    double value = 0;
    std::string meaning;  ///< with its unit
    std::string cite;

    friend bool operator==(LegacyConstant const&, LegacyConstant const&) = default;
};

/// Every hard-coded number and choice of the legacy estimator for one class of hardware, as data.
///
///     latency = max(flops / (rate * compute_scale), bytes / (bandwidth * bandwidth_scale))
///               * correction + overhead
///
/// The scales multiply rates that are derated already, so they may exceed 1 and are no fractions of
/// a peak. Nothing is known of their spread.
struct LegacyRules {
    std::string hardware_class;  ///< "GPU", "CPU", "TPU", "other"
    std::string served_profile;  ///< the thermal profile the curves were fitted at
    /// Peak of DRAM, > 0; the same in every profile. Empty where rules are of a class, not a
    /// device.
    std::optional<double> bytes_per_second;
    std::vector<LegacyRate> rates;
    std::map<std::string, LegacyFeature> features;  ///< by name
    std::vector<LegacyScale> compute_scales;        ///< tried in order
    std::vector<LegacyScale> bandwidth_scales;      ///< tried in order
    std::vector<LegacyOverheadRule> overheads;      ///< applied in order, starting from 0
    std::vector<LegacyCorrection> corrections;      ///< the first that holds applies; none: 1
    /// Legacy operator type of each operator name, for each partition; "foreign" for partitions not
    /// named. A name that is not listed is "UNKNOWN". "CONV2D" is refined by the node's attributes
    /// to "CONV2D_DEPTHWISE" (groups equal in_channels, above 1) or "CONV2D_POINTWISE" (kernel
    /// 1x1).
    std::map<std::string, std::map<std::string, std::string>> operator_types;
    std::map<std::string, LegacyConstant> constants;  ///< by name

    friend bool operator==(LegacyRules const&, LegacyRules const&) = default;
};

}  // namespace derate
