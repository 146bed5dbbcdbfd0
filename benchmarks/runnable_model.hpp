#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "benchmarks/timing_device.hpp"
#include "core/condition.hpp"
#include "measuring/repetition.hpp"
#include "workloads/exported_program.hpp"

namespace derate::benchmarks {

/// What of a model will be asked for.
enum class Extent {
    whole,      ///< whole runs, and subgraphs alone
    subgraphs,  ///< these alone: what follows the last of them is neither run nor given weights
};

/// A model that a back end has made ready to run on a device: seeded weights and inputs in memory,
/// and the tensors of those of its subgraphs that will be timed alone.
///
/// All functions throw CannotTime where the model, the back end or the device fails.
class RunnableModel {
  public:
    virtual ~RunnableModel() = default;

    /// A whole run without a clock inside. Like the next, of a model of Extent::whole.
    [[nodiscard]] virtual RunIteration whole() = 0;

    /// Whole runs with a clock read between subgraphs, as many as the policy's least iterations.
    [[nodiscard]] virtual InContextRun time_in_context(RepetitionPolicy const& policy) = 0;

    /// One subgraph alone on its captured tensors. It must be one of those asked for.
    [[nodiscard]] virtual RunIteration isolated(int subgraph, CacheState state) = 0;
};

/// \param subgraphs  ids of those to be timed alone, of the back end's partition
/// \param device     outlives the model
/// \throws CannotTime
[[nodiscard]] std::unique_ptr<RunnableModel> make_runnable(Backend backend, ExportedProgram program,
                                                           std::vector<int> const& subgraphs,
                                                           std::uint64_t seed, TimingDevice& device,
                                                           Extent extent = Extent::whole);

}  // namespace derate::benchmarks
