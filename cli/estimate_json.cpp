#include <nlohmann/json.hpp>
#include <utility>

#include "cli/estimate_output.hpp"
#include "cli/json_output.hpp"
#include "core/subgraph_shapes.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "workloads/descriptor.hpp"

namespace derate::cli {
namespace {

/// null where nothing is known of the spread.
nlohmann::json known(bool spread_known, double value) {
    return spread_known ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json to_json(SubgraphEstimate const& estimate, Subgraph const& subgraph) {
    bool const spread_known = estimate.source != CurveSource::legacy_hardcoded;
    double const spread = estimate.spread.value_or(most_spread);
    bool const has_interval = estimate.spread && spread <= most_spread;
    auto const shapes = shapes_of(subgraph);
    return {
        {"subgraph_id", estimate.subgraph_id},
        {"case", subgraph.descriptor.empty()
                     ? nlohmann::json()
                     : nlohmann::json(case_name(subgraph.type, subgraph.descriptor))},
        {"input_shape", shapes ? nlohmann::json(shapes->input) : nlohmann::json()},
        {"output_shape", shapes ? nlohmann::json(shapes->output) : nlohmann::json()},
        {"operation_type", to_string(subgraph.type)},
        {"fusion_pattern", subgraph.fusion_pattern},
        {"flops", subgraph.work.value()},
        {"bytes", subgraph.traffic.total().value()},
        {"latency_ms", estimate.latency_ms},
        {"latency_std_ms", known(spread_known, estimate.latency_std_ms)},
        {"ci_95_lower_ms", known(has_interval, estimate.latency_ms / spread)},
        {"ci_95_upper_ms", known(has_interval, estimate.latency_ms * spread)},
        {"variance_share", json_or_null(estimate.variance_share)},
        {"efficiency_used", json_or_null(estimate.efficiency_used)},
        {"efficiency_std", json_or_null(estimate.efficiency_std)},
        {"source", to_string(estimate.source)},
        {"curve", estimate.curve},
        {"bound", estimate.bound ? nlohmann::json(to_string(*estimate.bound)) : nlohmann::json()},
        {"extrapolated", estimate.extrapolated},
        {"unseen_regime", json_or_null(estimate.unseen_regime)}};
}

}  // namespace

nlohmann::json to_json(UnknownWork const& unknown) {
    return {{"operators", unknown.operators},
            {"calls", unknown.calls},
            {"share_of_calls", unknown.share_of_calls},
            {"share_of_bytes", unknown.share_of_bytes},
            {"possible_share_of_work", unknown.possible_share_of_work}};
}

nlohmann::json estimate_json(ModelToPrice const& model, Target const& target,
                             ChainEstimate const& estimate) {
    auto const& total = estimate.total;
    bool const spread = estimate.spread_known;
    bool const bounded = spread && !model.unknown.may_be_a_good_part();
    nlohmann::json json{
        {"model", model.name},
        {"batch", json_or_null(model.batch)},
        {"hardware_id", target.hardware_id},
        {"latency_ms", total.latency_ms},
        {"latency_std_ms", known(spread, total.latency_std_ms)},
        {"ci_95_lower_ms", known(spread, total.ci_95_lower_ms)},
        {"ci_95_upper_ms", known(bounded, total.ci_95_upper_ms)},
        {"interval_kind", "prediction"},
        {"ci_95_independent_lower_ms", known(spread, total.ci_95_independent_lower_ms)},
        {"ci_95_independent_upper_ms", known(bounded, total.ci_95_independent_upper_ms)},
        {"efficiency_used", json_or_null(total.efficiency_used)},
        {"efficiency_std", json_or_null(total.efficiency_std)},
        {"source", nullptr},
        {"trust_grade", nullptr},
        {"verdict", nullptr},
        {"provisional", false},
        {"calibrations", nlohmann::json::array()},
        {"dimensions", dimensions_json(model.dimensions)},
        {"extrapolated", total.extrapolated()},
        {"foreign_partition", total.foreign_partition},
        {"sources", nlohmann::json::array()},
        {"unknown_operators", to_json(model.unknown)},
        {"width_from", nlohmann::json::array()},
        {"operation_types", nlohmann::json::array()},
        {"subgraphs", nlohmann::json::array()}};
    set_condition(json, &target.calibrations.front(), nullptr);
    json["precision"] = to_string(model.precision);  // rules hold at several
    if (auto const source = estimate.source()) json["source"] = to_string(*source);
    auto const used = used_calibrations(target, estimate);
    if (!used.empty()) {  // of the one that prices most types; a provisional part makes the whole
                          // so
        json["trust_grade"] = json_or_null(used.front().trust_grade);
        json["verdict"] = json_or_null(used.front().verdict);
    }
    for (auto const& one : used) {
        if (one.provisional) json["provisional"] = true;
        json["calibrations"].push_back({{"file", one.file.string()},
                                        {"sha256", sha256_of_file(one.file)},
                                        {"source", to_string(one.source)},
                                        {"trust_grade", json_or_null(one.trust_grade)},
                                        {"verdict", json_or_null(one.verdict)},
                                        {"provisional", one.provisional},
                                        {"validate_command", json_or_null(one.validate_command)}});
    }
    auto warnings = estimate.warnings;
    for (auto const& fault : target.passed_over) {
        warnings.push_back({WarningCode::passed_over, std::string{"passed over: "} + fault.what()});
    }
    set_warnings(json, warnings);
    for (auto const& [type, of_type] : totals_of_types(model, estimate)) {
        json["operation_types"].push_back({{"operation_type", type},
                                           {"subgraphs", of_type.subgraphs},
                                           {"flops", of_type.work.value()},
                                           {"bytes", of_type.traffic.value()},
                                           {"latency_ms", of_type.latency_ms}});
    }
    for (auto const& share : estimate.shares) {
        json["sources"].push_back({{"source", to_string(share.source)},
                                   {"subgraphs", share.subgraphs},
                                   {"latency_ms", share.latency_ms}});
    }
    for (auto const& source : width_sources(model, estimate)) {
        json["width_from"].push_back({{"fusion_pattern", json_or_null(source.fusion_pattern)},
                                      {"subgraph_ids", source.subgraph_ids},
                                      {"variance_share", source.variance_share}});
    }
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        json["subgraphs"].push_back(to_json(estimate.subgraphs[i], model.subgraphs[i]));
    }
    return json;
}

nlohmann::json explanation_json(Explanation const& all) {
    nlohmann::json json{{"subgraph", to_json(*all.estimate, *all.subgraph)},
                        {"share_of_model", all.share_of_model},
                        {"curve_alone_ms", nullptr},
                        {"shape_factor", nullptr},
                        {"inside_model_factor", json_or_null(all.inside_model_factor)},
                        {"curve_points", nlohmann::json::array()},
                        {"evidence", nlohmann::json::array()}};
    if (all.inside_model_factor) {
        json["curve_alone_ms"] = all.estimate->roofline_ms;
        json["shape_factor"] = all.estimate->residual_factor;
    }
    for (auto const* curve : all.curves) {
        for (auto const& point : curve->data_points) {
            json["curve_points"].push_back(
                {{"axis", curve->axis == WorkAxis::flops ? "flops" : "bytes"},
                 {"work", point.work},
                 {"efficiency_mean", point.efficiency_mean},
                 {"num_observations", point.num_observations},
                 {"source_subgraphs", point.source_subgraphs}});
        }
    }
    for (auto const& [file, sha256] : all.evidence) {
        json["evidence"].push_back({{"file", "evidence/" + file}, {"sha256", sha256}});
    }
    return json;
}

}  // namespace derate::cli
