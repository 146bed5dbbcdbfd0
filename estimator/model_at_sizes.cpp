#include "estimator/model_at_sizes.hpp"

#include <utility>

namespace derate {

ModelAtSizes::ModelAtSizes(CompiledCalibration const& calibration,
                           std::span<KernelTraits const> kernels,
                           std::vector<int> kernel_of_subgraph, std::string_view partition)
    : calibration_{calibration},
      counts_(kernels.size(), 0),
      kernel_of_{std::move(kernel_of_subgraph)} {
    for (auto const& traits : kernels) kernels_.push_back(kernel_terms(calibration, traits));
    for (int const kernel : kernel_of_) ++counts_[static_cast<std::size_t>(kernel)];
    model_.foreign_partition = partition != calibration.partition();
}

LatencyEstimate ModelAtSizes::estimate(std::span<KernelTraits const> kernels, EstimateOf what) {
    for (std::size_t k = 0; k < kernels_.size(); ++k) {
        set_numbers(kernels_[k], calibration_, kernels[k]);
    }
    model_.total_flops = model_.total_bytes = model_.total_operators = 0;
    model_.extrapolated_subgraphs = model_.unseen_regimes = 0;
    for (int const kernel : kernel_of_) {
        add_to_totals(model_, kernels_[static_cast<std::size_t>(kernel)]);
    }
    distinct_.set(kernels_, counts_);
    distinct_.fill(model_, calibration_);
    return derate::estimate(calibration_, model_, what);
}

}  // namespace derate
