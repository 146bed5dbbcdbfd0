#include <nlohmann/json.hpp>
#include <utility>

#include "reports/audit.hpp"
#include "reports/validation_report.hpp"
#include "storage/fields.hpp"

namespace derate {
namespace {

nlohmann::json json_of(ProvenanceAudit const& p) {
    nlohmann::json claims = nlohmann::json::array();
    for (auto const& claim : p.claims) {
        claims.push_back({{"leave_out", claim.leave_out},
                          {"models", claim.models},
                          {"mape_percent", claim.mape_percent},
                          {"bias_percent", claim.bias_percent},
                          {"coverage_95", json_or_null(claim.coverage_95)},
                          {"noise_floor_percent", json_or_null(claim.noise_floor_percent)},
                          {"verdict", claim.verdict}});
    }
    nlohmann::json campaigns = nlohmann::json::array();
    for (auto const& campaign : p.campaigns) {
        campaigns.push_back({{"id", campaign.id},
                             {"date", campaign.date},
                             {"origin", campaign.origin},
                             {"imported", campaign.imported},
                             {"trust_grade", json_or_null(campaign.trust_grade)},
                             {"value_rule", json_or_null(campaign.value_rule)},
                             {"environment_hash", json_or_null(campaign.environment_hash)},
                             {"samples_sha256", json_or_null(campaign.samples_sha256)}});
    }
    return {{"models", p.recorded.models_used},
            {"date", p.recorded.date},
            {"age_days", json_or_null(p.age_days)},
            {"stale", p.stale},
            {"repetitions", p.recorded.num_samples},
            {"tool_version", p.recorded.tool_version},
            {"git_revision", json_or_null(p.git_revision)},
            {"libraries", json_or_null(p.libraries)},
            {"environment_hash", json_or_null(p.recorded.environment_hash)},
            {"trust_grade", json_or_null(p.recorded.trust_grade)},
            {"value_rule", json_or_null(p.recorded.value_rule)},
            {"origin", p.recorded.origin},
            {"campaigns", std::move(campaigns)},
            {"claims", std::move(claims)}};
}

nlohmann::json json_of(std::vector<CoverageCell> const& cells) {
    auto const summary = gaps_of(cells);
    nlohmann::json list = nlohmann::json::array();
    for (auto const& cell : cells) {
        list.push_back({{"operation_type", to_string(cell.type)},
                        {"zero_flop", cell.zero_flop},
                        {"lower", cell.bin.lower},
                        {"upper", cell.bin.upper},
                        {"kernels", cell.kernels},
                        {"repetitions", cell.samples},
                        {"needed_subgraphs", cell.needed},
                        {"time_share", cell.time_share},
                        {"gap", cell.is_gap()},
                        {"needed_by", cell.models}});
    }
    return {{"needed", summary.needed},
            {"gaps", summary.gaps},
            {"gap_time_share", summary.time_share},
            {"cells", std::move(list)}};
}

nlohmann::json json_of(QualityAudit const& q) {
    nlohmann::json worst = nlohmann::json::array();
    for (auto const& kernel : q.worst) {
        worst.push_back({{"kernel", kernel.name},
                         {"operation_type", to_string(kernel.type)},
                         {"center_ms", kernel.center_ms},
                         {"half_width", kernel.half_width},
                         {"time_share", kernel.time_share},
                         {"launches", kernel.launches}});
    }
    return {{"kernels", q.kernels},
            {"failed", q.failed},
            {"repetitions", q.samples},
            {"fewest_launches", q.fewest_launches},
            {"median_launches", q.median_launches},
            {"most_launches", q.most_launches},
            {"few_launches_share", q.few_launches_share},
            {"precise_share", q.precise_share},
            {"unknown_share", q.unknown_share},
            {"unsteady_share", q.unsteady_share},
            {"median_half_width", json_or_null(q.median_half_width)},
            {"worst_kernels", std::move(worst)},
            {"models", q.models},
            {"models_timed_whole", q.timed_whole},
            {"campaigns", q.campaigns},
            {"campaigns_imported", q.imported_campaigns},
            {"campaigns_stale", q.stale_campaigns}};
}

nlohmann::json json_of(LegacyComparison const& legacy) {
    nlohmann::json cells = nlohmann::json::array();
    for (auto const& cell : legacy.cells) {
        cells.push_back({{"operation_type", to_string(cell.type)},
                         {"zero_flop", cell.zero_flop},
                         {"lower", cell.bin.lower},
                         {"upper", cell.bin.upper},
                         {"kernels", cell.kernels},
                         {"time_share", cell.time_share},
                         {"latency_ratio", cell.latency_ratio},
                         {"efficiency_ratio", 1 / cell.latency_ratio},
                         {"smallest_ratio", cell.least_ratio},
                         {"largest_ratio", cell.largest_ratio},
                         {"efficiency_measured", json_or_null(cell.efficiency_measured)},
                         {"efficiency_legacy", json_or_null(cell.efficiency_legacy)}});
    }
    nlohmann::json models = nlohmann::json::array();
    for (auto const& model : legacy.models) {
        models.push_back({{"model", model.model},
                          {"batch", json_or_null(model.batch)},
                          {"latency_ms", model.calibrated_ms},
                          {"ci_95_lower_ms", model.interval.lower},
                          {"ci_95_upper_ms", model.interval.upper},
                          {"interval_kind", "prediction"},
                          {"legacy_ms", model.legacy_ms},
                          {"ratio", model.ratio()}});
    }
    return {{"file", legacy.file},
            {"kernels", std::move(cells)},
            {"models", std::move(models)},
            {"evidence_models", legacy.evidence_models},
            {"legacy_mape_percent", legacy.legacy_mape_percent},
            {"calibrated_mape_percent", legacy.calibrated_mape_percent}};
}

nlohmann::json json_of(CalibrationAudit const& one) {
    nlohmann::json chain = nlohmann::json::array();
    for (auto const& link : one.chain) {
        chain.push_back({{"from", link.from},
                         {"to", link.to},
                         {"state", link.state == LinkState::broken ? std::string_view{"broken"}
                                                                   : to_string(link.state)},
                         {"detail", link.detail}});
    }
    nlohmann::json json{{"file", one.provenance.file.string()},
                        {"readable", one.readable},
                        {"chain_broken", one.is_broken()},
                        {"chain", std::move(chain)}};
    if (!one.readable) return json;
    json["source"] = to_string(one.provenance.source);
    json["precision"] = one.has_curves() ? nlohmann::json(to_string(one.provenance.precision))
                                         : nlohmann::json(nullptr);
    json["threads"] = json_or_null(one.provenance.threads);
    json["provisional"] = one.provenance.provisional;
    json["provenance"] = json_of(one.provenance);
    json["coverage"] = one.has_curves() ? json_of(one.coverage) : nlohmann::json(nullptr);
    json["quality"] = one.quality ? json_of(*one.quality) : nlohmann::json(nullptr);
    json["legacy"] = one.legacy ? json_of(*one.legacy) : nlohmann::json(nullptr);
    json["no_legacy"] =
        one.no_legacy.empty() ? nlohmann::json(nullptr) : nlohmann::json(one.no_legacy);
    json["recommendations"] = nlohmann::json::array();
    for (auto const& r : one.recommendations) {
        json["recommendations"].push_back(recommendation_json(r));
    }
    return json;
}

}  // namespace

nlohmann::json audit_json(Audit const& audit) {
    nlohmann::json calibrations = nlohmann::json::array();
    for (auto const& one : audit.calibrations) calibrations.push_back(json_of(one));
    return {{"hardware_id", audit.hardware_id},
            {"date", audit.date},
            {"summary", audit_in_words(audit)},
            {"chain_broken", audit.is_broken()},
            {"audited_models", audit.audited_models},
            {"stale_after_days", audit.limits.stale_days},
            {"half_width_limit", audit.limits.half_width},
            {"calibrations", std::move(calibrations)}};
}

}  // namespace derate
