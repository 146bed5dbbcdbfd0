#include "storage/calibration_json.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "storage/calibration_rules.hpp"
#include "storage/condition_json.hpp"
#include "storage/fields.hpp"
#include "storage/legacy_rules_json.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

using nlohmann::json;

constexpr std::string_view format_name = "efficiency_calibration_v1.json";

// Of every number in the file; written so that a reader need not guess.
json units() {
    return {{"work", "FLOP"},
            {"traffic", "byte"},
            {"time", "s"},
            {"efficiency", "fraction of denominator"}};
}

std::optional<Interval> interval_of(JsonFields& fields, std::string_view name) {
    auto limits = fields.optional_object(name);
    if (!limits) return std::nullopt;
    Interval const interval{.lower = limits->number("lower"), .upper = limits->number("upper")};
    limits->reject_unknown();
    return interval;
}

json to_json(std::optional<Interval> const& interval) {
    if (!interval) return nullptr;
    return {{"lower", interval->lower}, {"upper", interval->upper}};
}

std::vector<std::string> texts_or_none(JsonFields& fields, std::string_view name) {
    return fields.find(name) ? fields.texts(name) : std::vector<std::string>{};
}

std::vector<double> numbers_or_none(JsonFields& fields, std::string_view name) {
    return fields.find(name) ? fields.numbers(name) : std::vector<double>{};
}

std::string_view axis_name(WorkAxis axis) { return axis == WorkAxis::flops ? "flops" : "bytes"; }

std::optional<WorkAxis> parse_axis(std::string_view name) {
    if (name == "flops") return WorkAxis::flops;
    if (name == "bytes") return WorkAxis::bytes;
    return std::nullopt;
}

DataPoint data_point_from_json(json const& value, std::string where, WorkAxis axis) {
    JsonFields fields{value, std::move(where)};
    DataPoint point{
        .work = fields.positive(axis_name(axis)),
        .efficiency_mean = fields.positive("efficiency_mean"),
        .efficiency_std = fields.optional_number("efficiency_std"),
        .efficiency_min = fields.optional_positive("efficiency_min"),
        .efficiency_max = fields.optional_positive("efficiency_max"),
        .num_observations = fields.integer("num_observations", 0),
        .source_subgraphs = texts_or_none(fields, "source_subgraphs"),
        .between_model_std = fields.optional_number("between_model_std"),
        .confidence_interval_of_mean = interval_of(fields, "confidence_interval_of_mean"),
        .prediction_interval = interval_of(fields, "prediction_interval"),
    };
    fields.reject_unknown();
    return point;
}

json to_json(DataPoint const& point, WorkAxis axis) {
    return {{axis_name(axis), point.work},
            {"efficiency_mean", point.efficiency_mean},
            {"efficiency_std", json_or_null(point.efficiency_std)},
            {"efficiency_min", json_or_null(point.efficiency_min)},
            {"efficiency_max", json_or_null(point.efficiency_max)},
            {"num_observations", point.num_observations},
            {"source_subgraphs", point.source_subgraphs},
            {"between_model_std", json_or_null(point.between_model_std)},
            {"confidence_interval_of_mean", to_json(point.confidence_interval_of_mean)},
            {"prediction_interval", to_json(point.prediction_interval)}};
}

FittedForm form_from_json(JsonFields& fields) {
    auto const type = fields.text("type");
    auto parameters = fields.object("parameters");
    FittedForm form;
    if (type == "additive_roofline") {
        form = AdditiveRoofline{
            .kernel_seconds = parameters.positive("kernel_seconds"),
            .flop_coefficient = parameters.not_negative("flop_coefficient"),
            .flop_exponent = parameters.positive("flop_exponent"),
            .byte_coefficient = parameters.positive("byte_coefficient"),
            .byte_exponent = parameters.positive("byte_exponent"),
            .joined_flop_coefficient = parameters.not_negative("joined_flop_coefficient"),
            .cache_byte_seconds = parameters.not_negative("cache_byte_seconds"),
            .last_level_cache_bytes = parameters.not_negative("last_level_cache_bytes"),
            .joined_flops_per_byte = parameters.optional_number("joined_flops_per_byte"),
        };
    } else if (type == "piecewise_linear") {
        PiecewiseLinear curve{.work = parameters.numbers("work"),
                              .efficiency = parameters.numbers("efficiency")};
        form = std::move(curve);
    } else if (type == "log_linear") {
        form = LogLinear{.intercept = parameters.number("intercept"),
                         .slope = parameters.number("slope")};
    } else if (type == "sigmoid") {
        form = Sigmoid{.ceiling = parameters.positive("ceiling"),
                       .steepness = parameters.number("steepness"),
                       .midpoint = parameters.number("midpoint")};
    } else {
        fields.fail("type", std::string{"got \""}.append(type).append("\""),
                    "additive_roofline, piecewise_linear, log_linear or sigmoid");
    }
    parameters.reject_unknown();
    return form;
}

