#include "storage/timing_table.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/evidence.hpp"
#include "core/input_error.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"
#include "storage/google_benchmark_rows.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

using nlohmann::json;

/// Google Benchmark's context, without what differs from run to run.
std::map<std::string, std::string> environment_of(json const& context) {
    std::map<std::string, std::string> environment;
    for (auto const& [key, value] : context.items()) {
        if (key == "date" || key == "load_avg" || key == "executable") continue;
        environment[key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
    return environment;
}

/// What the rows of one benchmark say.
struct CollectedCase {
    CaseTimes times;
    std::map<std::string, double> aggregates_ms;
    int aggregated_repetitions = 0;
    std::optional<std::string> left_out;
    std::set<int> repetitions;  ///< their indices
};

void take_repetition(CollectedCase& one, BenchmarkRow const& row) {
    if (row.flag("error_occurred")) {
        one.times.failure = row.text("error_message").value_or("failed");
        return;
    }
    if (row.flag("skipped")) {
        one.left_out = "skipped: " + row.text("skip_message").value_or("no reason given");
        return;
    }
    auto const time = row.number("real_time");
    if (!time) {
        one.left_out = "no real_time";
        return;
    }
    double const time_ms = row.ms(*time);
    if (!(time_ms > 0) || !std::isfinite(time_ms)) {
        one.left_out = "a time of " + json(*time).dump() + ", which is not above 0";
        return;
    }
    if (auto const index = row.count("repetition_index")) {
        if (!one.repetitions.insert(*index).second) {
            throw InputError{row.where(),
                             "repetition " + std::to_string(*index) + " of '" + row.case_name() +
                                 "' for the second time",
                             "benchmarks of different names"};
        }
    }
    one.times.times_ms.push_back(time_ms);
    auto const lower = row.number("ci_95_lower_ms");
    auto const upper = row.number("ci_95_upper_ms");
    if (lower && upper) {
        one.times.ci_95_lower_ms = lower;
        one.times.ci_95_upper_ms = upper;
        one.times.launches = std::max(0, row.count("launches").value_or(0));
    }
}

void take_aggregate(CollectedCase& one, BenchmarkRow const& row, std::string const& kind) {
    if (row.flag("error_occurred")) {
        one.times.failure = row.text("error_message").value_or("failed");
        return;
    }
    if (kind != "mean" && kind != "stddev") return;
    if (auto const time = row.number("real_time")) {
        if (!one.aggregates_ms.emplace(kind, row.ms(*time)).second) {
            throw InputError{row.where(), "the " + kind + " of '" + row.case_name() +
                                 "' for the second time",
                             "benchmarks of different names"};
        }
    }
    one.aggregated_repetitions =
        std::max(one.aggregated_repetitions, row.count("repetitions").value_or(0));
}

/// A case whose repetitions the file left out is compared by their mean and standard deviation.
void use_aggregates(CollectedCase& one) {
    if (!one.times.times_ms.empty() || one.times.failure || one.left_out) return;
    auto const mean = one.aggregates_ms.find("mean");
    if (mean == one.aggregates_ms.end() || !(mean->second > 0)) {
        one.left_out = "no repetition and no mean above 0";
        return;
    }
    one.times.times_ms = {mean->second};
    auto const deviation = one.aggregates_ms.find("stddev");
    if (deviation != one.aggregates_ms.end() && deviation->second >= 0 &&
        one.aggregated_repetitions > 1) {
        one.times.std_ms = deviation->second;
        one.times.repetitions = one.aggregated_repetitions;
    }
}

TimingTable from_google_benchmark(json const& file, std::string const& where) {
    TimingTable table{.file = where};
    table.time = "real_time";
    if (file.contains("context") && file.at("context").is_object()) {
        table.environment = environment_of(file.at("context"));
    }
    struct Families {
        std::map<std::string, CollectedCase> cases;       // by the name in the table
        std::map<std::string, std::vector<int>> indices;  // family of each benchmark of one name
    } found;
    auto const case_of_row = [&](BenchmarkRow const& row) -> CollectedCase& {
        auto name = row.case_name();
        auto const family = row.count("family_index").value_or(0);
        auto& families = found.indices[name];
        auto at = std::ranges::find(families, family);
        if (at == families.end()) at = families.insert(families.end(), family);
        if (at != families.begin()) {
            name += " (" + std::to_string(at - families.begin() + 1) + ")";
        }
        auto& one = found.cases[name];
        one.times.name = name;
        return one;
    };
    auto const names = names_of_rows(file.at("benchmarks"));
    std::size_t index = 0;
    for (auto const& element : file.at("benchmarks")) {
        BenchmarkRow const row{element, where + "#/benchmarks/" + std::to_string(index++), names};
        auto const kind = row.aggregate();
        if (kind == "BigO" || kind == "RMS") continue;
        if (kind.empty()) {
            take_repetition(case_of_row(row), row);
        } else {
            take_aggregate(case_of_row(row), row, kind);
        }
    }
    for (auto& [name, one] : found.cases) {
        use_aggregates(one);
        if (one.left_out) {
            table.left_out.push_back({name, *one.left_out});
        } else {
            table.cases.push_back(std::move(one.times));
        }
    }
    return table;
}

CaseTimes case_of(std::string name, Timing const& timing) {
    CaseTimes one{.name = std::move(name)};
    for (auto const& launch : timing.launches) one.times_ms.push_back(launch.median_ms);
    one.launches = static_cast<int>(timing.launches.size());
    if (one.times_ms.empty()) one.times_ms.push_back(timing.center_ms);
    return one;
}

void add_condition(TimingTable& table, Condition const& condition) {
    for (auto const& part : parts_of(condition)) {
        table.environment.emplace(part.key, part.value);
    }
}

TimingTable from_measurement(Measurement const& measurement, std::string const& where) {
    TimingTable table{.file = where};
    table.environment = {{"hardware_id", measurement.hardware.id},
                         {"value_rule", measurement.source.value_rule.value_or("unknown")},
                         {"environment_hash", measurement.source.environment_hash}};
    add_condition(table, measurement.condition);
    auto const model = model_label(measurement.model, measurement.batch);
    if (measurement.whole_model) {
        table.cases.push_back(case_of("whole_model/" + model, *measurement.whole_model));
    }
    for (auto const& part : measurement.subgraphs) {
        auto const name = model + "/" + std::to_string(part.subgraph.id) + "/" +
                          std::string{to_string(part.subgraph.type)};
        if (part.isolated) table.cases.push_back(case_of(name, *part.isolated));
        if (part.failure) table.cases.push_back({.name = name, .failure = part.failure});
    }
    return table;
}

TimingTable from_evidence(Calibration const& calibration, Evidence const& evidence,
                          std::string const& where) {
    TimingTable table{.file = where};
    table.of_calibration = true;
    table.environment = {
        {"hardware_id", calibration.hardware_id},
        {"value_rule", calibration.provenance.value_rule.value_or("unknown")},
        {"tool_version", calibration.provenance.tool_version},
        {"environment_hash", calibration.provenance.environment_hash.value_or("unknown")}};
    add_condition(table, evidence.condition);
    std::map<std::string, CaseTimes> cases;
    std::set<int> added;
    auto const add = [&cases](CaseTimes one) {
        auto const found = cases.try_emplace(one.name, one);
        if (found.second) return;  // a second campaign of the same case adds its launches
        auto& times = found.first->second.times_ms;
        times.insert(times.end(), one.times_ms.begin(), one.times_ms.end());
    };
    for (auto const& model : evidence.models) {
        auto const name = model_label(model.name, model.batch);
        if (model.whole_model) add(case_of("whole_model/" + name, *model.whole_model));
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            auto const& one = evidence.cases[static_cast<std::size_t>(model.cases[i])];
            bool const shared = !one.subgraph.descriptor.empty();
            auto const case_name =
                std::string{to_string(one.subgraph.type)} + "/" +
                (shared ? one.subgraph.descriptor : name + "/" + std::to_string(i));
            if (shared && !added.insert(model.cases[i]).second) continue;
            if (one.timing) add(case_of(case_name, *one.timing));
        }
    }
    for (auto& [name, one] : cases) table.cases.push_back(std::move(one));
    return table;
}

}  // namespace

