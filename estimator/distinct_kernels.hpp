#pragma once
#include <span>
#include <vector>

#include "estimator/compiled_calibration.hpp"
#include "estimator/kernel_vector.hpp"
#include "estimator/prepared_model.hpp"

namespace derate {

/// Kernels of one model, equal ones once, in the order in which PreparedModel holds them. Keeps its
/// memory from one call to the next.
class DistinctKernels {
  public:
    /// \param kernels  in the model's order; outlive what follows
    /// \param counts   how often each occurs; empty: once
    void set(std::span<KernelTerms const> kernels, std::span<int const> counts);

    /// Writes all of `model` that is of distinct kernels: the first two groups of its arrays.
    /// \param calibration  always the same one
    void fill(PreparedModel& model, CompiledCalibration const& calibration);

    /// Of each of the kernels that were set, which of the distinct ones it is.
    [[nodiscard]] std::span<int const> positions() const { return position_; }

  private:
    void fill_run(PreparedModel& model, CompiledCalibration const& calibration, std::size_t r);

    std::vector<int> order_;
    std::vector<KernelTerms const*> kernels_;  // distinct
    std::vector<int> numbers_;                 // of each, which of the kernels it is
    std::vector<double> counts_;
    std::vector<int> position_;
    PointCovariances point_covariances_;
    std::vector<KernelCorrelations> correlations_;  // of each run
    LaneVector memory_;
};

/// Adds a kernel to the sums over the model's subgraphs, which are formed in the model's order.
inline void add_to_totals(PreparedModel& model, KernelTerms const& kernel) {
    model.total_flops += kernel.terms.flops;
    model.total_bytes += kernel.terms.bytes;
    model.total_operators += kernel.terms.kernels;
    model.extrapolated_subgraphs += kernel.extrapolated ? 1 : 0;
    model.unseen_regimes += kernel.unseen.empty() ? 0 : 1;
}

}  // namespace derate
