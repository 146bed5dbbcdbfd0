#include "storage/measurement_json.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "core/value_rule.hpp"
#include "storage/condition_json.hpp"
#include "storage/fields.hpp"

namespace derate {
namespace {

using nlohmann::json;

json shape_to_json(std::vector<std::int64_t> const& shape) {
    return shape.empty() ? json(nullptr) : json(shape);
}

std::vector<std::int64_t> shape_from_json(JsonFields& fields, std::string_view name) {
    if (!fields.find(name)) return {};
    std::vector<std::int64_t> shape;
    for (auto const& size : fields.array(name)) {
        shape.push_back(integer_of<std::int64_t>(size, fields.where(name, shape.size()), 0));
    }
    return shape;
}

AttributeValue attribute_from_json(json const& value, JsonFields const& fields,
                                   std::string_view name) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>();
    if (value.is_string()) return value.get<std::string>();
    if (value.is_array()) {
        std::vector<double> numbers;
        for (auto const& element : value) {
            if (!element.is_number()) fields.fail(name, "got " + element.dump(), "numbers");
            numbers.push_back(element.get<double>());
        }
        return numbers;
    }
    fields.fail(name, "got " + value.dump(), "a number, numbers, a flag or a word");
}

/// Whole numbers without ".0": they are sizes and counts.
json plain(double value) {
    if (value == std::floor(value) && std::abs(value) < 9e15) {
        return static_cast<std::int64_t>(value);
    }
    return value;
}

json attribute_to_json(AttributeValue const& value) {
    if (auto const* number = std::get_if<double>(&value)) return plain(*number);
    if (auto const* numbers = std::get_if<std::vector<double>>(&value)) {
        json result = json::array();
        for (double const number : *numbers) result.push_back(plain(number));
        return result;
    }
    return std::visit([](auto const& plain_value) { return json(plain_value); }, value);
}

SubgraphNode node_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    SubgraphNode node{
        .name = fields.text("name"),
        .op = fields.text("op"),
        .input_shape = shape_from_json(fields, "input_shape"),
        .output_shape = shape_from_json(fields, "output_shape"),
        .attributes = {},
    };
    if (auto const attributes = fields.optional_object("attributes")) {
        for (auto const& [name, attribute] : fields.at("attributes").items()) {
            node.attributes.emplace(name, attribute_from_json(attribute, *attributes, name));
        }
    }
    fields.reject_unknown();
    return node;
}

json node_to_json(SubgraphNode const& node) {
    json result{{"name", node.name},
                {"op", node.op},
                {"input_shape", shape_to_json(node.input_shape)},
                {"output_shape", shape_to_json(node.output_shape)}};
    if (!node.attributes.empty()) {
        auto& attributes = result["attributes"] = json::object();
        for (auto const& [name, value] : node.attributes) {
            attributes[name] = attribute_to_json(value);
        }
    }
    return result;
}

/// A time that some clock can tell, in ms: a millionth of a femtosecond to 30,000 years. What lies
/// outside makes rates that no double holds.
double time_of(JsonFields& fields, char const* key) {
    double const ms = fields.positive(key);
    if (!(ms >= 1e-18 && ms <= 1e18)) fields.fail(key, "is no time", "1e-18 to 1e18 ms");
    return ms;
}

/// Work and rates that machines have, so that no quotient of them leaves the range of a double.
double bounded(JsonFields& fields, char const* key, double value, double least) {
    constexpr double most = 1e30;
    if (value != 0 && !(value >= least && value <= most)) {
        fields.fail(key, "is out of the range of machines", "up to 1e30");
    }
    return value;
}

double work_of(JsonFields& fields, char const* key) {
    return bounded(fields, key, fields.not_negative(key), 0);
}

double rate_of(JsonFields& fields, char const* key) {
    return bounded(fields, key, fields.positive(key), 1e-6);
}

