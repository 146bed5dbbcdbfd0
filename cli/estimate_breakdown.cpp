#include "cli/estimate_breakdown.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>

#include "core/input_error.hpp"
#include "core/shell_word.hpp"

namespace derate::cli {

std::vector<UsedCalibration> used_calibrations(Target const& target,
                                               ChainEstimate const& estimate) {
    std::vector<UsedCalibration> used;
    for (std::size_t i = 0; i < target.calibrations.size(); ++i) {
        auto const& calibration = target.calibrations[i];
        if (std::ranges::find(estimate.shares, calibration.source, &SourceShare::source) ==
            estimate.shares.end()) {
            continue;
        }
        auto const* claim = headline_claim(calibration);
        UsedCalibration found{.file = target.files[i],
                              .source = calibration.source,
                              .trust_grade = calibration.provenance.trust_grade,
                              .verdict = claim ? std::optional{claim->verdict} : std::nullopt,
                              .provisional = calibration.provisional};
        if (found.trust_grade || found.verdict || found.provisional) {
            auto const which = i == 0 && !target.chosen_by.empty()
                                   ? target.chosen_by
                                   : "--calibration " + shell_word(found.file.string());
            found.validate_command = "derate validate " + which;
        }
        used.push_back(std::move(found));
    }
    return used;
}

std::vector<WidthSource> width_sources(ModelToPrice const& model, ChainEstimate const& estimate) {
    constexpr double wide_spread = 2;  // farther either way, an estimate says why
    auto const& total = estimate.total;
    bool const narrow =
        estimate.spread_known && total.ci_95_upper_ms <= wide_spread * total.latency_ms;
    if (narrow || estimate.subgraphs.empty()) return {};
    std::map<std::string, WidthSource> by_pattern;
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        auto const& part = estimate.subgraphs[i];
        if (!part.variance_share) return {};
        auto& source = by_pattern[model.subgraphs[i].fusion_pattern];
        source.fusion_pattern = model.subgraphs[i].fusion_pattern;
        source.subgraph_ids.push_back(part.subgraph_id);
        source.variance_share += *part.variance_share;
    }
    WidthSource common{.variance_share = 1};
    for (auto const& [pattern, source] : by_pattern) common.variance_share -= source.variance_share;
    std::vector<WidthSource> sources{std::move(common)};
    for (auto& [pattern, source] : by_pattern) sources.push_back(std::move(source));
    std::ranges::stable_sort(sources, std::ranges::greater{}, &WidthSource::variance_share);
    constexpr std::size_t most = 3;
    double share = 0;
    for (std::size_t i = 0; i < sources.size(); ++i) {
        share += sources[i].variance_share;
        if (share > 0.5 || i + 1 == most) sources.resize(i + 1);
    }
    return sources;
}

std::vector<std::pair<std::string_view, TypeTotal>> totals_of_types(ModelToPrice const& model,
                                                                    ChainEstimate const& estimate) {
    std::map<std::string_view, TypeTotal> totals;
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        auto const& subgraph = model.subgraphs[i];
        auto& total = totals[to_string(subgraph.type)];
        ++total.subgraphs;
        total.work = Flops{total.work.value() + subgraph.work.value()};
        total.traffic = Bytes{total.traffic.value() + subgraph.traffic.total().value()};
        total.latency_ms += estimate.subgraphs[i].latency_ms;
    }
    std::vector<std::pair<std::string_view, TypeTotal>> sorted(totals.begin(), totals.end());
    std::ranges::stable_sort(sorted, std::ranges::greater{},
                             [](auto const& entry) { return entry.second.latency_ms; });
    return sorted;
}

std::string bound_of(ChainEstimate const& estimate) {
    std::map<std::string_view, double> time;
    for (auto const& part : estimate.subgraphs) {
        time[part.bound ? to_string(*part.bound) : "unknown"] += part.latency_ms;
    }
    if (time.empty()) return "unknown";
    return std::string{
        std::ranges::max_element(time, {}, [](auto const& item) { return item.second; })->first};
}

Explanation explanation_of(ModelToPrice const& model, Target const& target,
                           ChainEstimate const& estimate, int id) {
    auto const found = std::ranges::find(estimate.subgraphs, id, &SubgraphEstimate::subgraph_id);
    if (found == estimate.subgraphs.end()) {
        throw InputError{"--explain", "no subgraph " + std::to_string(id),
                         estimate.subgraphs.empty()
                             ? std::string{"none: the model calls no operator"}
                             : "0 to " + std::to_string(estimate.subgraphs.size() - 1)};
    }
    auto const& subgraph =
        model.subgraphs[static_cast<std::size_t>(found - estimate.subgraphs.begin())];
    Explanation all{.subgraph = &subgraph,
                    .estimate = &*found,
                    .share_of_model = found->latency_ms / estimate.total.latency_ms};
    if (found->source == CurveSource::legacy_hardcoded) return all;
    all.inside_model_factor = found->latency_ms / (found->roofline_ms * found->residual_factor);
    bool const zero_flop = subgraph.work.value() == 0;
    for (auto const& calibration : target.calibrations) {
        for (auto const& curve : calibration.curves) {
            if (calibration.source != found->source || curve.type != subgraph.type ||
                curve.zero_flop != zero_flop || curve.data_points.empty()) {
                continue;
            }
            all.curves.push_back(&curve);
            auto const& files = calibration.provenance.evidence;
            all.evidence.insert(all.evidence.end(), files.begin(), files.end());
        }
    }
    return all;
}

}  // namespace derate::cli
