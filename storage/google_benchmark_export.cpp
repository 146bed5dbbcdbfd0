#include "storage/google_benchmark_export.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "core/subgraph.hpp"
#include "statistics/interval_of_mean.hpp"
#include "statistics/quantiles.hpp"
#include "storage/timing_table.hpp"

namespace derate {
namespace {

using Json = nlohmann::ordered_json;  // Google Benchmark's own order of fields

/// \param launches_ms  one time a launch, none where only `center_ms` is known
Json row_of(std::string const& name, std::vector<double> const& launches_ms, double center_ms,
            std::int64_t iterations, std::size_t family, int threads) {
    Json row;
    row["name"] = name;
    row["family_index"] = family;
    row["per_family_instance_index"] = 0;
    row["run_name"] = name;
    row["run_type"] = "iteration";
    row["repetitions"] = 1;
    row["repetition_index"] = 0;
    row["threads"] = threads;
    row["iterations"] = iterations;
    auto const estimate = confidence_interval_of_mean(launches_ms);
    // What is compared over commits needs an interval: the mean over launches has one, the served
    // time, of the faster launches, has none.
    double const time_ms = estimate ? estimate->mean : center_ms;
    row["real_time"] = time_ms;
    row["cpu_time"] = time_ms;
    row["time_unit"] = "ms";
    row["served_ms"] = center_ms;
    if (estimate) {
        row["ci_95_lower_ms"] = estimate->interval.lower;
        row["ci_95_upper_ms"] = estimate->interval.upper;
        row["launches"] = launches_ms.size();
    }
    return row;
}

Json row_of(std::string const& name, Timing const& timing, std::size_t family, int threads) {
    std::vector<double> medians;
    for (auto const& launch : timing.launches) medians.push_back(launch.median_ms);
    return row_of(name, medians, timing.center_ms, timing.samples, family, threads);
}

}  // namespace

std::string google_benchmark_export(std::vector<Measurement> const& measurements,
                                    Environment const& environment,
                                    DriftProbeTimes const& drift_probes_ms,
                                    std::string const& executable) {
    Json context;
    context["date"] = measurements.empty() ? "" : measurements.front().source.date;
    context["executable"] = executable;
    context["num_cpus"] = environment.logical_cpus.value_or(1);
    context["mhz_per_cpu"] = static_cast<int>(environment.clock_max_hz.value_or(0) / 1e6);
    context["cpu_scaling_enabled"] = environment.governor.value_or("performance") != "performance";
    context["caches"] = Json::array();
    context["load_avg"] = Json::array();
    if (environment.load_average) context["load_avg"].push_back(*environment.load_average);
    context["library_build_type"] = "release";
    context["derate_version"] = environment.tool_version.value_or("");

    Json rows = Json::array();
    std::set<std::string> written;
    for (auto const& measurement : measurements) {
        auto const threads = measurement.condition.execution.threads.value_or(1);
        auto const model = model_label(measurement.model, measurement.batch);
        if (measurement.whole_model) {
            auto const name = "whole_model/" + model + "/real_time";
            // A measurement for each cache state of the parts has the same whole model.
            if (written.insert(name).second) {
                rows.push_back(row_of(name, *measurement.whole_model, rows.size(), threads));
            }
        }
        for (auto const& measured : measurement.subgraphs) {
            if (!measured.isolated) continue;
            auto const& subgraph = measured.subgraph;
            auto const identity = subgraph.descriptor.empty()
                                      ? model + "/" + std::to_string(subgraph.id)
                                      : descriptor_hash(subgraph.descriptor);
            auto const name = std::string{to_string(subgraph.type)} + "/" + identity + "/" +
                              std::string{to_string(measurement.condition.cache_state)} +
                              "/real_time";
            if (!written.insert(name).second) continue;  // models share their equal kernels
            rows.push_back(row_of(name, *measured.isolated, rows.size(), threads));
        }
    }
    for (auto const& [probe, times_ms] : drift_probes_ms) {
        if (times_ms.empty()) continue;
        rows.push_back(row_of(std::string{drift_probe_prefix} + probe + "/real_time", times_ms,
                              median(times_ms), static_cast<std::int64_t>(times_ms.size()),
                              rows.size(), 1));
    }
    return Json{{"context", context}, {"benchmarks", rows}}.dump(2) + "\n";
}

}  // namespace derate