LaunchTimes launch_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    LaunchTimes launch{
        .times_ms = {.count = fields.integer("count", 1),
                     .mean = time_of(fields, "mean"),
                     .sum_squared_deviations = fields.not_negative("m2")},
        .lower_quartile_ms = time_of(fields, "lower_quartile"),
        .median_ms = time_of(fields, "median"),
        .upper_quartile_ms = time_of(fields, "upper_quartile"),
        .min_ms = time_of(fields, "min"),
        .max_ms = time_of(fields, "max"),
        .least_ms = fields.find("least") ? std::optional{time_of(fields, "least")} : std::nullopt,
        .steady = fields.flag("steady"),
        .launch = fields.find("launch")
                      ? std::optional{fields.integer<int>("launch", 0)}
                      : std::nullopt,
    };
    fields.reject_unknown();
    return launch;
}

json launch_to_json(LaunchTimes const& launch) {
    return {{"count", launch.times_ms.count},
            {"mean", launch.times_ms.mean},
            {"m2", launch.times_ms.sum_squared_deviations},
            {"lower_quartile", launch.lower_quartile_ms},
            {"median", launch.median_ms},
            {"upper_quartile", launch.upper_quartile_ms},
            {"min", launch.min_ms},
            {"max", launch.max_ms},
            {"least", json_or_null(launch.least_ms)},
            {"steady", launch.steady},
            {"launch", json_or_null(launch.launch)}};
}

Timing timing_from_fields(JsonFields& fields) {
    Timing timing;
    if (fields.find("statistic")) {
        timing.statistic = fields.word(
            "statistic",
            [](std::string_view name) -> std::optional<CenterStatistic> {
                for (auto const statistic :
                     {CenterStatistic::faster_launches, CenterStatistic::least,
                      CenterStatistic::mean, CenterStatistic::mean_of_launch_medians}) {
                    if (to_string(statistic) == name) return statistic;
                }
                return std::nullopt;
            },
            "\"faster_launches\", \"least\", \"mean\" or \"mean_of_launch_medians\"");
    } else {
        timing.statistic = CenterStatistic::mean;
    }
    timing.mean_ms = time_of(fields, "mean");
    timing.center_ms = fields.find("center") ? time_of(fields, "center") : timing.mean_ms;
    timing.std_ms = fields.optional_number("std");
    timing.min_ms = fields.optional_number("min");
    timing.max_ms = fields.optional_number("max");
    timing.samples = fields.integer("samples", 1);
    if (fields.find("launches")) {
        std::size_t index = 0;
        for (auto const& launch : fields.array("launches")) {
            timing.launches.push_back(launch_from_json(launch, fields.where("launches", index++)));
        }
    }
    fields.reject_unknown();
    return timing;
}

std::optional<DeviceKind> parse_kind(std::string_view name) {
    for (auto const kind : all_device_kinds) {
        if (to_string(kind) == name) return kind;
    }
    return std::nullopt;
}

MeasurementSource source_from_json(JsonFields fields) {
    MeasurementSource source;
    source.origin = fields.text("origin");
    source.campaign = fields.text("campaign");
    source.date = fields.text("date");
    source.file = fields.text("file");
    source.timing = fields.text("timing");
    // A file that does not say so was not written by this program.
    source.imported = fields.find("imported") ? fields.flag("imported") : true;
    source.environment_hash = fields.optional_text("environment_hash").value_or("");
    source.trust_grade = fields.optional_text("trust_grade");
    source.value_rule = fields.has("value_rule") ? fields.optional_text("value_rule")
                                              : unstated_value_rule(!source.imported);
    fields.reject_unknown();
    return source;
}

json source_to_json(MeasurementSource const& source) {
    return {{"origin", source.origin},
            {"campaign", source.campaign},
            {"date", source.date},
            {"file", source.file},
            {"timing", source.timing},
            {"imported", source.imported},
            {"environment_hash",
             source.environment_hash.empty() ? json(nullptr) : json(source.environment_hash)},
            {"value_rule", json_or_null(source.value_rule)},
            {"trust_grade", json_or_null(source.trust_grade)}};
}

