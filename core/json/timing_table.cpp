#include "core/json/timing_table.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/evidence.hpp"
#include "core/input_error.hpp"
#include "core/json/calibration_files.hpp"
#include "core/json/file.hpp"
#include "core/json/measurement_json.hpp"

namespace derate {
namespace {

using nlohmann::json;

double ms_per(std::string const& unit, std::string const& where) {
    if (unit == "ns") return 1e-6;
    if (unit == "us") return 1e-3;
    if (unit == "ms") return 1;
    if (unit == "s") return 1e3;
    throw InputError{where, "time_unit '" + unit + "'", "ns, us, ms or s"};
}

/// Google Benchmark's context, without what differs from run to run.
std::map<std::string, std::string> environment_of(json const& context) {
    std::map<std::string, std::string> environment;
    for (auto const& [key, value] : context.items()) {
        if (key == "date" || key == "load_avg" || key == "executable") continue;
        environment[key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
    return environment;
}

TimingTable from_google_benchmark(json const& file, std::string const& where) {
    TimingTable table{.file = where};
    if (file.contains("context") && file.at("context").is_object()) {
        table.environment = environment_of(file.at("context"));
    }
    std::map<std::string, CaseTimes> cases;
    std::size_t index = 0;
    for (auto const& row : file.at("benchmarks")) {
        auto const here = where + "#/benchmarks/" + std::to_string(index++);
        if (!row.is_object() || !row.contains("name") || !row.at("name").is_string()) {
            throw InputError{here, "no name", "a row of Google Benchmark"};
        }
        if (row.value("run_type", "iteration") != "iteration") continue;
        auto const name = row.value("run_name", row.at("name").get<std::string>());
        auto& one = cases[name];
        one.name = name;
        if (row.value("error_occurred", false)) {
            one.failure = row.value("error_message", "failed");
            continue;
        }
        if (!row.contains("real_time") || !row.at("real_time").is_number()) {
            throw InputError{here + "/real_time", "not there", "a time"};
        }
        double const factor = ms_per(row.value("time_unit", "ns"), here);
        double const time_ms = row.at("real_time").get<double>() * factor;
        if (!(time_ms > 0)) throw InputError{here + "/real_time", "not positive", "a time above 0"};
        one.times_ms.push_back(time_ms);
        if (row.contains("ci_95_lower_ms") && row.contains("ci_95_upper_ms")) {
            one.ci_95_lower_ms = row.at("ci_95_lower_ms").get<double>();
            one.ci_95_upper_ms = row.at("ci_95_upper_ms").get<double>();
            one.launches = row.value("launches", 0);
        }
    }
    for (auto& [name, one] : cases) table.cases.push_back(std::move(one));
    return table;
}

CaseTimes case_of(std::string name, Timing const& timing) {
    CaseTimes one{.name = std::move(name)};
    for (auto const& launch : timing.launches) one.times_ms.push_back(launch.median_ms);
    one.launches = static_cast<int>(timing.launches.size());
    if (one.times_ms.empty()) one.times_ms.push_back(timing.center_ms);
    return one;
}

TimingTable from_measurement(Measurement const& measurement, std::string const& where) {
    TimingTable table{.file = where};
    table.environment = {{"hardware_id", measurement.hardware.id},
                         {"precision", std::string{to_string(measurement.precision)}},
                         {"threads", std::to_string(measurement.threads)},
                         {"cache_state", std::string{to_string(measurement.cache_state)}},
                         {"environment_hash", measurement.source.environment_hash}};
    auto const model = measurement.model + "/b" + std::to_string(measurement.batch);
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
    table.environment = {
        {"hardware_id", calibration.hardware_id},
        {"precision", std::string{to_string(calibration.precision)}},
        {"threads", std::to_string(calibration.threads)},
        {"cache_state", std::string{to_string(evidence.cache_state)}},
        {"partition", evidence.partition},
        {"tool_version", calibration.provenance.tool_version},
        {"environment_hash", calibration.provenance.environment_hash.value_or("unknown")}};
    std::map<std::string, CaseTimes> cases;
    auto const add = [&cases](CaseTimes one) {
        auto const found = cases.try_emplace(one.name, one);
        if (found.second) return;  // a second campaign of the same case adds its launches
        auto& times = found.first->second.times_ms;
        times.insert(times.end(), one.times_ms.begin(), one.times_ms.end());
    };
    for (auto const& model : evidence.models) {
        auto const name = model.name + "/b" + std::to_string(model.batch);
        if (model.whole_model) add(case_of("whole_model/" + name, *model.whole_model));
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            auto const& one = evidence.cases[static_cast<std::size_t>(model.cases[i])];
            bool const shared = !one.subgraph.descriptor.empty();
            auto const case_name =
                std::string{to_string(one.subgraph.type)} + "/" +
                (shared ? one.subgraph.descriptor : name + "/" + std::to_string(i));
            if (shared && cases.contains(case_name)) continue;
            if (one.timing) add(case_of(case_name, *one.timing));
        }
    }
    for (auto& [name, one] : cases) table.cases.push_back(std::move(one));
    return table;
}

}  // namespace

TimingTable read_timing_table(std::filesystem::path const& file) {
    auto const where = file.string();
    auto const content = read_json(file);
    TimingTable table;
    if (content.is_object() && content.contains("benchmarks") &&
        content.at("benchmarks").is_array()) {
        table = from_google_benchmark(content, where);
    } else if (content.is_object() && content.value("format", "") == "derate_measurement") {
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
    if (table.cases.empty()) throw InputError{where, "holds no case", "one timed case or more"};
    std::ranges::sort(table.cases, {}, &CaseTimes::name);
    return table;
}

}  // namespace derate
