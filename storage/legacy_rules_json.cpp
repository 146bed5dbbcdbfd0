#include "storage/legacy_rules_json.hpp"

#include <array>
#include <string>
#include <utility>

#include "storage/fields.hpp"
#include "storage/hardware_json.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

using nlohmann::json;

std::vector<std::string> texts_of(JsonFields& fields, std::string_view name) {
    return fields.find(name) ? fields.texts(name) : std::vector<std::string>{};
}

/// Empty lists are left out: what stands in the file is what a rule asks for.
void put(json& target, char const* name, std::vector<std::string> const& texts) {
    if (!texts.empty()) target[name] = texts;
}

void put(json& target, char const* name, std::optional<double> const& value) {
    if (value) target[name] = *value;
}

void put(json& target, char const* name, std::string const& text) {
    if (!text.empty()) target[name] = text;
}

using Features = std::map<std::string, LegacyFeature>;

LegacyFeature feature_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    LegacyFeature feature{
        .op_type_is = texts_of(fields, "op_type_is"),
        .op_type_contains = texts_of(fields, "op_type_contains"),
        .pattern_contains = texts_of(fields, "pattern_contains"),
        .any_node_contains = texts_of(fields, "any_node_contains"),
        .first_node_contains = texts_of(fields, "first_node_contains"),
    };
    fields.reject_unknown();
    return feature;
}

json to_json(LegacyFeature const& feature) {
    json result = json::object();
    put(result, "op_type_is", feature.op_type_is);
    put(result, "op_type_contains", feature.op_type_contains);
    put(result, "pattern_contains", feature.pattern_contains);
    put(result, "any_node_contains", feature.any_node_contains);
    put(result, "first_node_contains", feature.first_node_contains);
    return result;
}

LegacyCondition condition_of(JsonFields& parent, Features const& features) {
    auto fields = parent.object("when");
    LegacyCondition condition{
        .all_of = texts_of(fields, "all_of"),
        .any_of = texts_of(fields, "any_of"),
        .none_of = texts_of(fields, "none_of"),
        .flops_below = fields.optional_number("flops_below"),
        .flops_at_most = fields.optional_number("flops_at_most"),
        .bytes_at_most = fields.optional_number("bytes_at_most"),
    };
    auto const known = [&](char const* list, std::vector<std::string> const& names) {
        for (auto const& name : names) {
            if (!features.contains(name)) {
                fields.fail(list, std::string{"names \""}.append(name).append("\""),
                            "a feature of legacy_rules/features");
            }
        }
    };
    known("all_of", condition.all_of);
    known("any_of", condition.any_of);
    known("none_of", condition.none_of);
    fields.reject_unknown();
    return condition;
}

json to_json(LegacyCondition const& condition) {
    json result = json::object();
    put(result, "all_of", condition.all_of);
    put(result, "any_of", condition.any_of);
    put(result, "none_of", condition.none_of);
    put(result, "flops_below", condition.flops_below);
    put(result, "flops_at_most", condition.flops_at_most);
    put(result, "bytes_at_most", condition.bytes_at_most);
    return result;
}

LegacySegment segment_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    LegacySegment segment{
        .lower = fields.optional_number("lower"),
        .upper = fields.optional_number("upper"),
        .start = fields.positive("start"),
        .end = fields.positive("end"),
        .origin_log10 = fields.optional_number("origin_log10").value_or(0),
        .span_log10 = fields.optional_positive("span_log10").value_or(1),
        .multiplier = fields.optional_positive("multiplier").value_or(1),
    };
    fields.reject_unknown();
    return segment;
}

json to_json(LegacySegment const& segment) {
    json result{{"lower", json_or_null(segment.lower)},
                {"upper", json_or_null(segment.upper)},
                {"start", segment.start},
                {"end", segment.end}};
    if (segment.start != segment.end) {
        result["origin_log10"] = segment.origin_log10;
        result["span_log10"] = segment.span_log10;
    }
    if (segment.multiplier != 1) result["multiplier"] = segment.multiplier;
    return result;
}

LegacyScale scale_from_json(json const& value, std::string where, Features const& features) {
    JsonFields fields{value, std::move(where)};
    LegacyScale scale{
        .id = fields.text("id"),
        .when = condition_of(fields, features),
        .segments = {},
        .cite = fields.text("cite"),
        .stated_origin = fields.optional_text("stated_origin").value_or(""),
    };
    std::size_t index = 0;
    for (auto const& segment : fields.array("segments")) {
        scale.segments.push_back(segment_from_json(segment, fields.where("segments", index++)));
    }
    if (scale.segments.empty()) fields.fail("segments", "is empty", "one segment or more");
    for (std::size_t i = 0; i + 1 < scale.segments.size(); ++i) {
        auto const& left = scale.segments[i];
        bool const ordered = left.upper && (!left.lower || *left.lower < *left.upper);
        if (!ordered || left.upper != scale.segments[i + 1].lower) {
            fields.fail("segments",
                        std::string{"segment "}
                            .append(std::to_string(i))
                            .append(" does not end where the next starts"),
                        "segments in increasing order, without gaps");
        }
    }
    fields.reject_unknown();
    return scale;
}