/// Other tools count indexing by a tensor among the views. It moves data: a view of a tensor holds
/// no more than the tensor.
bool moves_data(Subgraph const& foreign) {
    return foreign.traffic.output.value() > foreign.traffic.input.value();
}

Subgraph subgraph_from_fields(JsonFields& fields) {
    Subgraph subgraph;
    subgraph.id = fields.integer<int>("subgraph_id", 0);
    subgraph.fusion_pattern = fields.text("fusion_pattern");
    subgraph.type = fields.word("operation_type", parse_operation_type,
                                "an operation type of docs/taxonomy.md");
    std::size_t index = 0;
    for (auto const& node : fields.array("nodes")) {
        subgraph.nodes.push_back(node_from_json(node, fields.where("nodes", index++)));
    }
    if (subgraph.nodes.empty()) fields.fail("nodes", "is empty", "one node or more");
    subgraph.work = Flops{work_of(fields, "flops")};
    auto bytes = fields.object("bytes");
    subgraph.traffic = {.input = Bytes{work_of(bytes, "input")},
                        .weights = Bytes{work_of(bytes, "weights")},
                        .output = Bytes{work_of(bytes, "output")}};
    bytes.reject_unknown();
    subgraph.descriptor = fields.optional_text("descriptor").value_or("");
    bool const is_foreign = subgraph.descriptor.empty();
    if (is_foreign && subgraph.type == OperationType::meta && moves_data(subgraph)) {
        subgraph.type = OperationType::copy;
    }
    return subgraph;
}

/// The roadmap's `efficiency` object: statistics of rate over peak, from those of the time.
json efficiency_to_json(double work, Timing const& timing, double peak) {
    double const work_per_ms = work / peak * ms_per_second;
    double const mean = work_per_ms / timing.center_ms;
    json result{
        {"mean", mean}, {"std", nullptr}, {"ci_95_lower", nullptr}, {"ci_95_upper", nullptr}};
    if (timing.std_ms) result["std"] = mean * *timing.std_ms / timing.mean_ms;
    if (timing.launches.size() > 1) {
        if (auto const center = interval_of_center(timing.launches)) {
            result["ci_95_lower"] = work_per_ms / center->interval.upper;
            result["ci_95_upper"] = work_per_ms / center->interval.lower;
        }
    }
    return result;
}

json measured_to_json(MeasuredSubgraph const& measured, std::optional<PeakRate> const& peak_flops,
                      std::optional<PeakRate> const& peak_bandwidth) {
    auto result = to_json(measured.subgraph);
    auto const& timing = measured.isolated;
    double const flops = measured.subgraph.work.value();
    double const bytes = measured.subgraph.traffic.total().value();
    result["measured_latency_ms"] = json_or_null(timing);
    result["in_context_latency_ms"] = json_or_null(measured.in_context);
    result["failure"] = json_or_null(measured.failure);
    result["theoretical_peak_flops"] = peak_flops ? json(peak_flops->per_second) : json(nullptr);
    result["achieved_flops"] =
        timing ? json(flops / timing->center_ms * ms_per_second) : json(nullptr);
    result["achieved_bytes_per_s"] =
        timing ? json(bytes / timing->center_ms * ms_per_second) : json(nullptr);
    result["efficiency"] = timing && peak_flops && flops > 0
                               ? efficiency_to_json(flops, *timing, peak_flops->per_second)
                               : json(nullptr);
    result["bandwidth_efficiency"] =
        timing && peak_bandwidth && bytes > 0
            ? efficiency_to_json(bytes, *timing, peak_bandwidth->per_second)
            : json(nullptr);
    result["interval_kind"] = "confidence_of_mean";
    return result;
}

