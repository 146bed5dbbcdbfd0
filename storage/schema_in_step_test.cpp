// Schema, codec and documentation say the same: each field of one is a field of the others.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/input_error.hpp"
#include "core/warning.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/legacy_rules_json.hpp"
#include "storage/measurement_json.hpp"
#include "storage/schema_check.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json const& resolved(json const& root, json const& node) {
    auto const reference = node.find("$ref");
    if (reference == node.end()) return node;
    return root.at(json::json_pointer{reference->get<std::string>().substr(1)});
}

/// A part that the schema defines once is one place, wherever it is used.
std::string place_of(json const& root, json const& node, std::string const& path) {
    auto const reference = node.find("$ref");
    if (reference == node.end() || !resolved(root, node).contains("properties")) return path;
    return reference->get<std::string>();
}

/// Paths of all fields the schema names: "/subgraphs/[]/bytes/input"; "*" is any key.
void schema_paths(json const& root, json const& unresolved, std::string const& parent,
                  std::set<std::string>& paths) {
    auto const& node = resolved(root, unresolved);
    auto const path = place_of(root, unresolved, parent);
    if (node.contains("properties")) {
        for (auto const& [name, child] : node["properties"].items()) {
            paths.insert(path + "/" + name);
            schema_paths(root, child, path + "/" + name, paths);
        }
    }
    if (node.contains("items")) schema_paths(root, node["items"], path + "/[]", paths);
    if (node.contains("additionalProperties") && node["additionalProperties"].is_object()) {
        schema_paths(root, node["additionalProperties"], path + "/*", paths);
    }
}

/// Paths of all fields that a document holds, in the same spelling.
void document_paths(json const& root, json const& unresolved, json const& value,
                    std::string const& parent, std::set<std::string>& paths) {
    auto const& node = resolved(root, unresolved);
    auto const path = place_of(root, unresolved, parent);
    if (value.is_array()) {
        for (auto const& item : value) {
            if (node.contains("items"))
                document_paths(root, node["items"], item, path + "/[]", paths);
        }
    } else if (value.is_object()) {
        for (auto const& [key, member] : value.items()) {
            if (node.contains("properties") && node["properties"].contains(key)) {
                paths.insert(path + "/" + key);
                document_paths(root, node["properties"][key], member, path + "/" + key, paths);
            } else if (node.contains("additionalProperties") &&
                       node["additionalProperties"].is_object()) {
                document_paths(root, node["additionalProperties"], member, path + "/*", paths);
            } else {
                paths.insert(path + "/" + key + " (not in the schema)");
            }
        }
    }
}

json schema_of(SchemaName name) { return parse_json(schema_text(name), to_string(name)); }

/// Both directions at once: what the codec writes of a value with every field set is what the
/// schema names.
void expect_in_step(SchemaName name, json const& everything) {
    auto const schema = schema_of(name);
    std::set<std::string> named;
    std::set<std::string> written;
    schema_paths(schema, schema, "", named);
    document_paths(schema, schema, everything, "", written);
    for (auto const& path : named) {
        EXPECT_TRUE(written.contains(path))
            << path << " is in the schema and the codec writes none";
    }
    for (auto const& path : written) {
        EXPECT_TRUE(named.contains(path)) << path << " is written and the schema knows none";
    }
    for (auto const& violation : check_schema(everything, name)) {
        ADD_FAILURE() << violation.pointer << ": " << violation.problem << " ("
                      << violation.required << ")";
    }
}

PeakRate peak(double per_second) {
    return {.per_second = per_second,
            .source = "measured",
            .method = "fma",
            .relative_spread = 0.01,
            .clock_hz = 2.5e9};
}

