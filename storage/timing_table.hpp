#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace derate {

/// What one file says of how long a case takes.
struct CaseTimes {
    std::string name;
    std::vector<double> times_ms;  ///< one a repetition or launch, > 0; empty if it failed
    /// Standard deviation over `repetitions`, where the file holds their mean in place of them.
    std::optional<double> std_ms;
    int repetitions = 0;  ///< behind `std_ms`
    /// 95 % confidence interval of a single time and the launches it rests on, where the file holds
    /// those in place of repetitions.
    std::optional<double> ci_95_lower_ms;
    std::optional<double> ci_95_upper_ms;
    int launches = 0;  ///< 0: unknown
    std::optional<std::string> failure{};
};

/// A case that the file names and gives no time of that could be compared.
struct CaseLeftOut {
    std::string name;
    std::string reason;

    friend bool operator==(CaseLeftOut const&, CaseLeftOut const&) = default;
};

/// A file of timings with what it says of its environment.
struct TimingTable {
    std::string file;
    std::vector<CaseTimes> cases;  ///< by name, each once
    std::map<std::string, std::string> environment;
    std::vector<CaseLeftOut> left_out;         ///< by name
    std::string time = "medians of launches";  ///< what is compared, in words: "real_time"
    bool of_calibration = false;  ///< the file is one: its predictions can be compared too
};

/// Rows of fixed work beside the cases: they move with the host and never with the program.
inline constexpr std::string_view drift_probe_prefix = "drift_probe/";

/// Reads Google Benchmark JSON, a measurement file, or a calibration with its evidence (launch
/// medians of every distinct kernel and whole model).
///
/// Of Google Benchmark the times of repetitions are read (real_time, which is the manual time where
/// a benchmark sets one); where a case has aggregates only, their mean, stddev and number of
/// repetitions. Rows of fitted complexity (BigO, RMS) are no cases. Counters may be NaN or
/// infinite, as Google Benchmark writes them. Failed and skipped rows and times that are not above
/// 0 are named in `left_out` or as failures. Benchmarks registered twice under one name become
/// "name" and "name (2)" by their family.
///
/// \throws InputError  not there, none of these, without a case, or two benchmarks of one name that
///                     nothing tells apart
[[nodiscard]] TimingTable read_timing_table(std::filesystem::path const& file);

}  // namespace derate