struct FormToJson {
    json operator()(AdditiveRoofline const& form) const {
        json parameters{{"kernel_seconds", form.kernel_seconds},
                        {"flop_coefficient", form.flop_coefficient},
                        {"flop_exponent", form.flop_exponent},
                        {"byte_coefficient", form.byte_coefficient},
                        {"byte_exponent", form.byte_exponent},
                        {"joined_flop_coefficient", form.joined_flop_coefficient},
                        {"cache_byte_seconds", form.cache_byte_seconds},
                        {"last_level_cache_bytes", form.last_level_cache_bytes}};
        if (form.joined_flops_per_byte) {
            parameters["joined_flops_per_byte"] = *form.joined_flops_per_byte;
        }
        return {{"type", "additive_roofline"}, {"parameters", std::move(parameters)}};
    }
    json operator()(PiecewiseLinear const& form) const {
        return {{"type", "piecewise_linear"},
                {"parameters", {{"work", form.work}, {"efficiency", form.efficiency}}}};
    }
    json operator()(LogLinear const& form) const {
        return {{"type", "log_linear"},
                {"parameters", {{"intercept", form.intercept}, {"slope", form.slope}}}};
    }
    json operator()(Sigmoid const& form) const {
        return {{"type", "sigmoid"},
                {"parameters",
                 {{"ceiling", form.ceiling},
                  {"steepness", form.steepness},
                  {"midpoint", form.midpoint}}}};
    }
};

FittedCurve fitted_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    FittedCurve curve{.form = form_from_json(fields),
                      .r_squared = fields.optional_number("r_squared"),
                      .residual_std = fields.optional_number("residual_std"),
                      .parameter_covariance = numbers_or_none(fields, "parameter_covariance")};
    fields.reject_unknown();
    return curve;
}

json to_json(FittedCurve const& curve) {
    auto result = std::visit(FormToJson{}, curve.form);
    result["r_squared"] = json_or_null(curve.r_squared);
    result["residual_std"] = json_or_null(curve.residual_std);
    result["parameter_covariance"] = curve.parameter_covariance;
    return result;
}

ResidualModel residual_from_json(JsonFields fields) {
    ResidualModel model{
        .features = fields.texts("features"),
        .points = fields.numbers("points"),
        .point_regimes = fields.texts("point_regimes"),
        .weights = fields.numbers("weights"),
        .packed_factor = fields.numbers("packed_factor"),
        .amplitude = fields.positive("amplitude"),
        .length_scale = fields.positive("length_scale"),
        .noise = fields.not_negative("noise"),
        .regime_distance = fields.not_negative("regime_distance"),
        .trend_share = fields.optional_number("trend_share").value_or(0),
        .trend_length_scale = fields.optional_positive("trend_length_scale").value_or(1),
    };
    if (model.trend_share < 0 || model.trend_share > 1) {
        fields.fail("trend_share", "is no share", "0 to 1");
    }
    fields.reject_unknown();
    return model;
}

json to_json(ResidualModel const& model) {
    return {{"features", model.features},
            {"points", model.points},
            {"point_regimes", model.point_regimes},
            {"weights", model.weights},
            {"packed_factor", model.packed_factor},
            {"amplitude", model.amplitude},
            {"length_scale", model.length_scale},
            {"noise", model.noise},
            {"regime_distance", model.regime_distance},
            {"trend_share", model.trend_share},
            {"trend_length_scale", model.trend_length_scale}};
}