EfficiencyCurve full_curve(bool zero_flop) {
    EfficiencyCurve curve{.zero_flop = zero_flop,
                          .axis = zero_flop ? WorkAxis::bytes : WorkAxis::flops};
    for (double const work : {1e6, 2.5e7}) {
        curve.data_points.push_back({.work = work,
                                     .efficiency_mean = 0.347,
                                     .efficiency_std = 0.021,
                                     .efficiency_min = 0.29,
                                     .efficiency_max = 0.4,
                                     .num_observations = 50,
                                     .source_subgraphs = {"resnet18/1/5"},
                                     .between_model_std = 0.01,
                                     .confidence_interval_of_mean = Interval{0.341, 0.353},
                                     .prediction_interval = Interval{0.3, 0.39}});
    }
    AdditiveRoofline const roofline{.kernel_seconds = 2e-6,
                                    .flop_coefficient = 1e-11,
                                    .flop_exponent = 1,
                                    .byte_coefficient = 1e-10,
                                    .byte_exponent = 1,
                                    .joined_flop_coefficient = 1e-10,
                                    .cache_byte_seconds = 1e-10,
                                    .last_level_cache_bytes = 3e7,
                                    .joined_flops_per_byte = 2};
    curve.fitted_curve = FittedCurve{roofline, 0.99, 0.1, {1, 0, 1}};
    curve.diagnostics = {FittedCurve{PiecewiseLinear{{1e6, 1e8}, {0.1, 1.0 / 3}}, 0.9, 0.2, {}},
                         FittedCurve{LogLinear{0.1, 0.05}, 0.8, 0.3, {}},
                         FittedCurve{Sigmoid{0.9, 1.5, 7.5}, std::nullopt, std::nullopt, {}}};
    curve.residual_model = ResidualModel{.features = {"log_m", "log_n"},
                                         .points = {1, 2, 3, 4},
                                         .point_regimes = {"", "strided"},
                                         .weights = {0.5, -0.25},
                                         .packed_factor = {1, 0.5, 1},
                                         .amplitude = 0.7,
                                         .length_scale = 2,
                                         .noise = 0.05,
                                         .regime_distance = 4,
                                         .trend_share = 0.5,
                                         .trend_length_scale = 6};
    curve.log_variance = 0.01;
    curve.common_log_variance = 0.004;
    curve.variance_scale = 1.2;
    curve.mean_correction = 1.02;
    curve.work_range = Interval{1e6, 2.5e7};
    curve.byte_range = Interval{1e4, 1e7};
    curve.regimes = {"strided"};
    curve.kernels = 12;
    return curve;
}

