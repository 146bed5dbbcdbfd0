#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gate/gate.hpp"
#include "statistics/interval.hpp"
#include "storage/timing_table.hpp"

namespace derate {

/// One case of both files. Changes are as the files have them ("raw"), beside them what is left
/// when the common shift is taken out.
struct CaseComparison {
    std::string name;
    double old_ms = 0;  ///< geometric means
    double new_ms = 0;
    double ratio = 1;                      ///< new over old
    std::optional<Interval> interval;      ///< 95 %, of `ratio`; empty: too few repetitions
    double adjusted_ratio = 1;             ///< over the common shift
    std::optional<double> p_value;         ///< of "not slower", adjusted, Holm over the cases
    std::optional<double> faster_p_value;  ///< of "not faster"
    std::optional<double>
        mann_whitney_p_value;  ///< two-sided, adjusted, where there are repetitions; as a check
    /// By more than the threshold, adjusted and raw, and really; never if undecided.
    bool slower = false;
    bool faster = false;  ///< the same the other way
    bool slower_as_measured = false;  ///< raw, or against the drift probe that slowed least
    bool slower_than_shift = false;   ///< adjusted alone: others got faster, this one did not
};

struct EnvironmentDifference {
    std::string key;
    std::string before;
    std::string after;
};

/// What tells how far the host, and not the program, moved all cases.
enum class ShiftBasis {
    not_sought,       ///< no case, or ComparisonLimits::absolute: none is assumed
    drift_probes,     ///< rows of fixed work in both files
    unchanged_cases,  ///< cases stayed where they were, too many for a coincidence
    most_cases,       ///< four fifths or more moved alike
    undecided,        ///< nothing tells; none is assumed, and nothing can be decided
};

struct CommonShift {
    ShiftBasis basis = ShiftBasis::not_sought;
    double ratio = 1;
    double least_ratio = 1;     ///< of drift probes that disagree: the one that slowed least
    double standard_error = 0;  ///< of its logarithm, where drift probes tell it
    int cases = 0;              ///< that share it
};

/// Why a verdict is INCONCLUSIVE, for scripts.
enum class Doubt { none, no_common_case, other_setting, common_shift, missing_cases, imprecise };

[[nodiscard]] std::string_view to_string(ShiftBasis basis);  ///< "drift_probes", ...
[[nodiscard]] std::string_view to_string(Doubt doubt);       ///< "common_shift", ...

struct Comparison {
    std::vector<CaseComparison> cases;  ///< largest slowdown first
    CommonShift shift;
    std::vector<std::string> only_before;
    std::vector<std::string> only_after;
    std::vector<std::string> failed;         ///< in the new file and not in the old
    std::vector<std::string> failed_before;  ///< in the old file, whatever the new one says
    std::vector<std::string> left_out_after;  ///< of `left_out`, those that the old file times
    /// Named in a file without a time that could be compared, with the reason.
    std::vector<CaseLeftOut> left_out;
    std::vector<EnvironmentDifference> environment;
    Verdict verdict = Verdict::inconclusive;
    Doubt doubt = Doubt::none;  ///< where the verdict is INCONCLUSIVE
    std::string reason;
};

struct ComparisonLimits {
    double threshold_percent = 5;  ///< slower by less does not matter
    double alpha = 0.05;           ///< chance of one false alarm or more, over all cases
    bool absolute = false;  ///< assume no common shift: the machine's clock is known to be steady
};

/// Is anything slower?
///
/// A host moves all cases of a file together, and so can a program. Cases are therefore judged
/// against a common shift, and only where something tells what it is (ShiftBasis). FAIL: a case is
/// slower, beyond the shift that something tells. PASS: none is, neither against the shift nor as
/// measured, the shift itself is below the threshold, and every case repeats well enough. All else
/// is INCONCLUSIVE: a slowdown of all cases alike never passes.
[[nodiscard]] Comparison compare(TimingTable const& before, TimingTable const& after,
                                 ComparisonLimits const& limits = {});

}  // namespace derate