/// What lies between data points; derived, so that it cannot contradict the fitted curve.
std::string_view interpolation_of(EfficiencyCurve const& curve) {
    bool const knots =
        !curve.fitted_curve || std::holds_alternative<PiecewiseLinear>(curve.fitted_curve->form);
    return knots ? "linear_in_log10_work" : "formula";
}

EfficiencyCurve curve_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    EfficiencyCurve curve;
    curve.axis = fields.word("axis", parse_axis, "\"flops\" or \"bytes\"");
    curve.source = fields.word("source", parse_curve_source,
                               "measured, imported, legacy_hardcoded or default");
    std::size_t index = 0;
    for (auto const& point : fields.array("data_points")) {
        curve.data_points.push_back(
            data_point_from_json(point, fields.where("data_points", index++), curve.axis));
    }
    if (auto const* fitted = fields.find("fitted_curve")) {
        curve.fitted_curve = fitted_from_json(*fitted, fields.where("fitted_curve"));
    }
    if (fields.find("diagnostics")) {
        index = 0;
        for (auto const& fitted : fields.array("diagnostics")) {
            curve.diagnostics.push_back(
                fitted_from_json(fitted, fields.where("diagnostics", index++)));
        }
    }
    if (auto residual = fields.optional_object("residual_model")) {
        curve.residual_model = residual_from_json(*residual);
    }
    curve.log_variance = fields.optional_number("log_variance");
    if (fields.find("common_log_variance")) {
        curve.common_log_variance = fields.not_negative("common_log_variance");
        if (*curve.common_log_variance > curve.log_variance.value_or(0)) {
            fields.fail("common_log_variance", "exceeds log_variance", "a part of it");
        }
    }
    curve.variance_scale = fields.optional_positive("variance_scale");
    curve.mean_correction = fields.optional_positive("mean_correction").value_or(1);
    curve.work_range = interval_of(fields, "work_range");
    curve.byte_range = interval_of(fields, "byte_range");
    curve.regimes = texts_or_none(fields, "regimes");
    curve.kernels = fields.find("kernels") ? fields.integer<int>("kernels", 0) : 0;
    if (auto const given = fields.text("interpolation"); given != interpolation_of(curve)) {
        fields.fail("interpolation", std::string{"got \""}.append(given).append("\""),
                    std::string{"\""}.append(interpolation_of(curve)).append("\" for this form"));
    }
    if (fields.text("extrapolation") != "formula_widened") {
        fields.fail("extrapolation", "is another rule", "\"formula_widened\"");
    }
    fields.reject_unknown();
    return curve;
}

json to_json(EfficiencyCurve const& curve) {
    json points = json::array();
    for (auto const& point : curve.data_points) points.push_back(to_json(point, curve.axis));
    json diagnostics = json::array();
    for (auto const& fitted : curve.diagnostics) diagnostics.push_back(to_json(fitted));
    json written{
        {"axis", axis_name(curve.axis)},
        {"source", to_string(curve.source)},
        {"interpolation", interpolation_of(curve)},
        {"extrapolation", "formula_widened"},
        {"data_points", std::move(points)},
        {"fitted_curve", curve.fitted_curve ? to_json(*curve.fitted_curve) : json(nullptr)},
        {"diagnostics", std::move(diagnostics)},
        {"residual_model", curve.residual_model ? to_json(*curve.residual_model) : json(nullptr)},
        {"log_variance", json_or_null(curve.log_variance)},
        {"variance_scale", json_or_null(curve.variance_scale)},
        {"mean_correction", curve.mean_correction},
        {"work_range", to_json(curve.work_range)},
        {"byte_range", to_json(curve.byte_range)},
        {"regimes", curve.regimes},
        {"kernels", curve.kernels}};
    if (curve.common_log_variance) written["common_log_variance"] = *curve.common_log_variance;
    return written;
}

bool is_parent_key(std::string_view name) {
    if (name == "device") return true;
    for (auto const parent :
         {ParentType::conv, ParentType::matmul, ParentType::memory, ParentType::meta}) {
        if (to_string(parent) == name) return true;
    }
    return false;
}

