#pragma once
#include <cstdint>
#include <optional>
#include <span>

namespace derate {

/// Count, mean and spread of a set of observations, in the observations' own unit.
///
/// Two summaries merge exactly: `merge(summarize(a), summarize(b))` is the summary of `a`
/// followed by `b`, up to rounding. Pooling over models is this merge and nothing else.
/// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing
/// sample variances", Stanford STAN-CS-79-773, 1979.
struct SampleSummary {
    std::int64_t count = 0;
    double mean = 0.0;                    ///< meaningless while count == 0
    double sum_squared_deviations = 0.0;  ///< sum over i of (x_i - mean)^2

    /// Unbiased variance (divisor count - 1); empty below two observations, because one
    /// observation says nothing about spread and zero would claim certainty.
    [[nodiscard]] std::optional<double> variance() const;

    friend bool operator==(SampleSummary const&, SampleSummary const&) = default;
};

[[nodiscard]] SampleSummary summarize(std::span<double const> observations);
[[nodiscard]] SampleSummary merge(SampleSummary const& a, SampleSummary const& b);

}  // namespace derate
