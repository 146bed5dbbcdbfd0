#include "core/json/sample_record_json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "core/json/environment_json.hpp"

namespace derate {
namespace {

using nlohmann::json;
using Line = nlohmann::ordered_json;  // kind and launch first: people read these lines

template <class Value>
void put(Line& line, char const* name, std::optional<Value> const& value) {
    if (value) line[name] = *value;
}

template <class Value>
void take(json const& line, char const* name, std::optional<Value>& value) {
    auto const found = line.find(name);
    if (found != line.end() && !found->is_null()) value = found->get<Value>();
}

}  // namespace

std::string to_json_line(SampleRecord const& record) {
    Line line;
    line["kind"] = to_string(record.kind);
    line["launch"] = record.launch;
    put(line, "sequence", record.sequence);
    line["time_ns"] = record.time_ns;
    put(line, "case", record.case_key);
    put(line, "model", record.model);
    put(line, "batch", record.batch);
    put(line, "subgraph", record.subgraph);
    put(line, "iterations", record.iterations);
    put(line, "time_ms", record.time_ms);
    if (!record.subgraph_ms.empty()) line["subgraph_ms"] = record.subgraph_ms;
    put(line, "steady", record.steady);
    put(line, "warmup", record.warmup);
    put(line, "probe", record.probe);
    put(line, "per_second", record.per_second);
    put(line, "unit", record.unit);
    put(line, "reason", record.reason);
    put(line, "wall_s", record.wall_s);
    put(line, "loading_s", record.loading_s);
    if (record.environment) line["environment"] = Line::parse(to_json_text(*record.environment));
    if (record.settings) line["settings"] = Line::parse(*record.settings);
    put(line, "rules", record.rules);
    // A reason may quote a library's message in any encoding; the line must stay readable.
    return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

SampleRecord sample_record_from_json(std::string_view text, std::string_view where) try {
    auto const line = json::parse(text);
    SampleRecord record;
    auto const& kind = line.at("kind");
    auto const parsed = parse_sample_kind(kind.get<std::string>());
    if (!parsed) throw InputError{where, "kind " + kind.dump(), "a kind of docs/measuring.md"};
    record.kind = *parsed;
    record.launch = line.at("launch").get<int>();
    record.time_ns = line.at("time_ns").get<std::int64_t>();
    take(line, "sequence", record.sequence);
    take(line, "case", record.case_key);
    take(line, "model", record.model);
    take(line, "batch", record.batch);
    take(line, "subgraph", record.subgraph);
    take(line, "iterations", record.iterations);
    take(line, "time_ms", record.time_ms);
    if (auto const times = line.find("subgraph_ms"); times != line.end()) {
        record.subgraph_ms = times->get<std::vector<double>>();
    }
    take(line, "steady", record.steady);
    take(line, "warmup", record.warmup);
    take(line, "probe", record.probe);
    take(line, "per_second", record.per_second);
    take(line, "unit", record.unit);
    take(line, "reason", record.reason);
    take(line, "wall_s", record.wall_s);
    take(line, "loading_s", record.loading_s);
    if (auto const found = line.find("environment"); found != line.end()) {
        record.environment = environment_from_json(found->dump(), where);
    }
    if (auto const found = line.find("settings"); found != line.end()) {
        record.settings = found->dump();
    }
    take(line, "rules", record.rules);
    return record;
} catch (json::exception const& error) {
    throw InputError{where, error.what(), "one JSON object a line"};
}

}  // namespace derate
