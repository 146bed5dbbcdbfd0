#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/interpreter.hpp"
#include "benchmarks/runnable_model.hpp"
#include "benchmarks/timing_device.hpp"
#include "core/measurement.hpp"
#include "measuring/repetition.hpp"
#include "workloads/exported_program.hpp"
#include "workloads/partition.hpp"

namespace derate::benchmarks {

/// Operators one by one through LibTorch's dispatcher, as PyTorch runs a model without compiling
/// it.
///
/// The tensors of subgraphs that are timed alone are captured from a run: their real shapes,
/// strides, values and shared storage decide which kernel runs and how long it takes. All functions
/// run under InferenceMode.
class EagerModel : public RunnableModel {
  public:
    /// \param subgraphs  ids of those to be timed alone
    /// \param device     outlives this object
    EagerModel(ExportedProgram program, std::vector<int> const& subgraphs, std::uint64_t seed,
               TimingDevice& device, Extent extent = Extent::whole);

    [[nodiscard]] RunIteration whole() override;
    [[nodiscard]] InContextRun time_in_context(RepetitionPolicy const& policy) override;
    [[nodiscard]] RunIteration isolated(int subgraph, CacheState state) override;

    /// Runs such a subgraph once, untimed. \return  what it makes, in the order of its outputs
    [[nodiscard]] std::vector<at::Tensor> compute(int subgraph);

    /// What the model returned in the capturing run: the constructor's where subgraphs are
    /// captured, else the first whole run. Empty where that run ended before the model did.
    [[nodiscard]] std::vector<at::Tensor> const& outputs() const { return outputs_; }

    [[nodiscard]] ExportedProgram const& program() const { return program_; }
    [[nodiscard]] Partition const& parts() const { return partition_; }

  private:
    struct External {
        ValueId slot;
        at::Tensor tensor;
        bool is_weight = false;
        bool changed = false;  // the case writes to its storage
    };
    /// A storage that a case or model changes, and what it held before.
    struct Refreshed {
        at::Tensor working;
        at::Tensor pristine;
    };
    struct Captured {
        std::vector<External> externals;
        std::vector<Refreshed> refreshed;
        std::vector<MemoryRange> activations;
        std::vector<MemoryRange> weights;
        bool ready = false;
        std::optional<std::string> failure;
    };

    void capture_run();
    [[nodiscard]] std::size_t captured_parts() const;
    [[nodiscard]] std::vector<ProgramInput> read_inputs() const;
    void keep_outputs();
    void capture_externals(ProgramSubgraph const& part, Captured& captured);
    void check_results(ProgramSubgraph const& part, Captured& captured) const;
    void keep_from_change(at::Tensor const& about_to_change, Captured* current);
    static void make_ready(Captured& captured);
    void bring_inputs(Captured& captured);
    [[nodiscard]] ProgramSubgraph const& part_of(int subgraph) const;
    void restore_inputs();
    void run_subgraph(std::size_t index);

    ExportedProgram program_;
    Partition partition_;
    TimingDevice& device_;
    Extent extent_;
    Interpreter interpreter_;
    TensorSlots slots_;                 // of whole runs
    TensorSlots scratch_;               // of isolated runs
    std::map<int, Captured> captured_;  // by Subgraph::id
    std::vector<Refreshed> changed_inputs_;
    std::vector<at::Tensor> outputs_;
    bool has_run_ = false;  // the capturing run
};

}  // namespace derate::benchmarks