MeasuredSubgraph measured_from_json(json const& value, std::string where) {
    JsonFields fields{value, std::move(where)};
    MeasuredSubgraph measured{.subgraph = subgraph_from_fields(fields),
                              .isolated = std::nullopt,
                              .in_context = std::nullopt,
                              .failure = fields.optional_text("failure")};
    if (auto timing = fields.optional_object("measured_latency_ms")) {
        measured.isolated = timing_from_fields(*timing);
    } else if (!measured.failure) {
        fields.fail("measured_latency_ms", "is missing",
                    "a latency, or a failure that says why not");
    }
    if (auto timing = fields.optional_object("in_context_latency_ms")) {
        measured.in_context = timing_from_fields(*timing);
    }
    for (auto const* computed : {"theoretical_peak_flops", "achieved_flops", "achieved_bytes_per_s",
                                 "efficiency", "bandwidth_efficiency", "interval_kind"}) {
        fields.ignore(computed);
    }
    fields.reject_unknown();
    return measured;
}

}  // namespace

std::optional<PeakRate> peak_from_json(json const& value, std::string_view where) {
    if (value.is_null()) return std::nullopt;
    JsonFields fields{value, std::string{where}};
    PeakRate peak{
        .per_second = rate_of(fields, "per_second"),
        .source = fields.text("source"),
        .method = fields.optional_text("method").value_or(""),
        .relative_spread = fields.optional_number("relative_spread"),
        .clock_hz = fields.optional_positive("clock_hz"),
    };
    fields.reject_unknown();
    return peak;
}

json to_json(std::optional<PeakRate> const& peak) {
    if (!peak) return nullptr;
    return {{"per_second", peak->per_second},
            {"source", peak->source},
            {"method", peak->method},
            {"relative_spread", json_or_null(peak->relative_spread)},
            {"clock_hz", json_or_null(peak->clock_hz)}};
}

/// A measurement has one precision and thread count, so at most one peak of each kind.
Hardware measured_hardware_from_json(json const& value, std::string_view where,
                                     Condition const& condition) {
    JsonFields fields{value, std::string{where}};
    Hardware hardware{
        .id = fields.word("id", parse_hardware_id, hardware_id_rule),
        .kind = fields.word("kind", parse_kind, "\"cpu\" or \"gpu\""),
        .name = fields.text("name"),
        .compute_peaks = {},
        .bandwidth_peaks = {},
        .last_level_cache_bytes = fields.optional_positive("last_level_cache_bytes"),
        .power_mode = fields.optional_text("power_mode"),
    };
    std::optional<PeakRate> compute;
    std::optional<PeakRate> bandwidth;
    if (auto const* peak = fields.find("compute_peak")) {
        compute = peak_from_json(*peak, fields.where("compute_peak"));
    }
    if (auto const* peak = fields.find("bandwidth_peak")) {
        bandwidth = peak_from_json(*peak, fields.where("bandwidth_peak"));
    }
    // The sparse form: two plain numbers with one source.
    auto const source = fields.optional_text("peak_source").value_or("");
    if (auto const rate = fields.optional_positive("peak_flops")) {
        compute = PeakRate{.per_second = bounded(fields, "peak_flops", *rate, 1e-6),
                           .source = source,
                           .method = "",
                           .relative_spread = std::nullopt,
                           .clock_hz = std::nullopt};
    }
    if (auto const rate = fields.optional_positive("peak_bandwidth_bytes_per_s")) {
        bandwidth = PeakRate{.per_second =
                                 bounded(fields, "peak_bandwidth_bytes_per_s", *rate, 1e-6),
                             .source = source,
                             .method = "",
                             .relative_spread = std::nullopt,
                             .clock_hz = std::nullopt};
    }
    if (compute) {
        hardware.compute_peaks.push_back({.precision = condition.precision,
                                          .threads = condition.execution.threads,
                                          .rate = *compute});
    }
    if (bandwidth) {
        hardware.bandwidth_peaks.push_back(
            {.threads = condition.execution.threads, .rate = *bandwidth});
    }
    fields.reject_unknown();
    return hardware;
}

json measured_hardware_to_json(Hardware const& hardware, Condition const& condition) {
    return {{"id", hardware.id},
            {"kind", to_string(hardware.kind)},
            {"name", hardware.name},
            {"last_level_cache_bytes", json_or_null(hardware.last_level_cache_bytes)},
            {"power_mode", json_or_null(hardware.power_mode)},
            {"compute_peak",
             to_json(hardware.compute_peak(condition.precision, condition.execution.threads))},
            {"bandwidth_peak", to_json(hardware.bandwidth_peak(condition.execution.threads))}};
}

