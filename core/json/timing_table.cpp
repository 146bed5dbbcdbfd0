#include "core/json/timing_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

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

/// Google Benchmark writes NaN and Infinity bare, which is no JSON; null says as much of a counter.
std::string with_null_for_not_finite(std::string_view text) {
    constexpr std::array<std::string_view, 6> words{"-Infinity", "Infinity", "-NaN",
                                                    "NaN",       "-nan",     "-inf"};
    std::string result;
    result.reserve(text.size());
    bool in_string = false;
    while (!text.empty()) {
        if (in_string && text.front() == '\\' && text.size() > 1) {
            result += text.substr(0, 2);
            text.remove_prefix(2);
            continue;
        }
        if (text.front() == '"') in_string = !in_string;
        auto const word = in_string ? words.end() : std::ranges::find_if(words, [&](auto one) {
            return text.starts_with(one);
        });
        if (word != words.end()) {
            result += "null";
            text.remove_prefix(word->size());
        } else {
            result += text.front();
            text.remove_prefix(1);
        }
    }
    return result;
}

/// One row of Google Benchmark; fields of another type than its own are faults of the file.
class BenchmarkRow {
  public:
    /// \param names  of all rows of the file
    BenchmarkRow(json const& row, std::string where, std::set<std::string> const& names)
        : row_{row}, where_{std::move(where)}, names_{names} {
        if (!row.is_object())
            throw InputError{where_, "not an object", "a row of Google Benchmark"};
        name_ = text("name").value_or("");
        if (name_.empty()) throw InputError{where_, "no name", "a row of Google Benchmark"};
    }

    [[nodiscard]] std::string const& where() const { return where_; }
    [[nodiscard]] std::string const& name() const { return name_; }

    /// \return empty where the field is absent or null
    [[nodiscard]] std::optional<std::string> text(char const* key) const {
        auto const* const value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_string()) fail(key, "a text");
        return value->get<std::string>();
    }
    [[nodiscard]] std::optional<double> number(char const* key) const {
        auto const* const value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_number()) fail(key, "a number");
        return value->get<double>();
    }
    [[nodiscard]] bool flag(char const* key) const {
        auto const* const value = find(key);
        if (value == nullptr) return false;
        if (!value->is_boolean()) fail(key, "true or false");
        return value->get<bool>();
    }
    /// \return empty where the field is absent; -1 stands for a count no int holds
    [[nodiscard]] std::optional<int> count(char const* key) const {
        auto const value = number(key);
        if (!value) return std::nullopt;
        return *value >= 0 && *value <= 1e9 ? static_cast<int>(*value) : -1;
    }
    [[nodiscard]] double ms(double time) const {
        return time * ms_per(text("time_unit").value_or("ns"), where_);
    }

    /// "mean", "stddev", "BigO", ...; empty for a repetition. Where there is no run_type (before
    /// version 1.5), the name tells: "f_mean" beside "f".
    [[nodiscard]] std::string aggregate() const {
        if (auto const run_type = text("run_type")) {
            return *run_type == "iteration" ? "" : text("aggregate_name").value_or("unknown");
        }
        for (std::string const one : {"mean", "median", "stddev", "BigO", "RMS", "cv"}) {
            if (!name_.ends_with("_" + one)) continue;
            bool const is_fit = one == "BigO" || one == "RMS";
            if (is_fit || names_.contains(name_.substr(0, name_.size() - one.size() - 1)))
                return one;
        }
        return "";
    }
    [[nodiscard]] std::string case_name() const {
        if (auto const run_name = text("run_name")) return *run_name;
        auto const kind = aggregate();
        return kind.empty() ? name_ : name_.substr(0, name_.size() - kind.size() - 1);
    }

  private:
    [[nodiscard]] json const* find(char const* key) const {
        auto const found = row_.find(key);
        return found == row_.end() || found->is_null() ? nullptr : &*found;
    }
    [[noreturn]] void fail(char const* key, char const* required) const {
        throw InputError{where_ + "/" + key, "another type", required};
    }

    json const& row_;
    std::string where_;
    std::set<std::string> const& names_;
    std::string name_;
};

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
    if (auto const time = row.number("real_time")) one.aggregates_ms[kind] = row.ms(*time);
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
    if (deviation != one.aggregates_ms.end() && one.aggregated_repetitions > 1) {
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
    std::set<std::string> names;
    for (auto const& row : file.at("benchmarks")) {
        if (row.is_object() && row.contains("name") && row.at("name").is_string()) {
            names.insert(row.at("name"));
        }
    }
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
    table.of_calibration = true;
    table.environment = {
        {"hardware_id", calibration.hardware_id},
        {"precision", std::string{to_string(calibration.precision)}},
        {"threads", std::to_string(calibration.threads)},
        {"cache_state", std::string{to_string(evidence.cache_state)}},
        {"partition", evidence.partition},
        {"tool_version", calibration.provenance.tool_version},
        {"environment_hash", calibration.provenance.environment_hash.value_or("unknown")}};
    std::map<std::string, CaseTimes> cases;
    std::set<int> added;
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
    auto const content = parse_json(with_null_for_not_finite(text), where);
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
    if (table.cases.empty() && table.left_out.empty())
        throw InputError{where, "holds no case", "one timed case or more"};
    std::ranges::sort(table.cases, {}, &CaseTimes::name);
    return table;
}

}  // namespace derate
