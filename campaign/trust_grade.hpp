#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "campaign/drift.hpp"
#include "measuring/environment.hpp"

namespace derate {

/// How far timings can be believed; docs/measuring.md has the table.
enum class TrustGrade { a, b, c, d };

[[nodiscard]] std::string_view to_string(TrustGrade grade);  ///< "A" to "D"

/// One thing that keeps the grade down, and what would lift it.
struct TrustReason {
    TrustGrade at_best = TrustGrade::b;  ///< the grade is not better than this while it holds
    std::string what{};
    std::string remedy{};
};

struct Trust {
    TrustGrade grade = TrustGrade::a;
    std::vector<TrustReason> reasons{};  ///< worst first
};

/// What is known of a measurement beside the machine; empty before anything was measured.
struct MeasuredQuality {
    int launches = 0;
    bool quick = false;
    /// Share of the measured time in cases whose interval is within 2 % of their mean.
    double precise_share = 0;
    std::vector<DriftOfProbe> drift{};
};

/// Why fewer CPUs than threads spoil timings; empty where they are enough or not limited.
///
/// \param granted_cpus  by a control group; cpu_quota()
[[nodiscard]] std::optional<TrustReason> short_quota(std::optional<double> granted_cpus,
                                                     int threads);

/// A: bare metal, clocks known and steady, five launches or more, half-widths within 2 %, no drift.
/// B: one of these is missing, or more than one but none that C or D names. C: quick mode, or a
/// virtual machine with unknown clocks. D: drift, reference BLAS, foreign load, or a CPU
/// quota below the threads.
///
/// \param environment  its `threads`, 1 where unknown, are those that are timed
[[nodiscard]] Trust judge_trust(Environment const& environment,
                                std::optional<MeasuredQuality> const& quality);

}  // namespace derate
