#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "estimator/distinct_kernels.hpp"
#include "estimator/prepared_model.hpp"

namespace derate {

/// A model at many sizes: its kernels stay, their numbers change. Gives what estimate() gives of
/// the model prepared at each size, to the last bit, by the same functions, and allocates nothing
/// after the first sizes.
class ModelAtSizes {
  public:
    /// \param calibration         outlives this
    /// \param kernels             of the model, each once, in the order in which they occur first
    /// \param kernel_of_subgraph  index into them of each subgraph in the model's order
    /// \param partition           the rule that cut it
    /// \throws std::invalid_argument  no curve prices one of them
    ModelAtSizes(CompiledCalibration const& calibration, std::span<KernelTraits const> kernels,
                 std::vector<int> kernel_of_subgraph, std::string_view partition);

    /// \param kernels  the same ones, with other terms and sizes
    /// \throws std::invalid_argument  no curve prices one of them
    [[nodiscard]] LatencyEstimate estimate(std::span<KernelTraits const> kernels,
                                           EstimateOf what = EstimateOf::whole_model);

  private:
    CompiledCalibration const& calibration_;
    std::vector<KernelTerms> kernels_;
    std::vector<int> counts_;
    std::vector<int> kernel_of_;
    DistinctKernels distinct_;
    PreparedModel model_;
};

}  // namespace derate