json full_calibration() {
    Calibration calibration{
        .hardware_id = "epyc",
        .condition = {.execution = {.threads = 2, .allocator = Allocator::pinned},
                      .precision = Precision::bf16,
                      .cache_state = CacheState::cold_all,
                      .partition = "derate_1",
                      .flop_rule = "derate_1"},
        .source = CurveSource::measured,
        .peak_flops = peak(1e11),
        .peak_bandwidth = peak(2e10),
        .provisional = true};
    for (auto const type : all_operation_types) {
        for (bool const zero_flop : {false, true}) {
            calibration.curves.push_back(full_curve(zero_flop));
            calibration.curves.back().type = type;
        }
    }
    for (auto const* parent : {"conv", "matmul", "memory", "meta", "device"}) {
        calibration.parent_curves.emplace(parent, full_curve(false));
        calibration.parent_curves.emplace(std::string{parent}.append("|0"), full_curve(true));
    }
    calibration.intervals.t_quantile = 2.2;
    calibration.context = {.factor = 1.013,
                           .operator_seconds = 2e-6,
                           .relative_std = 0.025,
                           .models = 14,
                           .least_model_bytes = 2e7};
    calibration.default_allocator_context = {.factor = 1.4,
                                             .operator_seconds = 0,
                                             .relative_std = 0.3,
                                             .models = 14,
                                             .largest_output_bytes = 1.3e7,
                                             .least_model_bytes = 2e7};
    calibration.joined_operators = {"relu", "silu"};
    calibration.provenance = {.date = "2026-11-22T18:00:00Z",
                              .oldest_date = "2026-11-20T18:00:00Z",
                              .tool_version = "derate 0.1.0",
                              .git_revision = "abc",
                              .models_used = {"resnet18", "vgg16"},
                              .batches = {1, 16},
                              .num_samples = 5000,
                              .environment_hash = std::string(64, 'a'),
                              .trust_grade = "C",
                              .origin = "derate",
                              .evidence = {{"efficiency_curves.json.gz", std::string(64, 'b')}},
                              .samples_sha256 = std::string(64, 'c')};
    calibration.provenance.value_rule = "derate_2";
    calibration.claims = {{.leave_out = "family",
                           .models = 14,
                           .mape_percent = 4.5,
                           .bias_percent = -1,
                           .coverage_95 = 0.95,
                           .median_half_width_percent = 12,
                           .noise_floor_percent = 3,
                           .noise_floor_basis = "between campaigns",
                           .verdict = "PASS"}};
    auto const orin = read_json(fs::path{DERATE_SOURCE_DIR} /
                                "hardware_registry/gpu/jetson_orin_agx/efficiency_curves.json");
    calibration.legacy_rules = legacy_rules_from_json(orin.at("legacy_rules"), "orin");
    calibration.legacy_rules->features.begin()->second = {{"a"}, {"b"}, {"c"}, {"d"}, {"e"}};
    calibration.legacy_rules->features.emplace("f", LegacyFeature{});
    LegacyCondition const condition{{"f"}, {"f"}, {"f"}, 1.0, 2.0, 3.0};
    calibration.legacy_rules->overheads.push_back(
        {LegacyOverheadRule::Action::set, condition, {{condition, 5}}});
    calibration.legacy_rules->compute_scales.front().when = condition;
    calibration.legacy_rules->bandwidth_scales.front().when = condition;
    calibration.legacy_rules->bandwidth_scales.back().segments.front().multiplier = 2;
    calibration.legacy_rules->corrections.push_back({condition, 2});
    DefaultRules rules{.same_type_correlation = 0.4,
                       .cross_type_correlation = 0.15,
                       .model_log_variance = 0.1,
                       .degrees_of_freedom = 3,
                       .t_quantile = 3.18,
                       .fallback_compute_peaks = {{Precision::fp32, 1, peak(1e11)}},
                       .fallback_bandwidth_peak = peak(1e10)};
    DefaultRule const rule{0.2, 0.3, 1e-5, 0.5};
    for (auto const* name : {"any", "conv", "matmul", "memory", "meta"}) rules.rules[name] = rule;
    for (auto const type : all_operation_types) rules.rules[std::string{to_string(type)}] = rule;
    calibration.default_rules = rules;
    return to_json(calibration);
}

json full_hardware() {
    return to_json(Hardware{.id = "epyc",
                            .kind = DeviceKind::cpu,
                            .name = "AMD EPYC",
                            .compute_peaks = {{Precision::fp32, 2, peak(1e11)}},
                            .bandwidth_peaks = {{2, peak(1e10)}},
                            .last_level_cache_bytes = 3e7,
                            .power_mode = "maxn"});
}

json full_measurement() {
    LaunchTimes const launch{.times_ms = {.count = 10, .mean = 2, .sum_squared_deviations = 0.1},
                             .lower_quartile_ms = 1.9,
                             .median_ms = 2,
                             .upper_quartile_ms = 2.1,
                             .min_ms = 1.8,
                             .max_ms = 2.3,
                             .launch = 3};
    auto const timing = timing_of({launch, launch});
    Subgraph const subgraph{.fusion_pattern = "Linear",
                            .type = OperationType::linear,
                            .nodes = {{.name = "fc",
                                       .op = "linear",
                                       .input_shape = {1, 512},
                                       .output_shape = {1, 1000},
                                       .attributes = {{"m", 1.0}}}},
                            .work = Flops{1024000},
                            .traffic = {Bytes{2048}, Bytes{2048000}, Bytes{4000}},
                            .descriptor = "linear"};
    Measurement measurement{.model = "resnet18", .model_family = "resnet"};
    measurement.condition.execution.threads = 1;
    measurement.condition.partition = "derate_1";
    measurement.condition.flop_rule = "derate_1";
    measurement.hardware = {.id = "epyc",
                            .name = "AMD EPYC",
                            .compute_peaks = {{Precision::fp32, 1, peak(1e11)}},
                            .bandwidth_peaks = {{1, peak(1e10)}}};
    measurement.source = {.origin = "derate 0.1.0", .environment_hash = std::string(64, 'a')};
    measurement.condition.execution.allocator = Allocator::untouched;
    measurement.whole_model = timing;
    measurement.subgraphs = {{.subgraph = subgraph, .isolated = timing, .in_context = timing}};
    auto document = to_json(measurement);
    // The sparse form of imported files has three fields that the full form never writes.
    document["hardware"]["peak_flops"] = 1e11;
    document["hardware"]["peak_bandwidth_bytes_per_s"] = 1e10;
    document["hardware"]["peak_source"] = "stated";
    return document;
}

