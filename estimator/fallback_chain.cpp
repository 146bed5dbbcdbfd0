#include "estimator/fallback_chain.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <stdexcept>

#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/quantity.hpp"
#include "estimator/default_calibration.hpp"

namespace derate {
namespace {

/// What one step contributes to the whole; logarithms of limits over the centre.
struct Part {
    double latency_ms = 0;
    double log_std = 0;
    double log_half_width = 0;
    double log_half_width_independent = 0;
};

Part part_of(LatencyEstimate const& estimate) {
    return {.latency_ms = estimate.latency_ms,
            .log_std = std::sqrt(estimate.log_variance),
            .log_half_width = std::log(estimate.ci_95_upper_ms / estimate.latency_ms),
            .log_half_width_independent =
                std::log(estimate.ci_95_independent_upper_ms / estimate.latency_ms)};
}

/// Sum of parts priced by different calibrations of one device. What is wrong with one of them is
/// likely wrong with the other, so widths add: the bound for full correlation.
LatencyEstimate combined(std::span<LatencyEstimate const> estimates) {
    LatencyEstimate total;
    double log_std = 0;
    double half_width = 0;
    double independent_squares = 0;
    total.degrees_of_freedom = estimates.front().degrees_of_freedom;
    for (auto const& estimate : estimates) {
        auto const part = part_of(estimate);
        total.latency_ms += part.latency_ms;
        log_std += part.latency_ms * part.log_std;
        half_width += part.latency_ms * part.log_half_width;
        double const independent = part.latency_ms * part.log_half_width_independent;
        independent_squares += independent * independent;
        total.degrees_of_freedom = std::min(total.degrees_of_freedom, estimate.degrees_of_freedom);
        total.extrapolated_subgraphs += estimate.extrapolated_subgraphs;
        total.unseen_regimes += estimate.unseen_regimes;
        total.foreign_partition = total.foreign_partition || estimate.foreign_partition;
    }
    log_std /= total.latency_ms;
    double const width = std::exp(half_width / total.latency_ms);
    double const independent = std::exp(std::sqrt(independent_squares) / total.latency_ms);
    total.log_variance = log_std * log_std;
    total.latency_std_ms = total.latency_ms * std::sqrt(std::expm1(total.log_variance));
    total.ci_95_lower_ms = total.latency_ms / width;
    total.ci_95_upper_ms = total.latency_ms * width;
    total.ci_95_independent_lower_ms = total.latency_ms / independent;
    total.ci_95_independent_upper_ms = total.latency_ms * independent;
    return total;
}

/// Widths of parts add, so a subgraph's share of its part's variance becomes that times the part's
/// share of the width.
void share_width(std::span<LatencyEstimate const> estimates,
                 std::span<std::vector<std::size_t> const> positions,
                 std::span<SubgraphEstimate> subgraphs) {
    double whole = 0;
    std::vector<double> widths;
    for (auto const& estimate : estimates) {
        widths.push_back(estimate.latency_ms * part_of(estimate).log_half_width);
        whole += widths.back();
    }
    for (std::size_t part = 0; part < positions.size(); ++part) {
        for (auto const i : positions[part]) {
            *subgraphs[i].variance_share *= whole > 0 ? widths[part] / whole : 0;
        }
    }
}

SubgraphEstimate priced_by_legacy(LegacyRules const& rules, LegacyRoof const& roof,
                                  Subgraph const& subgraph, std::string_view partition,
                                  std::optional<double> peak_flops) {
    auto const latency = legacy_latency(rules, subgraph, roof, partition);
    SubgraphEstimate estimate;
    estimate.subgraph_id = subgraph.id;
    estimate.latency_ms = latency.latency_ms;
    estimate.roofline_ms = latency.latency_ms;
    estimate.source = CurveSource::legacy_hardcoded;
    bool const is_compute = latency.compute_ms >= latency.memory_ms;
    estimate.curve = is_compute ? latency.compute_scale_id : latency.bandwidth_scale_id;
    estimate.bound = is_compute ? Bound::compute : Bound::memory;
    if (latency.overhead_ms > std::max(latency.compute_ms, latency.memory_ms)) {
        estimate.bound = Bound::overhead;
    }
    if (peak_flops && subgraph.work.value() > 0 && latency.latency_ms > 0) {
        estimate.efficiency_used =
            subgraph.work.value() * ms_per_second / (latency.latency_ms * *peak_flops);
    }
    return estimate;
}

// Where much is priced by other types' curves, whose spread is itself known badly, less is believed
// than `most_spread`.
constexpr double most_spread_by_parents = 3;
constexpr double much_by_parents = 0.2;  // of the latency

std::string percent(double fraction) {
    return std::to_string(static_cast<int>(std::lround(100 * fraction))) + " %";
}

/// What of the latency no calibration case shows, with names of its kinds.
struct Unseen {
    double share = 0;
    double by_parents = 0;
    std::set<std::string> kinds;
};

Unseen unseen_part(std::span<Subgraph const> subgraphs,
                   std::span<SubgraphEstimate const> estimates) {
    Unseen unseen;
    double total = 0;
    for (std::size_t i = 0; i < estimates.size(); ++i) {
        auto const& part = estimates[i];
        total += part.latency_ms;
        if (!part.by_parent && !part.unseen_regime) continue;
        unseen.share += part.by_parent ? part.latency_ms : part.unseen_share * part.latency_ms;
        if (part.by_parent) unseen.by_parents += part.latency_ms;
        unseen.kinds.insert(part.by_parent ? std::string{to_string(subgraphs[i].type)}
                                           : *part.unseen_regime);
    }
    if (total > 0) {
        unseen.share /= total;
        unseen.by_parents /= total;
    }
    return unseen;
}

std::string listed(std::set<std::string> const& names) {
    constexpr std::size_t most = 4;
    std::string text;
    std::size_t count = 0;
    for (auto const& name : names) {
        if (count == most) return text + ", ...";
        text += (count++ == 0 ? "" : ", ") + name;
    }
    return text;
}

/// Empty where the interval is of use.
std::string why_too_wide(LatencyEstimate const& total, Unseen const& unseen) {
    bool const by_parents = unseen.by_parents > much_by_parents;
    double const most = by_parents ? most_spread_by_parents : most_spread;
    // Written so that an infinite or undefined limit is too wide.
    if (total.ci_95_upper_ms <= most * total.latency_ms) return {};
    return "the time may be wrong by more than a factor of " +
           std::to_string(static_cast<int>(most)) + " either way";
}

/// Whether the curves' factor for whole models holds for tensors of that size.
bool exceeds_context(ContextFactor const& context, std::span<Subgraph const> subgraphs) {
    if (!context.largest_output_bytes) return false;
    return std::ranges::any_of(subgraphs, [&](Subgraph const& subgraph) {
        constexpr double alike = 1.01;  // files round it
        return subgraph.traffic.output.value() > alike * *context.largest_output_bytes;
    });
}

// Of a model nearer than a factor of two the wider interval says enough.
constexpr double least_told_distance = 0.7;

Warning small_model_warning(ContextFactor const& context, double model_bytes) {
    return {WarningCode::small_model,
            "the model moves " + format_bytes(Bytes{model_bytes}) +
                " in a run, the smallest that was calibrated on " +
                format_bytes(Bytes{*context.least_model_bytes}) +
                ": it may run from caches, in less time than this, and the interval is wider for "
                "that."};
}

std::string lower_case(std::string_view text) {
    std::string lower{text};
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return lower;
}

}  // namespace

bool FallbackChain::Step::prices(Subgraph const& subgraph) const {
    auto const* curves = std::get_if<CompiledCalibration>(&pricing);
    return !curves || curves->prices(subgraph.type, !(subgraph.work.value() > 0));
}

FallbackChain::FallbackChain(std::span<Calibration const> best_first,
                             std::optional<Hardware> const& hardware, Precision precision)
    : precision_{precision} {
    if (best_first.empty()) throw std::invalid_argument{"a chain needs one calibration or more"};
    if (hardware) hardware_id_ = hardware->id;
    if (hardware_id_.empty()) hardware_id_ = best_first.front().hardware_id;
    if (hardware) {
        if (auto const peak = hardware->compute_peak(precision)) peak_flops_ = peak->per_second;
    }
    for (auto const& calibration : best_first) {
        if (calibration.legacy_rules) {
            auto const roof = legacy_roof(*calibration.legacy_rules, precision);
            if (!roof) throw std::invalid_argument{"legacy rules without a rate for the precision"};
            steps_.emplace_back(calibration.source, LegacyStep{*calibration.legacy_rules, *roof});
            continue;
        }
        auto const curves = calibration.default_rules
                                ? default_calibration(calibration, hardware, precision)
                                : calibration;
        if (!peak_flops_ && curves.peak_flops) peak_flops_ = curves.peak_flops->per_second;
        steps_.emplace_back(calibration.source, CompiledCalibration{curves});
    }
}

ChainEstimate FallbackChain::estimate(std::span<Subgraph const> subgraphs,
                                      std::string_view partition, EstimateOf what) const {
    if (subgraphs.empty()) return {};
    std::vector<std::size_t> step_of;
    double total_flops = 0;
    double total_bytes = 0;
    for (auto const& subgraph : subgraphs) {
        auto const step =
            std::ranges::find_if(steps_, [&](Step const& s) { return s.prices(subgraph); });
        if (step == steps_.end()) {
            throw InputError{"calibration of " + hardware_id_,
                             "no curve prices kernels of type " +
                                 std::string{to_string(subgraph.type)},
                             "a curve of that type, of its parent or of the device"};
        }
        step_of.push_back(static_cast<std::size_t>(step - steps_.begin()));
        total_flops += subgraph.work.value();
        total_bytes += subgraph.traffic.total().value();
    }

    ChainEstimate result;
    result.subgraphs.resize(subgraphs.size());
    std::vector<LatencyEstimate> parts;
    std::vector<std::vector<std::size_t>> positions;  // of each part's subgraphs, legacy left out
    bool beyond_context = false;
    std::optional<Warning> too_small;
    for (std::size_t s = 0; s < steps_.size(); ++s) {
        std::vector<std::size_t> position;
        for (std::size_t i = 0; i < subgraphs.size(); ++i) {
            if (step_of[i] == s) position.push_back(i);
        }
        if (position.empty()) continue;
        std::vector<Subgraph> some;
        if (position.size() < subgraphs.size()) {
            for (auto const i : position) some.push_back(subgraphs[i]);
        }
        auto const priced = some.empty() ? subgraphs : std::span<Subgraph const>{some};

        SourceShare share{.source = steps_[s].source, .subgraphs = static_cast<int>(priced.size())};
        LatencyEstimate part;
        if (auto const* legacy = std::get_if<LegacyStep>(&steps_[s].pricing)) {
            result.spread_known = false;
            result.why_spread_unknown = "legacy rules have no known spread";
            for (auto const i : position) {
                result.subgraphs[i] = priced_by_legacy(legacy->rules, legacy->roof, subgraphs[i],
                                                       partition, peak_flops_);
                part.latency_ms += result.subgraphs[i].latency_ms;
            }
        } else {
            auto const& calibration = std::get<CompiledCalibration>(steps_[s].pricing);
            auto model = prepare(calibration, priced, partition);
            model.total_bytes = total_bytes;  // of the model, whatever else prices a part of it
            part = derate::estimate(calibration, model, what);
            if (what == EstimateOf::whole_model) {
                auto const& context = calibration.context();
                beyond_context = beyond_context || exceeds_context(context, priced);
                if (log_distance_below(context, model.total_bytes) > least_told_distance) {
                    too_small = small_model_warning(context, model.total_bytes);
                }
            }
            auto const each = estimate_subgraphs(calibration, model, what);
            for (std::size_t i = 0; i < position.size(); ++i) {
                result.subgraphs[position[i]] = each[i];
            }
            positions.push_back(std::move(position));
        }
        share.latency_ms = part.latency_ms;
        result.shares.push_back(share);
        parts.push_back(part);
    }

    if (parts.size() == 1) {
        result.total = parts.front();
    } else if (result.spread_known) {
        result.total = combined(parts);
        share_width(parts, positions, result.subgraphs);
    } else {
        for (auto& part : result.subgraphs) part.variance_share.reset();
        for (auto const& part : parts) {
            result.total.latency_ms += part.latency_ms;
            result.total.foreign_partition =
                result.total.foreign_partition || part.foreign_partition;
        }
    }
    if (peak_flops_ && total_flops > 0 && result.total.latency_ms > 0 &&
        !result.total.efficiency_used) {
        result.total.efficiency_used =
            total_flops * ms_per_second / (result.total.latency_ms * *peak_flops_);
    }
    result.warnings = warnings(subgraphs, step_of);
    if (too_small) result.warnings.push_back(*too_small);
    auto const unseen = unseen_part(subgraphs, result.subgraphs);
    result.unseen_share = unseen.share;
    if (unseen.share > 0.5) {
        result.warnings.push_back(
            {WarningCode::unseen_kernels,
             percent(unseen.share) + " of the time is of kernels that no calibration case shows (" +
                 listed(unseen.kinds) +
                 "); `derate calibrate --models` with models that hold them shows them."});
    }
    if (result.spread_known) {
        result.why_spread_unknown =
            beyond_context ? "it writes larger tensors than any model that was timed under glibc's "
                             "default allocator, whose page faults may take as long again"
                           : why_too_wide(result.total, unseen);
        if (!result.why_spread_unknown.empty()) {
            result.spread_known = false;
            result.warnings.push_back(
                {WarningCode::interval_unknown,
                 "the interval is not known: " + result.why_spread_unknown + "."});
        }
    }
    if (!result.spread_known) result.total.efficiency_std.reset();
    return result;
}

std::vector<Warning> FallbackChain::warnings(std::span<Subgraph const> subgraphs,
                                             std::span<std::size_t const> step_of) const {
    std::vector<Warning> lines;
    for (std::size_t s = 0; s < steps_.size(); ++s) {
        auto const source = steps_[s].source;
        bool const is_legacy = source == CurveSource::legacy_hardcoded;
        if (!is_legacy && source != CurveSource::conservative_default) continue;
        std::set<std::string_view> types;
        int count = 0;
        for (std::size_t i = 0; i < subgraphs.size(); ++i) {
            if (step_of[i] != s) continue;
            types.insert(to_string(subgraphs[i].type));
            ++count;
        }
        if (count == 0) continue;
        std::string line = std::to_string(count);
        line.append(" of ").append(std::to_string(subgraphs.size())).append(" subgraphs (");
        bool first = true;
        for (auto const type : types) {
            line.append(first ? "" : ", ").append(type);
            first = false;
        }
        line.append(") are priced by ")
            .append(is_legacy ? "hand-tuned legacy rules, whose spread is unknown"
                              : "the conservative default, whose interval is wide on purpose")
            .append(": no measured or imported ")
            .append(to_string(precision_))
            .append(" curve of ")
            .append(hardware_id_)
            .append(is_legacy ? " was used. Legacy rules are deprecated"
                              : " or legacy rule was used. Relying on the default is deprecated")
            .append("; on that machine `derate calibrate --hardware-name ")
            .append(hardware_id_)
            .append(" --precision ")
            .append(lower_case(to_string(precision_)))
            .append("` replaces them (docs/migration.md).");
        lines.push_back(
            {is_legacy ? WarningCode::legacy_rules : WarningCode::conservative_default,
             std::move(line)});
    }
    return lines;
}

}  // namespace derate
