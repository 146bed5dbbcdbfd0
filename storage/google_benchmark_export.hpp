#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/measurement.hpp"
#include "measuring/environment.hpp"

namespace derate {

/// By the probe's name, the mean time of each launch.
using DriftProbeTimes = std::map<std::string, std::vector<double>>;

/// A measurement as a Google Benchmark result file for tools that track results over commits.
///
/// One row of run_type "iteration" a timed case and no aggregate rows, because readers such as
/// github-action-benchmark and Bencher take every row for a result of its own. Names end in
/// "/real_time", as Google Benchmark marks cases that report wall time; real_time is the served
/// centre in ms, iterations the number of repetitions. The interval of the mean stands beside it as
/// the counters ci_95_lower_ms and ci_95_upper_ms, where two launches or more give one, and their
/// number as the counter launches.
///
/// \param drift_probes_ms  per drift probe its times, in launches' order: rows "drift_probe/NAME",
///                         which tell `derate compare` how far the host moved
/// \return  the whole file, strict JSON: no NaN, no infinity
[[nodiscard]] std::string google_benchmark_export(std::vector<Measurement> const& measurements,
                                                  Environment const& environment,
                                                  DriftProbeTimes const& drift_probes_ms,
                                                  std::string const& executable);

}  // namespace derate
