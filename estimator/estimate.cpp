#include <algorithm>
#include <array>
#include <cmath>

#include "core/quantity.hpp"
#include "estimator/prepared_model.hpp"
#include "estimator/widest_vectors.hpp"

namespace derate {
namespace {

constexpr int chunk = 128;  ///< distinct kernels at once; a multiple of the lanes

/// Kernels of one chunk, one array a quantity, so that loops over them vectorise.
struct alignas(64) Chunk {
    std::array<double, chunk> seconds;     ///< of the curve
    std::array<double, chunk> residual;    ///< of log seconds
    std::array<double, chunk> variance;    ///< of log seconds
    std::array<double, chunk> common;      ///< its part from the residual model's posterior
    std::array<double, chunk> added;       ///< its part that nothing was learnt of
    std::array<double, chunk> multiplier;  ///< smearing factor times count
    std::array<double, chunk> mean;        ///< out
    std::array<double, chunk> own;         ///< out: deviation of `mean`, the kernel's own part
    std::array<double, chunk> shared;      ///< out: the posterior's part
    std::array<double, chunk> unknown;     ///< out: the part that nothing was learnt of
};

struct Totals {
    double total = 0;  ///< seconds
    // Variances of `total` from curves of the kernels' own types inside what they were learnt from:
    double shared = 0;          ///< from what kernels of a run have in common
    double sum_squares = 0;     ///< of each own deviation
    double type_squares = 0;    ///< of each type's sum of own deviations
    double sum_deviations = 0;  ///< of all own deviations
    double independent = 0;     ///< as if all subgraphs were independent
    double kernel_squares = 0;  ///< of each distinct kernel's deviation
    double kernel_sum = 0;      ///< of all distinct kernels' deviations
    // From all else: parents' curves, unseen regimes, extrapolation.
    double unlearnt = 0;
    double unlearnt_independent = 0;
};

/// Terms, residual and log variance of the kernels [begin, end) of a run, into `work` from `slot`
/// on.
[[gnu::always_inline]] inline void price(CompiledCurve const& curve, PreparedModel const& model,
                                         int begin, int end, Chunk& work, int slot) {
    auto const& roofline = curve.roofline;
    int const padded = padded_points(curve.points);
    for (int j = begin; j < end; ++j) {
        auto const from = static_cast<std::size_t>(j);
        auto const to = static_cast<std::size_t>(slot + j - begin);
        // The order in which files have always been summed here: another is another last bit.
        auto const seconds = roofline_seconds(roofline, model.factors(from));
        work.seconds[to] = seconds.overhead + seconds.compute + seconds.memory;
        work.multiplier[to] = curve.mean_correction * model.count[from];
        double residual = 0;
        double variance = curve.log_variance;
        double posterior = curve.common_log_variance;
        if (padded > 0) {
            auto const* vector = model.vectors.data() + model.vector_begin[from];
            auto const* whitened = model.whitened.data() + model.vector_begin[from];
            auto const known = known_of_points(curve, vector, whitened);
            residual = known.residual;
            double const unexplained = curve.amplitude_squared - known.explained;
            posterior = curve.variance_scale * (unexplained > 0 ? unexplained : 0);
            variance = posterior + curve.variance_scale * curve.noise_squared;
        }
        work.residual[to] = residual;
        work.common[to] = posterior;
        work.added[to] = model.added_variance[from];
        work.variance[to] = variance + model.added_variance[from];
    }
}

/// Means and their standard deviations, from what price() left.
[[gnu::always_inline]] inline void finish(Chunk& work, int size) {
    int const padded = padded_points(size);
    for (int j = size; j < padded; ++j) {
        auto const i = static_cast<std::size_t>(j);
        work.seconds[i] = work.residual[i] = work.variance[i] = work.multiplier[i] = 0;
        work.common[i] = work.added[i] = 0;
    }
    for (int j = 0; j < padded; ++j) {
        auto const i = static_cast<std::size_t>(j);
        double const median = work.seconds[i] * exponential(work.residual[i]);
        double const mean = (median > least_seconds ? median : least_seconds) * work.multiplier[i];
        // A log-normal of log variance v has relative variance exp(v) - 1, split as v is; equal
        // kernels have equal errors, so their deviations add.
        work.mean[i] = mean;
        double const square = mean * mean * (exponential(work.variance[i]) - 1);
        double const unit = square / (work.variance[i] > 1e-300 ? work.variance[i] : 1e-300);
        double const own = work.variance[i] - work.common[i] - work.added[i];
        work.own[i] = std::sqrt(unit * (own > 0 ? own : 0));
        work.shared[i] = std::sqrt(unit * work.common[i]);
        work.unknown[i] = std::sqrt(unit * work.added[i]);
    }
}

DERATE_WIDEST_VECTORS
Totals evaluate(CompiledCurve const* curves, PreparedModel const& model) {
    Totals totals;
    Chunk work;
    double type_sum = 0;
    auto const run_count = model.runs.size();
    for (std::size_t first = 0; first < run_count;) {
        // As many whole runs as fit; a run longer than a chunk is taken in pieces, whose sums add.
        int const chunk_begin = model.runs[first].begin;
        std::size_t last = first;
        while (last < run_count && model.runs[last].end - chunk_begin <= chunk) ++last;
        bool const is_long = last == first;
        if (is_long) ++last;
        double run_sum = 0;
        double run_squares = 0;
        double shared_sum = 0;
        double shared_squares = 0;
        double unknown_sum = 0;
        int const chunk_end = model.runs[last - 1].end;
        for (int piece = chunk_begin; piece < chunk_end; piece += chunk) {
            int const piece_end = std::min(piece + chunk, chunk_end);
            for (std::size_t r = first; r < last; ++r) {
                auto const& run = model.runs[r];
                int const begin = std::max(run.begin, piece);
                price(curves[run.curve], model, begin, std::min(run.end, piece_end), work,
                      begin - piece);
            }
            finish(work, piece_end - piece);
            for (std::size_t r = first; r < last; ++r) {
                auto const& run = model.runs[r];
                int const end = std::min(run.end, piece_end);
                bool const is_parent = curves[run.curve].is_parent;
                for (int j = std::max(run.begin, piece); j < end; ++j) {
                    auto const i = static_cast<std::size_t>(j - piece);
                    double const count = model.count[static_cast<std::size_t>(j)];
                    double const square = work.own[i] * work.own[i];
                    double const shared_square = work.shared[i] * work.shared[i];
                    double const unknown_square = work.unknown[i] * work.unknown[i];
                    totals.total += work.mean[i];
                    unknown_sum += work.unknown[i];
                    totals.unlearnt_independent += unknown_square / count;
                    if (is_parent) {
                        totals.unlearnt_independent += (square + shared_square) / count;
                    } else {
                        totals.independent += (square + shared_square) / count;
                        totals.kernel_squares += square + shared_square;
                        totals.kernel_sum += std::sqrt(square + shared_square);
                    }
                    run_squares += square;
                    run_sum += work.own[i];
                    shared_squares += shared_square;
                    shared_sum += work.shared[i];
                }
                if (end < run.end) continue;
                // What nothing is known of is wrong by one common factor.
                totals.unlearnt += unknown_sum * unknown_sum;
                if (is_parent) {
                    // And so is a type without a curve of its own, about which its kernels scatter.
                    totals.unlearnt += shared_sum * shared_sum + run_squares;
                } else {
                    totals.shared +=
                        shared_squares +
                        run.shared_correlation * (shared_sum * shared_sum - shared_squares);
                    totals.sum_squares += run_squares;
                    type_sum += run_sum;
                }
                unknown_sum = shared_sum = shared_squares = run_sum = run_squares = 0;
                if (run.ends_type) {
                    totals.type_squares += type_sum * type_sum;
                    totals.sum_deviations += type_sum;
                    type_sum = 0;
                }
            }
        }
        first = last;
    }
    return totals;
}

}  // namespace

double model_wide_variance(CompiledCalibration const& calibration, PreparedModel const& model,
                           EstimateOf what) {
    auto const& intervals = calibration.intervals();
    double variance = intervals.model_log_variance;
    if (what == EstimateOf::whole_model) {
        auto const& context = calibration.context();
        double const spread = context.relative_std.value_or(0);
        double const distance = log_distance_below(context, model.total_bytes);
        variance += spread * spread + intervals.extrapolation_log_variance * distance * distance;
    }
    if (model.foreign_partition) variance += intervals.foreign_partition_log_variance;
    return variance;
}

LatencyEstimate estimate(CompiledCalibration const& calibration, PreparedModel const& model,
                         EstimateOf what) {
    auto const totals = evaluate(calibration.curves().data(), model);
    auto const& intervals = calibration.intervals();
    bool const in_context = what == EstimateOf::whole_model;
    double const parts_and_operators =
        totals.total + (in_context ? operator_seconds_in(calibration.context(), model.total_bytes) *
                                         model.total_operators
                                   : 0);
    double const square = parts_and_operators * parts_and_operators;
    double const learnt =
        (totals.shared + totals.sum_squares +
         intervals.same_type_correlation * (totals.type_squares - totals.sum_squares) +
         intervals.cross_type_correlation *
             (totals.sum_deviations * totals.sum_deviations - totals.type_squares)) /
        square;
    // How few kernels the learnt part rests on: 1 where it is one. The factor says how errors of
    // many add up, so that it leaves one alone.
    double const concentration =
        totals.kernel_sum > 0 ? totals.kernel_squares / (totals.kernel_sum * totals.kernel_sum) : 1;
    double const factor = std::pow(intervals.variance_factor, 1 - concentration);
    auto const log_variance_of = [&](double learnt_part, double unlearnt_part) {
        return std::log1p(std::expm1(factor * std::log1p(learnt_part)) + unlearnt_part / square);
    };
    double const log_variance = log_variance_of(learnt, totals.unlearnt) +
                                model_wide_variance(calibration, model, what);
    double const context = in_context ? calibration.context().factor : 1;

    LatencyEstimate result;
    result.latency_ms = parts_and_operators * context * ms_per_second;
    result.log_variance = log_variance;
    double const relative_std = std::sqrt(std::expm1(log_variance));
    result.latency_std_ms = result.latency_ms * relative_std;
    double const spread = std::exp(intervals.t_quantile * std::sqrt(log_variance));
    result.ci_95_lower_ms = result.latency_ms / spread;
    result.ci_95_upper_ms = result.latency_ms * spread;
    double const independent_spread =
        std::exp(1.959963984540054 * std::sqrt(log_variance_of(totals.independent / square,
                                                               totals.unlearnt_independent)));
    result.ci_95_independent_lower_ms = result.latency_ms / independent_spread;
    result.ci_95_independent_upper_ms = result.latency_ms * independent_spread;
    result.degrees_of_freedom = intervals.degrees_of_freedom;
    if (calibration.peak_flops() && model.total_flops > 0) {
        result.efficiency_used =
            model.total_flops / (result.latency_ms / ms_per_second * *calibration.peak_flops());
        result.efficiency_std = *result.efficiency_used * relative_std;
    }
    result.extrapolated_subgraphs = model.extrapolated_subgraphs;
    result.unseen_regimes = model.unseen_regimes;
    result.foreign_partition = model.foreign_partition;
    return result;
}

}  // namespace derate