Subgraph subgraph_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, std::string{where}};
    auto subgraph = subgraph_from_fields(fields);
    fields.reject_unknown();
    return subgraph;
}

json to_json(Subgraph const& subgraph) {
    json nodes = json::array();
    for (auto const& node : subgraph.nodes) nodes.push_back(node_to_json(node));
    json result{{"subgraph_id", subgraph.id},
                {"fusion_pattern", subgraph.fusion_pattern},
                {"operation_type", to_string(subgraph.type)},
                {"nodes", std::move(nodes)},
                {"flops", plain(subgraph.work.value())},
                {"bytes",
                 {{"input", plain(subgraph.traffic.input.value())},
                  {"weights", plain(subgraph.traffic.weights.value())},
                  {"output", plain(subgraph.traffic.output.value())}}}};
    if (!subgraph.descriptor.empty()) result["descriptor"] = subgraph.descriptor;
    return result;
}

Timing timing_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, std::string{where}};
    return timing_from_fields(fields);
}

json to_json(Timing const& timing) {
    json launches = json::array();
    for (auto const& launch : timing.launches) launches.push_back(launch_to_json(launch));
    return {{"statistic", to_string(timing.statistic)},
            {"center", timing.center_ms},
            {"mean", timing.mean_ms},
            {"std", json_or_null(timing.std_ms)},
            {"min", json_or_null(timing.min_ms)},
            {"max", json_or_null(timing.max_ms)},
            {"samples", timing.samples},
            {"launches", std::move(launches)}};
}

Measurement measurement_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, file_root(where)};
    require_format(fields, "derate_measurement", 1);
    Measurement measurement;
    measurement.model = fields.text("model");
    measurement.model_family = fields.text("model_family");
    measurement.batch = optional_batch(fields);
    measurement.condition = condition_from_json(fields, ConditionDialect::measurement);
    measurement.hardware = measured_hardware_from_json(
        fields.at("hardware"), fields.where("hardware"), measurement.condition);
    measurement.condition.execution.device = measurement.hardware.kind;
    measurement.source = source_from_json(fields.object("source"));
    if (!measurement.condition.execution.allocator && !measurement.source.imported &&
        is_host(measurement.hardware.kind)) {
        measurement.condition.execution.allocator =
            Allocator::pinned;  // derate pinned it before it said so
    }
    if (auto timing = fields.optional_object("whole_model_latency_ms")) {
        measurement.whole_model = timing_from_fields(*timing);
    }
    std::size_t index = 0;
    for (auto const& subgraph : fields.array("subgraphs")) {
        measurement.subgraphs.push_back(
            measured_from_json(subgraph, fields.where("subgraphs", index++)));
    }
    if (measurement.subgraphs.empty()) fields.fail("subgraphs", "is empty", "one subgraph or more");
    fields.reject_unknown();
    return measurement;
}

json to_json(Measurement const& measurement) {
    auto const peak_flops = measurement.hardware.compute_peak(
        measurement.condition.precision, measurement.condition.execution.threads);
    auto const peak_bandwidth =
        measurement.hardware.bandwidth_peak(measurement.condition.execution.threads);
    json subgraphs = json::array();
    for (auto const& measured : measurement.subgraphs) {
        subgraphs.push_back(measured_to_json(measured, peak_flops, peak_bandwidth));
    }
    json file{{"format", "derate_measurement"},
              {"version", 1},
              {"model", measurement.model},
              {"model_family", measurement.model_family},
              {"batch", json_or_null(measurement.batch)},
              {"hardware", measured_hardware_to_json(measurement.hardware, measurement.condition)},
              {"source", source_to_json(measurement.source)},
              {"whole_model_latency_ms", json_or_null(measurement.whole_model)},
              {"subgraphs", std::move(subgraphs)}};
    add_condition(file, measurement.condition, ConditionDialect::measurement);
    return file;
}

}  // namespace derate
