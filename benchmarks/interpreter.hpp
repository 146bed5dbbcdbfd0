#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstddef>
#include <string>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate::benchmarks {

/// One tensor per ExportedProgram::values; undefined where nothing was computed or it died.
using TensorSlots = std::vector<at::Tensor>;

/// An exported program made ready to run: operators resolved, arguments in the dispatcher's form.
///
/// Runs what PyTorch eager runs, operator by operator through LibTorch's dispatcher, and frees each
/// tensor after its last reader as eager does. Holds no tensor of the program itself.
class Interpreter {
  public:
    /// \param device  where tensors are made ("cpu", "cuda"); the export's own device is ignored
    /// \throws CannotTime  an operator or an argument that this LibTorch does not know
    Interpreter(ExportedProgram const& program, std::string const& device);

    [[nodiscard]] std::size_t node_count() const { return calls_.size(); }
    [[nodiscard]] std::size_t slot_count() const { return slot_count_; }

    /// Runs nodes `first` to `last` (exclusive). What they read must be in `slots`; what they make
    /// goes there. Under InferenceMode of the caller.
    void run(TensorSlots& slots, std::size_t first, std::size_t last);
    void run(TensorSlots& slots) { run(slots, 0, calls_.size()); }

    /// Slots that the call may change in place, by its operator's schema.
    [[nodiscard]] std::vector<ValueId> changed_by(std::size_t node) const;

    /// Slots whose tensors outlive a run: inputs, parameters and what the program returns.
    [[nodiscard]] bool is_kept(ValueId slot) const { return kept_[static_cast<std::size_t>(slot)]; }

    /// Drops what a run left behind except inputs and parameters.
    void release_results(TensorSlots& slots) const;

  private:
    struct Argument {
        enum class Kind { constant, tensor, tensors, optional_tensors } kind = Kind::constant;
        c10::IValue constant;
        std::vector<ValueId> slots;  // -1: absent entry of an optional list
        bool written = false;
    };
    struct Output {
        bool is_list = false;
        std::vector<ValueId> slots;  // empty: nobody asked for it
    };
    struct Call {
        c10::OperatorHandle op;
        std::vector<Argument> arguments;
        std::vector<Output> outputs;
        std::vector<ValueId> dead;  // slots that no later call reads
    };

    Call prepare(ProgramNode const& node, std::string const& device) const;
    void find_dead_slots(ExportedProgram const& program);

    std::vector<Call> calls_;
    std::size_t slot_count_ = 0;
    std::vector<bool> kept_;
    std::vector<bool> is_input_;
    torch::jit::Stack stack_;
};

}  // namespace derate::benchmarks
