#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/calibration.hpp"
#include "core/measurement.hpp"
#include "core/operation_type.hpp"

namespace derate {

struct Evidence;

/// Half a decade of work: [lower, upper) with edges at 1 and 3 times the powers of ten (1M, 3M,
/// 10M, 30M, ...), the same for FLOPs and bytes.
struct WorkBin {
    double lower = 0;  ///< > 0, belongs to the bin
    double upper = 0;  ///< belongs to the next bin

    friend bool operator==(WorkBin const&, WorkBin const&) = default;
};

/// \throws std::invalid_argument unless `work` is positive and finite
[[nodiscard]] WorkBin work_bin_of(double work);

/// "10M to 30M"; below a thousand plain, then k, M, G, T, P.
[[nodiscard]] std::string to_string(WorkBin const& bin);

/// One distinct kernel as it enters a curve: its rate as a fraction of a peak.
struct KernelEfficiency {
    double work = 0;                ///< FLOPs, or bytes for the curve of zero-FLOP kernels; > 0
    double efficiency = 0;          ///< work / (served time * peak), > 0
    std::int64_t observations = 1;  ///< repetitions behind it
    /// Standard deviation over repetitions, to first order efficiency * std(time) / mean(time).
    std::optional<double> efficiency_std;
    std::optional<double> efficiency_min;  ///< at the longest time seen
    std::optional<double> efficiency_max;  ///< at the shortest
    /// Of the served efficiency, from launch to launch; empty below two launches.
    std::optional<double> standard_error;
    int launches = 0;
    std::vector<std::string> models;            ///< distinct, that contain the kernel; one or more
    std::vector<std::string> source_subgraphs;  ///< "model/batch/subgraph_id", one or more
};

/// The roadmap's pooled statistics of one group of kernels.
///
/// mean = sum n_j m_j / sum n_j and
/// variance = (sum (n_j - 1) s_j^2 + sum n_j (m_j - mean)^2) / (sum n_j - 1) over models j, which
/// is the variance of all observations at once. A kernel that occurs in several models is one set
/// of observations: it is counted once, its count split evenly among its models where the
/// between-model part is formed, so that within and between still add up to the whole.
struct PooledEfficiency {
    std::int64_t observations = 0;
    double mean = 0;
    std::optional<double> variance;  ///< empty below two observations or where a spread is unknown
    /// sum n_j (m_j - mean)^2 / (sum n_j - 1): the part of `variance` that models disagree by.
    std::optional<double> between_model_variance;
    int models = 0;
};

/// \param kernels  one or more
[[nodiscard]] PooledEfficiency pool(std::span<KernelEfficiency const> kernels);

/// One data point for each bin that holds a kernel, by increasing work.
///
/// - work: geometric mean of the kernels' work, so it lies inside its bin and where the data are.
/// - mean, std, between_model_std: pool().
/// - min, max: over all repetitions.
/// - confidence_interval_of_mean: 95 %, of the mean over exactly these kernels, from launch to
///   launch. Kernels of one launch rise and fall together, so their standard errors add linearly
///   (the bound for full correlation); t on the fewest launches less one. Empty where one kernel
///   has fewer than two launches.
/// - prediction_interval: 95 %, for one more kernel of this size: exp(mean +- t s sqrt(1 + 1/m)) of
///   the m kernels' log efficiencies, t on m - 1. Empty below three kernels.
///
/// The result does not depend on the order of `kernels`.
[[nodiscard]] std::vector<DataPoint> data_points_of(std::span<KernelEfficiency const> kernels);

/// The kernels of one curve: the type's cases with FLOPs, or those without (`zero_flop`), whose
/// work is bytes. Failed cases and cases without any work are left out.
///
/// \param peak  denominator: FLOP/s, or bytes/s for `zero_flop`
[[nodiscard]] std::vector<KernelEfficiency> kernel_efficiencies_of(Evidence const& evidence,
                                                                   OperationType type,
                                                                   bool zero_flop,
                                                                   PeakRate const& peak);

/// `data_points_of(kernel_efficiencies_of(...))`: what EfficiencyCurve::data_points holds.
[[nodiscard]] std::vector<DataPoint> data_points_of(Evidence const& evidence, OperationType type,
                                                    bool zero_flop, PeakRate const& peak);

}  // namespace derate