IntervalModel interval_model_from_json(JsonFields fields) {
    IntervalModel model{
        .same_type_correlation = fields.number("same_type_correlation"),
        .cross_type_correlation = fields.number("cross_type_correlation"),
        .variance_factor = fields.positive("variance_factor"),
        .model_log_variance = fields.not_negative("model_log_variance"),
        .degrees_of_freedom = fields.positive("degrees_of_freedom"),
        .t_quantile = fields.positive("t_quantile"),
        .extrapolation_log_variance = fields.not_negative("extrapolation_log_variance"),
        .unseen_regime_log_variance = fields.not_negative("unseen_regime_log_variance"),
        .foreign_partition_log_variance = fields.not_negative("foreign_partition_log_variance"),
    };
    fields.reject_unknown();
    return model;
}

json to_json(IntervalModel const& model) {
    return {{"same_type_correlation", model.same_type_correlation},
            {"cross_type_correlation", model.cross_type_correlation},
            {"variance_factor", model.variance_factor},
            {"model_log_variance", model.model_log_variance},
            {"degrees_of_freedom", model.degrees_of_freedom},
            {"t_quantile", model.t_quantile},
            {"extrapolation_log_variance", model.extrapolation_log_variance},
            {"unseen_regime_log_variance", model.unseen_regime_log_variance},
            {"foreign_partition_log_variance", model.foreign_partition_log_variance}};
}

ContextFactor context_from_json(JsonFields fields) {
    ContextFactor context{.factor = fields.positive("factor"),
                          .operator_seconds = fields.not_negative("operator_seconds"),
                          .relative_std = fields.optional_number("relative_std"),
                          .models = fields.integer<int>("models", 0)};
    if (fields.find("largest_output_bytes")) {
        context.largest_output_bytes = fields.positive("largest_output_bytes");
    }
    if (fields.find("least_model_bytes")) {
        context.least_model_bytes = fields.positive("least_model_bytes");
    }
    fields.reject_unknown();
    return context;
}

json to_json(ContextFactor const& context) {
    json written{{"factor", context.factor},
                 {"operator_seconds", context.operator_seconds},
                 {"relative_std", json_or_null(context.relative_std)},
                 {"models", context.models}};
    if (auto const& bytes = context.largest_output_bytes) written["largest_output_bytes"] = *bytes;
    if (auto const& bytes = context.least_model_bytes) written["least_model_bytes"] = *bytes;
    return written;
}

Provenance provenance_from_json(JsonFields fields, bool measured) {
    Provenance provenance{
        .date = fields.text("date"),
        .oldest_date = fields.optional_text("oldest_date"),
        .tool_version = fields.text("tool_version"),
        .git_revision = fields.optional_text("git_revision"),
        .models_used = fields.texts("models_used"),
        .num_samples = fields.integer("num_samples", 0),
        .environment_hash = fields.optional_text("environment_hash"),
        .trust_grade = fields.optional_text("trust_grade"),
        .origin = fields.text("origin"),
        .evidence = {},
        .samples_sha256 = fields.optional_text("samples_sha256"),
        .value_rule = fields.has("value_rule") ? fields.optional_text("value_rule")
                                              : unstated_value_rule(measured),
    };
    if (fields.find("batches")) {
        std::size_t index = 0;
        for (auto const& batch : fields.array("batches")) {
            provenance.batches.push_back(
                integer_of<int>(batch, fields.where("batches", index++), 1));
        }
    }
    if (fields.find("evidence")) {
        std::size_t index = 0;
        for (auto const& file : fields.array("evidence")) {
            JsonFields entry{file, fields.where("evidence", index++)};
            provenance.evidence.push_back(
                {.file = entry.text("file"), .sha256 = entry.text("sha256")});
            // Evidence lies beside the calibration: a name that leads elsewhere is not one of ours.
            if (provenance.evidence.back().file.find('/') != std::string::npos) {
                entry.fail("file", "is a path", "a file name in evidence/");
            }
            entry.reject_unknown();
        }
    }
    fields.reject_unknown();
    return provenance;
}