json to_json(LegacyScale const& scale) {
    json segments = json::array();
    for (auto const& segment : scale.segments) segments.push_back(to_json(segment));
    json result{{"id", scale.id},
                {"when", to_json(scale.when)},
                {"segments", std::move(segments)},
                {"cite", scale.cite}};
    put(result, "stated_origin", scale.stated_origin);
    return result;
}

constexpr std::array<std::pair<LegacyOverheadRule::Action, std::string_view>, 2> action_names{{
    {LegacyOverheadRule::Action::set, "set"},
    {LegacyOverheadRule::Action::raise, "raise"},
}};

std::optional<LegacyOverheadRule::Action> parse_action(std::string_view name) {
    for (auto const& [action, action_name] : action_names) {
        if (action_name == name) return action;
    }
    return std::nullopt;
}

LegacyOverheadRule overhead_from_json(json const& value, std::string where,
                                      Features const& features) {
    JsonFields fields{value, std::move(where)};
    LegacyOverheadRule rule{
        .action = fields.word("action", parse_action, "\"set\" or \"raise\""),
        .when = condition_of(fields, features),
        .cases = {},
    };
    std::size_t index = 0;
    for (auto const& entry : fields.array("cases")) {
        JsonFields case_fields{entry, fields.where("cases", index++)};
        auto when = condition_of(case_fields, features);
        rule.cases.push_back(
            {.when = std::move(when), .microseconds = case_fields.not_negative("microseconds")});
        case_fields.reject_unknown();
    }
    fields.reject_unknown();
    return rule;
}

json to_json(LegacyOverheadRule const& rule) {
    json cases = json::array();
    for (auto const& entry : rule.cases) {
        cases.push_back({{"when", to_json(entry.when)}, {"microseconds", entry.microseconds}});
    }
    return {{"action", action_names[rule.action == LegacyOverheadRule::Action::set ? 0 : 1].second},
            {"when", to_json(rule.when)},
            {"cases", std::move(cases)}};
}

LegacyRate rate_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    LegacyRate rate{
        .profile = fields.text("profile"),
        .precision = fields.word("precision", parse_precision, "FP32, FP16, BF16 or INT8"),
        .flops_per_second = fields.positive("flops_per_second"),
        .sustained_flops_per_second = fields.optional_positive("sustained_flops_per_second"),
        .efficiency_factor = fields.optional_positive("efficiency_factor"),
        .tile_utilization = fields.optional_positive("tile_utilization"),
        .emulation_factor = fields.optional_positive("emulation_factor"),
        .note = fields.optional_text("note").value_or(""),
    };
    fields.reject_unknown();
    return rate;
}

json to_json(LegacyRate const& rate) {
    json result{{"profile", rate.profile},
                {"precision", to_string(rate.precision)},
                {"flops_per_second", rate.flops_per_second},
                {"sustained_flops_per_second", json_or_null(rate.sustained_flops_per_second)},
                {"efficiency_factor", json_or_null(rate.efficiency_factor)},
                {"tile_utilization", json_or_null(rate.tile_utilization)},
                {"emulation_factor", json_or_null(rate.emulation_factor)}};
    put(result, "note", rate.note);
    return result;
}

}  // namespace

LegacyRules legacy_rules_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, std::string{where}};
    LegacyRules rules;
    rules.hardware_class = fields.text("hardware_class");
    rules.served_profile = fields.text("served_profile");
    rules.bytes_per_second = fields.optional_positive("bytes_per_second");
    auto const features = fields.object("features");
    for (auto const& [name, feature] : fields.at("features").items()) {
        rules.features.emplace(name, feature_from_json(feature, features.where(name)));
    }
    std::size_t index = 0;
    for (auto const& rate : fields.array("rates")) {
        rules.rates.push_back(rate_from_json(rate, fields.where("rates", index++)));
    }
    for (auto const& [name, scales] : {std::pair{"compute_scales", &rules.compute_scales},
                                       std::pair{"bandwidth_scales", &rules.bandwidth_scales}}) {
        index = 0;
        for (auto const& scale : fields.array(name)) {
            scales->push_back(scale_from_json(scale, fields.where(name, index++), rules.features));
        }
    }
    index = 0;
    for (auto const& rule : fields.array("overheads")) {
        rules.overheads.push_back(
            overhead_from_json(rule, fields.where("overheads", index++), rules.features));
    }
    index = 0;
    for (auto const& correction : fields.array("corrections")) {
        JsonFields entry{correction, fields.where("corrections", index++)};
        auto when = condition_of(entry, rules.features);
        rules.corrections.push_back({.when = std::move(when), .factor = entry.positive("factor")});
        entry.reject_unknown();
    }
    auto const partitions = fields.object("operator_types");
    for (auto const& [partition, operators] : fields.at("operator_types").items()) {
        JsonFields names{operators, partitions.where(partition)};
        auto& types = rules.operator_types[partition];
        for (auto const& [name, type] : operators.items()) types.emplace(name, names.text(name));
    }
    if (auto const constants = fields.optional_object("constants")) {
        for (auto const& [name, constant] : fields.at("constants").items()) {
            JsonFields entry{constant, constants->where(name)};
            rules.constants.emplace(name, LegacyConstant{.value = entry.number("value"),
                                                         .meaning = entry.text("meaning"),
                                                         .cite = entry.text("cite")});
            entry.reject_unknown();
        }
    }
    fields.reject_unknown();
    return rules;
}

