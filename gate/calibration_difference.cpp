#include "gate/calibration_difference.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace derate {
namespace {

std::map<std::string, EfficiencyCurve const*> by_key(Calibration const& calibration) {
    std::map<std::string, EfficiencyCurve const*> curves;
    for (auto const& curve : calibration.curves) curves[curve_key(curve)] = &curve;
    return curves;
}

std::string joined(std::vector<std::string> const& names) {
    std::string line;
    for (auto const& name : names) line += (line.empty() ? "" : ", ") + name;
    return line;
}

std::vector<std::string> missing_from(std::vector<std::string> const& some,
                                      std::vector<std::string> const& all) {
    std::set<std::string> const known(all.begin(), all.end());
    std::set<std::string> missing;
    for (auto const& name : some) {
        if (!known.contains(name)) missing.insert(name);
    }
    return {missing.begin(), missing.end()};
}

template <class Value>
void add_if_changed(std::vector<std::string>& lines, char const* what, Value const& before,
                    Value const& after) {
    if (before == after) return;
    lines.push_back(std::string{what} + ": " + before + " -> " + after);
}

/// Efficiency in the middle of what both curves saw, by their data points.
std::optional<double> typical_efficiency(EfficiencyCurve const& curve) {
    if (curve.data_points.empty()) return std::nullopt;
    double sum = 0;
    for (auto const& point : curve.data_points) sum += std::log(point.efficiency_mean);
    return std::exp(sum / static_cast<double>(curve.data_points.size()));
}

std::string observations(EfficiencyCurve const& curve) {
    std::int64_t count = 0;
    for (auto const& point : curve.data_points) count += point.num_observations;
    return std::to_string(count);
}

void compare_curves(std::vector<std::string>& lines, Calibration const& before,
                    Calibration const& after) {
    auto const was = by_key(before);
    auto const is = by_key(after);
    for (auto const& [key, curve] : is) {
        if (!was.contains(key)) lines.push_back("curve " + key + ": new");
    }
    for (auto const& [key, curve] : was) {
        if (!is.contains(key)) {
            lines.push_back("curve " + key + ": gone");
            continue;
        }
        auto const& other = *is.at(key);
        auto const old_efficiency = typical_efficiency(*curve);
        auto const new_efficiency = typical_efficiency(other);
        std::string line;
        if (old_efficiency && new_efficiency) {
            double const change = 100 * (*new_efficiency / *old_efficiency - 1);
            if (std::abs(change) >= 0.5) {
                line += fmt::format(" efficiency {:.3f} -> {:.3f} ({:+.1f} %)", *old_efficiency,
                                    *new_efficiency, change);
            }
        }
        if (curve->log_variance && other.log_variance) {
            double const old_deviation = 100 * std::sqrt(*curve->log_variance);
            double const new_deviation = 100 * std::sqrt(*other.log_variance);
            if (std::abs(new_deviation - old_deviation) >= 0.5) {
                line +=
                    fmt::format(" kernel error {:.1f} % -> {:.1f} %", old_deviation, new_deviation);
            }
        }
        if (observations(*curve) != observations(other)) {
            line += " observations " + observations(*curve) + " -> " + observations(other);
        }
        if (!line.empty()) lines.push_back("curve " + key + ":" + line);
    }
}

}  // namespace

std::vector<std::string> differences(Calibration const& before, Calibration const& after) {
    std::vector<std::string> lines;
    add_if_changed(lines, "source", std::string{to_string(before.source)},
                   std::string{to_string(after.source)});
    add_if_changed(lines, "date", days_of(before.provenance), days_of(after.provenance));
    add_if_changed(lines, "tool", before.provenance.tool_version, after.provenance.tool_version);
    add_if_changed(lines, "environment", before.provenance.environment_hash.value_or("unknown"),
                   after.provenance.environment_hash.value_or("unknown"));
    add_if_changed(lines, "trust grade", before.provenance.trust_grade.value_or("unknown"),
                   after.provenance.trust_grade.value_or("unknown"));
    add_if_changed(lines, "partition", before.condition.partition, after.condition.partition);
    add_if_changed(lines, "samples", std::to_string(before.provenance.num_samples),
                   std::to_string(after.provenance.num_samples));
    auto const& old_models = before.provenance.models_used;
    auto const& new_models = after.provenance.models_used;
    if (auto const gone = missing_from(old_models, new_models); !gone.empty()) {
        lines.push_back("models no longer used: " + joined(gone));
    }
    if (auto const added = missing_from(new_models, old_models); !added.empty()) {
        lines.push_back("models added: " + joined(added));
    }
    for (auto const& claim : after.claims) {
        auto const old_claim =
            std::ranges::find(before.claims, claim.leave_out, &ValidationClaim::leave_out);
        auto line = "leaving out each " + claim.leave_out + ": MAPE ";
        if (old_claim != before.claims.end())
            line += fmt::format("{:.1f} % -> ", old_claim->mape_percent);
        line += fmt::format("{:.1f} %, bias {:+.1f} %", claim.mape_percent, claim.bias_percent);
        if (claim.coverage_95) line += fmt::format(", coverage {:.0f} %", 100 * *claim.coverage_95);
        lines.push_back(line);
    }
    if (std::abs(after.context.factor - before.context.factor) >= 0.001) {
        lines.push_back(fmt::format("context factor: {:.3f} -> {:.3f}", before.context.factor,
                                    after.context.factor));
    }
    if (after.context.operator_seconds != before.context.operator_seconds) {
        lines.push_back(fmt::format("inside a model an operator costs {:.2f} us more, not {:.2f}",
                                    1e6 * after.context.operator_seconds,
                                    1e6 * before.context.operator_seconds));
    }
    compare_curves(lines, before, after);
    return lines;
}

}  // namespace derate