json to_json(Provenance const& provenance) {
    json evidence = json::array();
    for (auto const& file : provenance.evidence) {
        evidence.push_back({{"file", file.file}, {"sha256", file.sha256}});
    }
    json written{{"date", provenance.date},
                 {"oldest_date", json_or_null(provenance.oldest_date)},
                 {"tool_version", provenance.tool_version},
                 {"git_revision", json_or_null(provenance.git_revision)},
                 {"models_used", provenance.models_used},
                 {"num_samples", provenance.num_samples},
                 {"environment_hash", json_or_null(provenance.environment_hash)},
                 {"trust_grade", json_or_null(provenance.trust_grade)},
                 {"origin", provenance.origin},
                 {"evidence", std::move(evidence)},
                 {"samples_sha256", json_or_null(provenance.samples_sha256)},
                 {"value_rule", json_or_null(provenance.value_rule)}};
    if (!provenance.batches.empty()) written["batches"] = provenance.batches;
    return written;
}

ValidationClaim claim_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    ValidationClaim claim{
        .leave_out = fields.text("leave_out"),
        .models = fields.integer<int>("models", 1),
        .mape_percent = fields.not_negative("mape_percent"),
        .bias_percent = fields.number("bias_percent"),
        .coverage_95 = fields.optional_number("coverage_95"),
        .median_half_width_percent = fields.optional_number("median_half_width_percent"),
        .noise_floor_percent = fields.optional_number("noise_floor_percent"),
        .noise_floor_basis = fields.optional_text("noise_floor_basis"),
        .verdict = fields.text("verdict"),
    };
    fields.reject_unknown();
    return claim;
}

json to_json(ValidationClaim const& claim) {
    return {{"leave_out", claim.leave_out},
            {"models", claim.models},
            {"mape_percent", claim.mape_percent},
            {"bias_percent", claim.bias_percent},
            {"coverage_95", json_or_null(claim.coverage_95)},
            {"median_half_width_percent", json_or_null(claim.median_half_width_percent)},
            {"noise_floor_percent", json_or_null(claim.noise_floor_percent)},
            {"noise_floor_basis", json_or_null(claim.noise_floor_basis)},
            {"verdict", claim.verdict}};
}

/// \throws InputError  another format; a newer version is named with the one this program reads
void require_schema(JsonFields& fields) {
    auto const given = fields.text("$schema");
    if (given == format_name) return;
    std::string problem{"got \""};
    problem.append(given).append("\"");
    fields.fail("$schema", problem,
                std::string{"this program reads \""}.append(format_name).append("\""));
}

}  // namespace

Calibration calibration_from_json(json const& value, std::string_view where) {
    auto calibration = calibration_without_rules(value, where);
    auto const broken = broken_rules(calibration);
    if (!broken.empty()) {
        auto const& [pointer, problem, required] = broken.front();
        throw InputError{std::string{where}.append("#").append(pointer), problem, required};
    }
    return calibration;
}

