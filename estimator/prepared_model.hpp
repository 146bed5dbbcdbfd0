#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/subgraph.hpp"
#include "estimator/compiled_calibration.hpp"
#include "estimator/latency_estimate.hpp"

namespace derate {

/// A run of distinct kernels that one curve prices.
struct CurveRun {
    int curve = 0;
    int begin = 0;  ///< into the arrays of distinct kernels
    int end = 0;
    bool ends_type = false;  ///< the last run of its operation type
    /// Of the shared part of its distinct kernels' errors, the residual model's posterior. As if
    /// any two kernels had this one correlation, it gives the variance of their weighted sum.
    double shared_correlation = 0;
};

/// A model ready to be priced: everything that depends on shapes and not on coefficients, weights
/// and variances.
///
/// Equal kernels are held once with their count. Belongs to the calibration it was made with.
struct PreparedModel {
    // Distinct kernels, sorted by operation type and curve.
    std::vector<double> count;           ///< occurrences in the model
    // Their factors, one array each:
    std::vector<double> kernels;
    std::vector<double> flop_power;
    std::vector<double> joined_power;
    std::vector<double> byte_power;
    std::vector<double> cache_excess;
    std::vector<double> added_variance;  ///< extrapolation and unseen regimes
    std::vector<int> vector_begin;       ///< into `vectors` and `whitened`
    LaneVector vectors;                  ///< covariances with the residual model's points
    LaneVector whitened;                 ///< the same times the residual model's factor
    std::vector<CurveRun> runs;

    // Subgraphs in the model's order.
    std::vector<int> distinct;  ///< index of its kernel
    std::vector<int> subgraph_id;
    std::vector<double> flops;
    std::vector<double> bytes;
    std::vector<char> extrapolated;
    std::vector<std::string> unseen;    ///< regime or operators, in words; empty where seen
    std::vector<double> unseen_share;   ///< of the subgraph's time

    double total_flops = 0;
    double total_operators = 0;  ///< that run, views left out
    double total_bytes = 0;
    int extrapolated_subgraphs = 0;
    int unseen_regimes = 0;
    bool foreign_partition = false;

    /// Of a distinct kernel.
    [[nodiscard, gnu::always_inline]] RooflineFactors factors(std::size_t j) const {
        return {.kernels = kernels[j],
                .flops = flop_power[j],
                .joined_flops = joined_power[j],
                .bytes = byte_power[j],
                .cache_excess = cache_excess[j]};
    }
};

/// \param subgraphs  of one model in order, one or more
/// \param partition  the rule that cut it; another than the calibration's widens the interval
[[nodiscard]] PreparedModel prepare(CompiledCalibration const& calibration,
                                    std::span<Subgraph const> subgraphs,
                                    std::string_view partition);

/// What the estimate is to be compared with.
enum class EstimateOf {
    whole_model,  ///< a run of the model: the sum of its parts times the context factor
    sum_of_parts  ///< the sum of kernels timed alone
};

/// What adds to the log variance of any model, whatever its kernels: whole-model term, context
/// factor's spread and distance, another partition.
[[nodiscard]] double model_wide_variance(CompiledCalibration const& calibration,
                                         PreparedModel const& model, EstimateOf what);

/// Latency of the model and its interval, from all kernels' terms. Does not allocate.
///
/// Every call evaluates every distinct kernel's terms, residual and variance, sums them and forms
/// the interval; nothing is remembered between calls.
///
/// \param model  prepared with this calibration, or one that differs in coefficients, weights,
/// noise
///               and interval model only
[[nodiscard]] LatencyEstimate estimate(CompiledCalibration const& calibration,
                                       PreparedModel const& model,
                                       EstimateOf what = EstimateOf::whole_model);

/// Each subgraph's part, in the model's order; the latencies sum to `estimate().latency_ms`.
[[nodiscard]] std::vector<SubgraphEstimate> estimate_subgraphs(
    CompiledCalibration const& calibration, PreparedModel const& model,
    EstimateOf what = EstimateOf::whole_model);

}  // namespace derate
