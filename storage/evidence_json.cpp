#include "storage/evidence_json.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "storage/condition_json.hpp"
#include "storage/fields.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

using nlohmann::json;

constexpr int evidence_version = 2;

Campaign campaign_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    Campaign campaign{
        .id = fields.text("id"),
        .date = fields.text("date"),
        .origin = fields.text("origin"),
        .imported = fields.flag("imported"),
        .environment_hash = fields.optional_text("environment_hash"),
        .samples_sha256 = fields.optional_text("samples_sha256"),
        .trust_grade = fields.optional_text("trust_grade"),
    };
    campaign.value_rule = fields.has("value_rule") ? fields.optional_text("value_rule")
                                              : unstated_value_rule(!campaign.imported);
    if (auto floor = fields.optional_object("noise_floor")) {
        campaign.noise_floor = {.percent = floor->positive("percent"),
                                .source = floor->text("source")};
        floor->reject_unknown();
    }
    fields.reject_unknown();
    return campaign;
}

json campaign_to_json(Campaign const& campaign) {
    json written{{"id", campaign.id},
                 {"date", campaign.date},
                 {"origin", campaign.origin},
                 {"imported", campaign.imported},
                 {"environment_hash", json_or_null(campaign.environment_hash)},
                 {"samples_sha256", json_or_null(campaign.samples_sha256)},
                 {"trust_grade", json_or_null(campaign.trust_grade)},
                 {"value_rule", json_or_null(campaign.value_rule)}};
    if (auto const& floor = campaign.noise_floor) {
        written["noise_floor"] = {{"percent", floor->percent}, {"source", floor->source}};
    }
    return written;
}

EvidenceCase case_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    EvidenceCase kernel;
    kernel.subgraph = subgraph_from_json(fields.at("subgraph"), fields.where("subgraph"));
    if (auto const* timing = fields.find("timing")) {
        kernel.timing = timing_from_json(*timing, fields.where("timing"));
    }
    kernel.failure = fields.optional_text("failure");
    kernel.campaign = fields.integer<int>("campaign", 0);
    kernel.probe = fields.flag("probe");
    fields.reject_unknown();
    return kernel;
}

json case_to_json(EvidenceCase const& kernel) {
    return {{"subgraph", to_json(kernel.subgraph)},
            {"timing", json_or_null(kernel.timing)},
            {"failure", json_or_null(kernel.failure)},
            {"campaign", kernel.campaign},
            {"probe", kernel.probe}};
}

EvidenceModel model_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    EvidenceModel model;
    model.name = fields.text("name");
    model.family = fields.text("family");
    model.batch = optional_batch(fields);
    model.campaign = fields.integer<int>("campaign", 0);
    model.role = fields.word("role", parse_model_role, "\"calibration\" or \"held_out\"");
    for (auto const& index : fields.array("cases")) {
        model.cases.push_back(
            integer_of<int>(index, fields.where("cases", model.cases.size()), 0));
    }
    if (auto const* timing = fields.find("whole_model")) {
        model.whole_model = timing_from_json(*timing, fields.where("whole_model"));
    }
    if (auto const* timing = fields.find("whole_model_default_allocator")) {
        model.whole_model_default_allocator =
            timing_from_json(*timing, fields.where("whole_model_default_allocator"));
    }
    if (fields.has("subgraphs")) {
        for (auto const& id : fields.array("subgraphs")) {
            model.subgraphs.push_back(
                integer_of<int>(id, fields.where("subgraphs", model.subgraphs.size()), 0));
        }
    }
    fields.reject_unknown();
    return model;
}

json model_to_json(EvidenceModel const& model) {
    json written{{"name", model.name},
                 {"family", model.family},
                 {"batch", json_or_null(model.batch)},
                 {"campaign", model.campaign},
                 {"role", to_string(model.role)},
                 {"cases", model.cases},
                 {"whole_model", json_or_null(model.whole_model)}};
    if (auto const& timing = model.whole_model_default_allocator) {
        written["whole_model_default_allocator"] = to_json(*timing);
    }
    if (model.is_partial()) written["subgraphs"] = model.subgraphs;
    return written;
}

}  // namespace

Evidence evidence_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, file_root(where)};
    require_format(fields, "derate_evidence", evidence_version);
    Evidence evidence;
    evidence.condition = condition_from_json(fields, ConditionDialect::evidence);
    bool const says_allocator = fields.has("allocator");
    evidence.hardware = measured_hardware_from_json(fields.at("hardware"), fields.where("hardware"),
                                                    evidence.condition);
    evidence.condition.execution.device = evidence.hardware.kind;
    std::size_t index = 0;
    for (auto const& campaign : fields.array("campaigns")) {
        evidence.campaigns.push_back(
            campaign_from_json(campaign, fields.where("campaigns", index++)));
    }
    index = 0;
    for (auto const& kernel : fields.array("cases")) {
        evidence.cases.push_back(case_from_json(kernel, fields.where("cases", index++)));
    }
    index = 0;
    for (auto const& model : fields.array("models")) {
        evidence.models.push_back(model_from_json(model, fields.where("models", index++)));
    }
    fields.reject_unknown();
    // derate has pinned malloc from its first version on; what others did is unknown.
    bool const own = is_host(evidence.hardware.kind) && !evidence.campaigns.empty() &&
                     std::ranges::none_of(evidence.campaigns, &Campaign::imported);
    if (!says_allocator && own) {
        evidence.condition.execution.allocator = Allocator::pinned;
    }
    if (auto const broken = violations(evidence); !broken.empty()) {
        throw InputError{where, broken.front(), "consistent evidence"};
    }
    return evidence;
}

json to_json(Evidence const& evidence) {
    json campaigns = json::array();
    for (auto const& campaign : evidence.campaigns) campaigns.push_back(campaign_to_json(campaign));
    json cases = json::array();
    for (auto const& kernel : evidence.cases) cases.push_back(case_to_json(kernel));
    json models = json::array();
    for (auto const& model : evidence.models) models.push_back(model_to_json(model));
    json file{{"format", "derate_evidence"},
              {"version", evidence_version},
              {"hardware", measured_hardware_to_json(evidence.hardware, evidence.condition)},
              {"campaigns", std::move(campaigns)},
              {"cases", std::move(cases)},
              {"models", std::move(models)}};
    add_condition(file, evidence.condition, ConditionDialect::evidence);
    return file;
}

}  // namespace derate