Calibration calibration_without_rules(json const& value, std::string_view where) {
    JsonFields fields{value, file_root(where)};
    require_schema(fields);
    Calibration calibration;
    calibration.hardware_id = fields.word("hardware_id", parse_hardware_id, hardware_id_rule);
    calibration.condition = condition_from_json(fields, ConditionDialect::calibration);
    calibration.condition.execution.device =
        fields.word("device_kind", parse_device_kind, "\"cpu\" or \"gpu\"");
    calibration.source = fields.word("source", parse_curve_source,
                                     "measured, imported, legacy_hardcoded or default");
    if (fields.at("units") != units()) {
        fields.fail("units", "are others", "the units of this version");
    }
    if (!calibration.condition.execution.allocator && calibration.source == CurveSource::measured &&
        is_host(calibration.condition.execution.device)) {
        calibration.condition.execution.allocator =
            Allocator::pinned;  // from derate's first version on
    }
    calibration.provisional = fields.find("provisional") && fields.flag("provisional");
    auto denominators = fields.object("denominators");
    calibration.peak_flops =
        peak_from_json(denominators.at("flops_per_second"), denominators.where("flops_per_second"));
    calibration.peak_bandwidth =
        peak_from_json(denominators.at("bytes_per_second"), denominators.where("bytes_per_second"));
    denominators.reject_unknown();
    calibration.provenance = provenance_from_json(fields.object("calibration_metadata"),
                                                  calibration.source == CurveSource::measured);

    auto const curves = fields.object("efficiency_curves");
    for (auto const& [key, curve_json] : fields.at("efficiency_curves").items()) {
        auto const [name, zero_flop] = split_curve_key(key);
        auto const type = parse_operation_type(name);
        if (!type) curves.fail(key, "is not a curve", "an operation type, or one with \"|0\"");
        auto curve = curve_from_json(curve_json, curves.where(key));
        curve.type = *type;
        curve.zero_flop = zero_flop;
        calibration.curves.push_back(std::move(curve));
    }
    if (auto const parents = fields.optional_object("parent_curves")) {
        for (auto const& [key, curve_json] : fields.at("parent_curves").items()) {
            auto const [name, zero_flop] = split_curve_key(key);
            if (!is_parent_key(name)) {
                parents->fail(key, "is not a parent", "conv, matmul, memory, meta or device");
            }
            auto curve = curve_from_json(curve_json, parents->where(key));
            curve.zero_flop = zero_flop;
            calibration.parent_curves.emplace(key, std::move(curve));
        }
    }
    if (fields.find("joined_operators")) {
        calibration.joined_operators = fields.texts("joined_operators");
    }
    if (auto model = fields.optional_object("interval_model")) {
        calibration.intervals = interval_model_from_json(*model);
    }
    if (auto context = fields.optional_object("context_factor")) {
        calibration.context = context_from_json(*context);
    }
    if (auto context = fields.optional_object("default_allocator_context_factor")) {
        calibration.default_allocator_context = context_from_json(*context);
    }
    if (fields.find("validation_claims")) {
        std::size_t index = 0;
        for (auto const& claim : fields.array("validation_claims")) {
            calibration.claims.push_back(
                claim_from_json(claim, fields.where("validation_claims", index++)));
        }
    }
    if (auto const* rules = fields.find("legacy_rules")) {
        calibration.legacy_rules = legacy_rules_from_json(*rules, fields.where("legacy_rules"));
    }
    if (auto const* rules = fields.find("default_rules")) {
        calibration.default_rules = default_rules_from_json(*rules, fields.where("default_rules"));
    }
    fields.reject_unknown();
    return calibration;
}

json to_json(Calibration const& calibration) {
    json result{{"$schema", format_name},
                {"hardware_id", calibration.hardware_id},
                {"device_kind", to_string(calibration.condition.execution.device)},
                {"source", to_string(calibration.source)},
                {"units", units()},
                {"provisional", calibration.provisional},
                {"denominators",
                 {{"flops_per_second", to_json(calibration.peak_flops)},
                  {"bytes_per_second", to_json(calibration.peak_bandwidth)}}},
                {"calibration_metadata", to_json(calibration.provenance)},
                {"efficiency_curves", json::object()}};
    add_condition(result, calibration.condition, ConditionDialect::calibration);
    for (auto const& curve : calibration.curves) {
        result["efficiency_curves"][curve_key(curve)] = to_json(curve);
    }
    // Rules have neither curves nor intervals: absent is more honest than a default.
    if (!calibration.curves.empty() || !calibration.parent_curves.empty()) {
        auto& parents = result["parent_curves"] = json::object();
        for (auto const& [key, curve] : calibration.parent_curves) parents[key] = to_json(curve);
        if (auto const& joined = calibration.joined_operators) result["joined_operators"] = *joined;
        result["interval_model"] = to_json(calibration.intervals);
        result["context_factor"] = to_json(calibration.context);
        if (auto const& context = calibration.default_allocator_context) {
            result["default_allocator_context_factor"] = to_json(*context);
        }
        auto& claims = result["validation_claims"] = json::array();
        for (auto const& claim : calibration.claims) claims.push_back(to_json(claim));
    }
    if (calibration.legacy_rules) result["legacy_rules"] = to_json(*calibration.legacy_rules);
    if (calibration.default_rules) result["default_rules"] = to_json(*calibration.default_rules);
    return result;
}

}  // namespace derate