TEST(SchemaInStep, Calibration) {
    auto const document = full_calibration();
    expect_in_step(SchemaName::efficiency_calibration, document);
    // Rules allow one source a file; every field at once has to do without them.
    EXPECT_EQ(to_json(calibration_without_rules(document, "f")), document);
}

TEST(SchemaInStep, Hardware) {
    auto const document = full_hardware();
    expect_in_step(SchemaName::hardware, document);
    EXPECT_EQ(to_json(hardware_from_json(document, "f")), document);
}

TEST(SchemaInStep, Measurement) {
    auto const document = full_measurement();
    expect_in_step(SchemaName::measurement, document);
    auto const written = to_json(measurement_from_json(document, "f"));
    EXPECT_EQ(to_json(measurement_from_json(written, "f")), written);
}

/// What the codec needs, the schema demands: a file that passes the check can be read.
void expect_schema_demands_what_codec_needs(SchemaName name, json const& everything,
                                            auto const& decode) {
    for (auto const& [key, value] : everything.items()) {
        auto without = everything;
        without.erase(key);
        bool decoded = true;
        try {
            (void)decode(without, "f");
        } catch (InputError const&) {
            decoded = false;
        }
        EXPECT_TRUE(decoded || !check_schema(without, name).empty())
            << to_string(name) << " " << key;
    }
}

TEST(SchemaInStep, SchemaDemandsWhatTheCodecNeeds) {
    expect_schema_demands_what_codec_needs(SchemaName::efficiency_calibration, full_calibration(),
                                           calibration_without_rules);
    expect_schema_demands_what_codec_needs(SchemaName::hardware, full_hardware(),
                                           hardware_from_json);
    expect_schema_demands_what_codec_needs(SchemaName::measurement, full_measurement(),
                                           measurement_from_json);
}

std::string type_text(json const& node) {
    if (node.contains("const")) return "`" + node["const"].dump() + "`";
    std::string text;
    auto const add = [&](std::string const& word) { text += (text.empty() ? "" : " or ") + word; };
    if (node.contains("enum")) {
        for (auto const& value : node["enum"]) add("`" + value.dump() + "`");
    } else if (node.contains("type") && node["type"].is_array()) {
        for (auto const& type : node["type"]) add(type);
    } else if (node.contains("type")) {
        add(node["type"]);
    }
    return text;
}

void write_rows(json const& schema, json const& node, std::string const& path, std::ostream& out) {
    if (node.contains("properties")) {
        auto const required = node.value("required", std::vector<std::string>{});
        for (auto const& [name, child] : node["properties"].items()) {
            bool const is_required =
                std::find(required.begin(), required.end(), name) != required.end();
            auto const& target = resolved(schema, child);
            out << "| `" << path << name << "` | " << (is_required ? "yes" : "") << " | ";
            bool const own_table = child.contains("$ref") && target.contains("properties");
            if (own_table) {
                auto const reference = child["$ref"].get<std::string>();
                auto const table = reference.substr(reference.rfind('/') + 1);
                out << "[" << table << "](#" << table << ")";
            } else {
                out << type_text(target);
            }
            out << " | " << child.value("description", "") << " |\n";
            if (!own_table) write_rows(schema, target, path + name + ".", out);
        }
    }
    auto const into = [&](json const& child, std::string const& marked) {
        if (!child.contains("$ref")) write_rows(schema, child, marked, out);
    };
    auto const stem = path.empty() ? path : path.substr(0, path.size() - 1);
    if (node.contains("items")) into(node["items"], stem + "[].");
    if (node.contains("additionalProperties") && node["additionalProperties"].is_object()) {
        into(node["additionalProperties"], stem + ".*.");
    }
}

