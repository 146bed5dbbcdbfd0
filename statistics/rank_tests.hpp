#pragma once
#include <optional>
#include <span>

namespace derate {

struct MannWhitney {
    double u = 0;        ///< pairs (a_i, b_j) with a_i > b_j, ties counted half
    double p_value = 1;  ///< two-sided
    double probability_of_superiority = 0.5;  ///< u / (n_a n_b)
    bool exact =
        false;  ///< exact null distribution, else normal with tie and continuity correction
};

/// Do two independent samples come from one distribution, against one tending to larger values?
///
/// Exact when both samples have at most 20 values and there are no ties, else the normal
/// approximation with tie-corrected variance and continuity correction.
/// \return empty when a sample is empty or all values are equal
/// Source: Mann, Whitney, Annals of Mathematical Statistics 18 (1947) 50-60.
[[nodiscard]] std::optional<MannWhitney> mann_whitney_u(std::span<double const> a,
                                                        std::span<double const> b);

}  // namespace derate