TimingTable read_timing_table(std::filesystem::path const& file) {
    auto const where = file.string();
    auto text = read_text(file);
    if (file.extension() == ".gz") text = gzip_expand(text, where);
    auto const content = parse_google_benchmark(text, where);
    auto const is_measurement = [&] {
        auto const format = content.find("format");
        return format != content.end() && *format == "derate_measurement";
    };
    TimingTable table;
    if (content.is_object() && content.contains("benchmarks") &&
        content.at("benchmarks").is_array()) {
        table = from_google_benchmark(content, where);
    } else if (content.is_object() && is_measurement()) {
        table = from_measurement(measurement_from_json(content, where), where);
    } else if (content.is_object() && content.contains("efficiency_curves")) {
        auto const calibration = read_calibration(file);
        auto const evidence = read_evidence_of(calibration, file);
        if (!evidence) throw InputError{where, "no evidence", "a calibration with evidence"};
        table = from_evidence(calibration, *evidence, where);
    } else {
        throw InputError{where, "not a file of timings",
                         "Google Benchmark JSON, a measurement or a calibration"};
    }
    if (table.cases.empty() && table.left_out.empty())
        throw InputError{where, "holds no case", "one timed case or more"};
    std::ranges::sort(table.cases, {}, &CaseTimes::name);
    return table;
}

}  // namespace derate
