#pragma once
#include <optional>
#include <string>
#include <vector>

#include "calibration/gate.hpp"
#include "core/json/timing_table.hpp"
#include "core/statistics/interval.hpp"

namespace derate {

/// One case timed twice. Ratios are new over old, with the shift common to all cases taken out.
struct CaseComparison {
    std::string name;
    double old_ms = 0;
    double new_ms = 0;
    double ratio = 1;
    std::optional<Interval> interval;      ///< 95 %, of `ratio`; empty: too few repetitions
    std::optional<double> p_value;         ///< of "not slower", Holm-adjusted over the cases
    std::optional<double> faster_p_value;  ///< of "not faster", Holm-adjusted
    std::optional<double>
        mann_whitney_p_value;  ///< two-sided, where there are repetitions; as a check
    bool slower = false;       ///< by more than the threshold, and really
    bool faster = false;
};

struct EnvironmentDifference {
    std::string key;
    std::string before;
    std::string after;
};

struct Comparison {
    std::vector<CaseComparison> cases;  ///< largest slowdown first
    double common_ratio = 1;            ///< taken out of every case; 1 where there are few cases
    std::vector<std::string> only_before;
    std::vector<std::string> only_after;
    std::vector<std::string> failed;  ///< cases that failed in the new file and not in the old
    std::vector<EnvironmentDifference> environment;
    Verdict verdict = Verdict::inconclusive;
    std::string reason;
};

struct ComparisonLimits {
    double threshold_percent = 5;  ///< slower by less does not matter
    double alpha = 0.05;           ///< chance of one false alarm or more, over all cases
    int fewest_cases_for_shift = 5;
    bool absolute = false;  ///< take no common shift out: the machine's clock is known to be steady
};

/// Is anything slower than before?
///
/// A case is slower when its ratio is above 1 + threshold (it matters) and above 1 by Welch's
/// t-test on log times after Holm's correction over all cases (it is real). What all cases have in
/// common (median of the log ratios) is taken out, because a host drifts between two files; a
/// common shift beyond the threshold is named and makes the verdict INCONCLUSIVE: host or program,
/// the files cannot tell. INCONCLUSIVE too: nothing slower, but a case that repeats too badly to
/// exclude twice the threshold, cases that vanished or failed, or different hardware, threads or
/// precision.
[[nodiscard]] Comparison compare(TimingTable const& before, TimingTable const& after,
                                 ComparisonLimits const& limits = {});

}  // namespace derate