json to_json(LegacyRules const& rules) {
    json rates = json::array();
    for (auto const& rate : rules.rates) rates.push_back(to_json(rate));
    json features = json::object();
    for (auto const& [name, feature] : rules.features) features[name] = to_json(feature);
    json compute_scales = json::array();
    for (auto const& scale : rules.compute_scales) compute_scales.push_back(to_json(scale));
    json bandwidth_scales = json::array();
    for (auto const& scale : rules.bandwidth_scales) bandwidth_scales.push_back(to_json(scale));
    json overheads = json::array();
    for (auto const& rule : rules.overheads) overheads.push_back(to_json(rule));
    json corrections = json::array();
    for (auto const& correction : rules.corrections) {
        corrections.push_back({{"when", to_json(correction.when)}, {"factor", correction.factor}});
    }
    json constants = json::object();
    for (auto const& [name, constant] : rules.constants) {
        constants[name] = {
            {"value", constant.value}, {"meaning", constant.meaning}, {"cite", constant.cite}};
    }
    return {{"hardware_class", rules.hardware_class},
            {"served_profile", rules.served_profile},
            {"bytes_per_second", json_or_null(rules.bytes_per_second)},
            {"rates", std::move(rates)},
            {"features", std::move(features)},
            {"compute_scales", std::move(compute_scales)},
            {"bandwidth_scales", std::move(bandwidth_scales)},
            {"overheads", std::move(overheads)},
            {"corrections", std::move(corrections)},
            {"operator_types", rules.operator_types},
            {"constants", std::move(constants)}};
}

DefaultRules default_rules_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, std::string{where}};
    DefaultRules rules;
    auto const by_name = fields.object("rules");
    for (auto const& [name, rule] : fields.at("rules").items()) {
        JsonFields entry{rule, by_name.where(name)};
        rules.rules.emplace(
            name, DefaultRule{.compute_efficiency = entry.positive("compute_efficiency"),
                              .bandwidth_efficiency = entry.positive("bandwidth_efficiency"),
                              .kernel_seconds = entry.positive("kernel_seconds"),
                              .log_variance = entry.positive("log_variance")});
        entry.reject_unknown();
    }
    if (!rules.rules.contains("any")) fields.fail("rules", "lacks \"any\"", "a rule for the rest");
    rules.same_type_correlation = fields.not_negative("same_type_correlation");
    rules.cross_type_correlation = fields.not_negative("cross_type_correlation");
    rules.model_log_variance = fields.not_negative("model_log_variance");
    rules.degrees_of_freedom = fields.positive("degrees_of_freedom");
    rules.t_quantile = fields.positive("t_quantile");
    std::size_t index = 0;
    for (auto const& peak : fields.array("fallback_compute_peaks")) {
        rules.fallback_compute_peaks.push_back(
            compute_peak_from_json(peak, fields.where("fallback_compute_peaks", index++)));
    }
    rules.fallback_bandwidth_peak = peak_from_json(fields.at("fallback_bandwidth_peak"),
                                                   fields.where("fallback_bandwidth_peak"));
    fields.reject_unknown();
    return rules;
}

json to_json(DefaultRules const& rules) {
    json by_name = json::object();
    for (auto const& [name, rule] : rules.rules) {
        by_name[name] = {{"compute_efficiency", rule.compute_efficiency},
                         {"bandwidth_efficiency", rule.bandwidth_efficiency},
                         {"kernel_seconds", rule.kernel_seconds},
                         {"log_variance", rule.log_variance}};
    }
    json peaks = json::array();
    for (auto const& peak : rules.fallback_compute_peaks) peaks.push_back(to_json(peak));
    return {{"rules", std::move(by_name)},
            {"same_type_correlation", rules.same_type_correlation},
            {"cross_type_correlation", rules.cross_type_correlation},
            {"model_log_variance", rules.model_log_variance},
            {"degrees_of_freedom", rules.degrees_of_freedom},
            {"t_quantile", rules.t_quantile},
            {"fallback_compute_peaks", std::move(peaks)},
            {"fallback_bandwidth_peak", to_json(rules.fallback_bandwidth_peak)}};
}

}  // namespace derate
