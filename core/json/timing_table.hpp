#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace derate {

/// What one file says of how long a case takes.
struct CaseTimes {
    std::string name;
    std::vector<double> times_ms;  ///< one a repetition or launch; at least one unless it failed
    /// 95 % confidence interval of a single time and the launches it rests on, where the file holds
    /// those in place of repetitions.
    std::optional<double> ci_95_lower_ms;
    std::optional<double> ci_95_upper_ms;
    int launches = 0;  ///< 0: unknown
    std::optional<std::string> failure;
};

/// A file of timings with what it says of its environment.
struct TimingTable {
    std::string file;
    std::vector<CaseTimes> cases;  ///< by name, each once
    std::map<std::string, std::string> environment;
};

/// Reads Google Benchmark JSON (rows of run_type "iteration", error rows as failures, aggregates
/// ignored), a measurement file, or a calibration with its evidence (launch medians of every
/// distinct kernel and whole model).
///
/// \throws InputError  not there, none of these, or without a case
[[nodiscard]] TimingTable read_timing_table(std::filesystem::path const& file);

}  // namespace derate
