#pragma once
#include <functional>
#include <span>
#include <vector>

#include "measuring/plan.hpp"

namespace derate {

/// One repetition of a case: the iterations that count, and what was thrown away before them.
struct Repetition {
    std::vector<double> iteration_ms{};  ///< one or more, in order
    int warmup = 0;                      ///< iterations run before and thrown away, >= 1
    bool steady = false;                 ///< the warm-up was seen to end

    [[nodiscard]] double mean_ms() const;
    /// Mean of the faster half of the iterations (of two the faster): what a neighbour's burst
    /// leaves alone.
    [[nodiscard]] double fast_ms() const;
};

/// Runs one iteration of a case and returns how long it took, in ms, > 0: the clock lies inside, so
/// that a synthetic case goes the same way as a real one.
using RunIteration = std::function<double()>;

/// Warms a case up until it is steady and times it.
///
/// The first `min_warmup_iterations` are thrown away. Then a window is timed, as long as
/// `min_timed_ms` asks for at the speed just seen. If its second half is no faster than its first,
/// it is the repetition; else its first half was warm-up, and the window moves on by as much, until
/// `max_warmup_ms` was spent: then what it holds is kept and marked not steady.
///
/// \throws std::invalid_argument  no warm-up asked for, or fewer than one iteration
[[nodiscard]] Repetition take_repetition(RunIteration const& run_iteration,
                                         RepetitionPolicy const& policy);

/// Whether a window of times shows no trend of warming up: no quartile of its first half is more
/// than 5 % above that of its second, nor its median absolute deviation by 10 % of the median. (A
/// second half that is slower was disturbed; timing another window would be no remedy.) A window of
/// fewer than 8 has no quartiles: then the mean of its first half is at most 10 % above that of its
/// second, a single time within 10 % of `before`.
///
/// \param before  the iteration that ran before the window, ms
[[nodiscard]] bool is_steady(std::span<double const> window_ms, double before);

}  // namespace derate