/// One table for the file and one for each part that several fields share.
std::string field_tables(json const& schema) {
    std::ostringstream out;
    auto const table = [&](json const& node) {
        out << "| field | required | type | meaning (unit) |\n|---|---|---|---|\n";
        write_rows(schema, node, "", out);
    };
    table(schema);
    auto const parts = schema.value("definitions", json::object());
    for (auto const& [part, node] : parts.items()) {
        if (!node.contains("properties")) continue;
        out << "\n### " << part << "\n\n";
        table(node);
    }
    return out.str();
}

void expect_page_holds(std::string const& page, std::string const& tables) {
    constexpr std::string_view begin = "<!-- fields, from the schema -->\n";
    constexpr std::string_view end = "<!-- end of fields -->";
    auto const path = fs::path{DERATE_SOURCE_DIR} / "docs/schemas" / page;
    auto text = read_text(path);
    auto const from = text.find(begin);
    auto const to = text.find(end);
    ASSERT_TRUE(from != std::string::npos && to != std::string::npos) << page;
    auto const start = from + begin.size();
    if (std::getenv("DERATE_UPDATE_DOCS") != nullptr) {
        write_atomically(path, text.replace(start, to - start, tables));
    } else {
        EXPECT_EQ(text.substr(start, to - start), tables)
            << page << ": run storage_tests with DERATE_UPDATE_DOCS=1";
    }
}

TEST(SchemaInStep, DocumentationHoldsEveryField) {
    for (auto const& [name, page] :
         {std::pair{SchemaName::efficiency_calibration, "efficiency_calibration.md"},
          std::pair{SchemaName::hardware, "hardware.md"},
          std::pair{SchemaName::measurement, "measurement.md"}}) {
        expect_page_holds(page, field_tables(schema_of(name)));
    }
}

/// The schemas of what commands print.
std::set<fs::path> output_schemas() {
    std::set<fs::path> files;
    for (auto const& entry :
         fs::directory_iterator{fs::path{DERATE_SOURCE_DIR} / "hardware_registry/schema"}) {
        if (entry.path().filename().string().starts_with("output_")) files.insert(entry.path());
    }
    return files;
}

TEST(SchemaInStep, CommandsMayPrintEveryWarningCode) {
    json codes = json::array();
    for (int code = 0; !to_string(WarningCode{code}).empty(); ++code) {
        codes.push_back(to_string(WarningCode{code}));
    }
    json::json_pointer const place{"/properties/coded_warnings/items/properties/code/enum"};
    for (auto const& file : output_schemas()) {
        auto const schema = read_json(file);
        if (schema.contains(place)) {
            EXPECT_EQ(schema.at(place), codes) << file;
        }
    }
}

TEST(SchemaInStep, DocumentationHoldsWhatCommandsPrint) {
    std::string sections;
    for (auto const& file : output_schemas()) {
        auto const schema = read_json(file);
        auto const name = file.filename().string();
        if (!sections.empty()) sections += "\n";
        sections += "## " + schema.at("title").get<std::string>() + "\n\n" +
                    schema.at("description").get<std::string>() + " Schema: [`" + name +
                    "`](../../hardware_registry/schema/" + name + ").\n\n" + field_tables(schema);
    }
    expect_page_holds("output.md", sections);
}

}  // namespace
}  // namespace derate
