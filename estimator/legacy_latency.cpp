#include "estimator/legacy_latency.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <span>
#include <stdexcept>
#include <vector>

#include "core/quantity.hpp"

namespace derate {
namespace {

std::string lower_case(std::string_view text) {
    std::string lower{text};
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return lower;
}

std::optional<double> attribute(SubgraphNode const& node, char const* name) {
    auto const found = node.attributes.find(name);
    if (found == node.attributes.end()) return std::nullopt;
    if (auto const* number = std::get_if<double>(&found->second)) return *number;
    return std::nullopt;
}

bool has_kernel_of_one(SubgraphNode const& node) {
    auto const found = node.attributes.find("kernel");
    if (found == node.attributes.end()) return false;
    if (auto const* size = std::get_if<double>(&found->second)) return *size == 1;
    auto const* sizes = std::get_if<std::vector<double>>(&found->second);
    return sizes != nullptr && *sizes == std::vector<double>{1, 1};
}

std::string operator_type(std::map<std::string, std::string> const& types,
                          SubgraphNode const& node) {
    auto const found = types.find(node.op);
    if (found == types.end()) return "UNKNOWN";
    if (found->second != "CONV2D") return found->second;
    auto const groups = attribute(node, "groups").value_or(1);
    if (groups > 1 && groups == attribute(node, "in_channels")) return "CONV2D_DEPTHWISE";
    return has_kernel_of_one(node) ? "CONV2D_POINTWISE" : "CONV2D";
}

/// A subgraph as the legacy rules see it: strings in lower case, and two numbers.
struct Traits {
    std::vector<std::string> op_types;
    std::string pattern;
    std::vector<std::string> node_names;
    double flops = 0;
    double bytes = 0;
};

Traits traits_of(LegacyRules const& rules, Subgraph const& subgraph, std::string_view partition) {
    static std::map<std::string, std::string> const no_types;
    auto types = rules.operator_types.find(std::string{partition});
    if (types == rules.operator_types.end()) types = rules.operator_types.find("foreign");
    auto const& names = types == rules.operator_types.end() ? no_types : types->second;

    Traits traits{.pattern = lower_case(subgraph.fusion_pattern),
                  .flops = subgraph.work.value(),
                  .bytes = subgraph.traffic.total().value()};
    for (auto const& node : subgraph.nodes) {
        traits.op_types.push_back(lower_case(operator_type(names, node)));
        traits.node_names.push_back(lower_case(node.name));
    }
    return traits;
}

bool contains_any(std::string_view text, std::vector<std::string> const& parts) {
    return std::ranges::any_of(parts, [&](std::string const& part) {
        return text.find(lower_case(part)) != std::string_view::npos;
    });
}

bool holds(LegacyFeature const& feature, Traits const& traits) {
    for (auto const& type : traits.op_types) {
        if (contains_any(type, feature.op_type_contains)) return true;
        for (auto const& wanted : feature.op_type_is) {
            if (lower_case(wanted) == type) return true;
        }
    }
    for (auto const& name : traits.node_names) {
        if (contains_any(name, feature.any_node_contains)) return true;
    }
    return contains_any(traits.pattern, feature.pattern_contains) ||
           (!traits.node_names.empty() &&
            contains_any(traits.node_names.front(), feature.first_node_contains));
}

bool holds(LegacyCondition const& condition, LegacyRules const& rules, Traits const& traits) {
    auto const feature_holds = [&](std::string const& name) {
        auto const found = rules.features.find(name);
        return found != rules.features.end() && holds(found->second, traits);
    };
    return std::ranges::all_of(condition.all_of, feature_holds) &&
           std::ranges::none_of(condition.none_of, feature_holds) &&
           (condition.any_of.empty() || std::ranges::any_of(condition.any_of, feature_holds)) &&
           (!condition.flops_below || traits.flops < *condition.flops_below) &&
           (!condition.flops_at_most || traits.flops <= *condition.flops_at_most) &&
           (!condition.bytes_at_most || traits.bytes <= *condition.bytes_at_most);
}

struct ChosenScale {
    LegacyScale const* scale;
    double value;
};

ChosenScale choose(std::span<LegacyScale const> scales, LegacyRules const& rules,
                   Traits const& traits, double work) {
    for (auto const& scale : scales) {
        if (!holds(scale.when, rules, traits)) continue;
        if (auto const value = scale_at(scale, work)) return {&scale, *value};
    }
    throw std::invalid_argument{"no legacy scale applies to the subgraph"};
}

double overhead_us(LegacyRules const& rules, Traits const& traits) {
    double overhead = 0;
    for (auto const& rule : rules.overheads) {
        if (!holds(rule.when, rules, traits)) continue;
        for (auto const& entry : rule.cases) {
            if (!holds(entry.when, rules, traits)) continue;
            overhead = rule.action == LegacyOverheadRule::Action::set
                           ? entry.microseconds
                           : std::max(overhead, entry.microseconds);
            break;
        }
    }
    return overhead;
}

double correction(LegacyRules const& rules, Traits const& traits) {
    for (auto const& entry : rules.corrections) {
        if (holds(entry.when, rules, traits)) return entry.factor;
    }
    return 1;
}

}  // namespace

std::optional<LegacyRoof> legacy_roof(LegacyRules const& rules, Precision precision) {
    if (!rules.bytes_per_second) return std::nullopt;
    for (auto const& rate : rules.rates) {
        if (rate.profile == rules.served_profile && rate.precision == precision) {
            return LegacyRoof{.flops_per_second = rate.flops_per_second,
                              .bytes_per_second = *rules.bytes_per_second};
        }
    }
    return std::nullopt;
}

std::optional<double> scale_at(LegacyScale const& scale, double work) {
    for (auto const& segment : scale.segments) {
        if (segment.lower && work < *segment.lower) continue;
        if (segment.upper && !(work < *segment.upper)) continue;
        // The original computes constants without a logarithm, and works of 0 have none.
        if (segment.start == segment.end) return segment.start * segment.multiplier;
        double const t =
            std::clamp((std::log10(work) - segment.origin_log10) / segment.span_log10, 0.0, 1.0);
        return (segment.start + (segment.end - segment.start) * t) * segment.multiplier;
    }
    return std::nullopt;
}

LegacyLatency legacy_latency(LegacyRules const& rules, Subgraph const& subgraph,
                             LegacyRoof const& roof, std::string_view partition) {
    if (!(roof.flops_per_second > 0) || !(roof.bytes_per_second > 0)) {
        throw std::invalid_argument{"legacy rates must be positive"};
    }
    auto const traits = traits_of(rules, subgraph, partition);
    auto const compute = choose(rules.compute_scales, rules, traits, traits.flops);
    auto const bandwidth = choose(rules.bandwidth_scales, rules, traits, traits.bytes);
    constexpr double ms_per_us = 1e-3;
    double const factor = correction(rules, traits) * ms_per_second;

    LegacyLatency latency{
        .latency_ms = 0,
        .compute_ms = traits.flops / (roof.flops_per_second * compute.value) * factor,
        .memory_ms = traits.bytes / (roof.bytes_per_second * bandwidth.value) * factor,
        .overhead_ms = overhead_us(rules, traits) * ms_per_us,
        .compute_scale = compute.value,
        .bandwidth_scale = bandwidth.value,
        .compute_scale_id = compute.scale->id,
        .bandwidth_scale_id = bandwidth.scale->id,
    };
    latency.latency_ms = std::max(latency.compute_ms, latency.memory_ms) + latency.overhead_ms;
    return latency;
}

}  // namespace derate
