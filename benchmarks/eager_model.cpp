#include "benchmarks/eager_model.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "benchmarks/seeded_tensors.hpp"
#include "measuring/cannot_time.hpp"
#include "workloads/eager_partition.hpp"

namespace derate::benchmarks {
namespace {

/// Runs LibTorch's part and gives what it throws a reason that a record can carry.
template <class Work>
auto explain_failures(std::string const& what, Work const& work) {
    c10::InferenceMode const inference;
    try {
        return work();
    } catch (CannotTime const&) {
        throw;
    } catch (std::bad_alloc const&) {
        throw CannotTime{what + ": out of memory"};
    } catch (c10::Error const& error) {
        std::string reason = error.what_without_backtrace();
        throw CannotTime{what + ": " + reason.substr(0, reason.find('\n'))};
    } catch (std::exception const& error) {
        // oneDNN throws types of its own.
        throw CannotTime{what + ": " + error.what()};
    }
}

c10::StorageImpl* storage_of(at::Tensor const& tensor) {
    return tensor.storage().unsafeGetStorageImpl();
}

/// A flat view of everything in the tensor's storage, for copying it whole.
at::Tensor whole_storage(at::Tensor const& tensor) {
    auto const bytes = static_cast<std::int64_t>(tensor.storage().nbytes());
    return at::empty({0}, tensor.options().dtype(at::kByte))
        .set_(tensor.storage(), 0, {bytes}, {1});
}

at::Tensor copy_of_storage(at::Tensor const& tensor) { return whole_storage(tensor).clone(); }

/// `tensor` as it is, over the storage of `bytes`.
at::Tensor rebased(at::Tensor const& tensor, at::Tensor const& bytes) {
    return at::empty({0}, tensor.options())
        .set_(bytes.storage(), tensor.storage_offset(), tensor.sizes(), tensor.strides());
}

/// From the tensor's first element to its last, with what lies between.
MemoryRange extent_of(at::Tensor const& tensor) {
    if (tensor.numel() == 0) return {};
    std::int64_t last = 0;
    for (std::int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
    return {.begin = tensor.const_data_ptr(),
            .bytes = (static_cast<std::size_t>(last) + 1) * tensor.element_size()};
}

/// Joins ranges that overlap, so that no byte is evicted twice.
std::vector<MemoryRange> joined(std::vector<MemoryRange> ranges) {
    std::erase_if(ranges, [](auto const& range) { return range.bytes == 0; });
    std::ranges::sort(ranges, std::less<>{}, &MemoryRange::begin);
    std::vector<MemoryRange> result;
    for (auto const& range : ranges) {
        auto const* const begin = static_cast<std::byte const*>(range.begin);
        if (!result.empty()) {
            auto& before = result.back();
            auto const* const before_begin = static_cast<std::byte const*>(before.begin);
            if (begin <= before_begin + before.bytes) {
                auto const end = std::max(before_begin + before.bytes, begin + range.bytes);
                before.bytes = static_cast<std::size_t>(end - before_begin);
                continue;
            }
        }
        result.push_back(range);
    }
    return result;
}

std::size_t first_node(ProgramSubgraph const& part) {
    return static_cast<std::size_t>(part.nodes.front());
}
std::size_t end_node(ProgramSubgraph const& part) {
    return static_cast<std::size_t>(part.nodes.back()) + 1;
}

bool is_floating(at::Tensor const& tensor) {
    return tensor.defined() && tensor.is_floating_point();
}

}  // namespace

EagerModel::EagerModel(ExportedProgram program, std::vector<int> const& subgraphs,
                       std::uint64_t seed, TimingDevice& device, Extent extent)
    : program_{std::move(program)},
      partition_{eager_partition(program_)},
      device_{device},
      extent_{extent},
      interpreter_{program_, device.name()},
      scratch_(program_.values.size()) {
    for (auto const id : subgraphs) captured_[id];
    explain_failures("loading", [&] {
        slots_ = seeded_inputs(program_, read_inputs(), seed, device_.name());
        // Without subgraphs to capture for, the first run of the model does.
        if (!captured_.empty()) capture_run();
    });
}

void EagerModel::run_subgraph(std::size_t index) {
    auto const& part = partition_.subgraphs[index];
    interpreter_.run(slots_, first_node(part), end_node(part));
}

/// How many of the partition's subgraphs the capturing run is to run.
std::size_t EagerModel::captured_parts() const {
    auto const& parts = partition_.subgraphs;
    if (extent_ == Extent::whole) return parts.size();
    auto const last = std::ranges::find_if(parts.rbegin(), parts.rend(), [&](auto const& part) {
        return captured_.contains(part.subgraph.id);
    });
    return static_cast<std::size_t>(parts.rend() - last);
}

/// Inputs and weights that the capturing run reads.
std::vector<ProgramInput> EagerModel::read_inputs() const {
    if (extent_ == Extent::whole) return program_.inputs;
    std::set<ValueId> read;
    for (auto const& part : std::span{partition_.subgraphs}.first(captured_parts())) {
        read.insert(part.activations.begin(), part.activations.end());
        read.insert(part.weights.begin(), part.weights.end());
    }
    std::vector<ProgramInput> inputs;
    std::ranges::copy_if(program_.inputs, std::back_inserter(inputs),
                         [&](auto const& input) { return read.contains(input.value); });
    return inputs;
}

void EagerModel::capture_run() {
    auto const parts = captured_parts();
    for (auto const& part : std::span{partition_.subgraphs}.first(parts)) {
        auto const found = captured_.find(part.subgraph.id);
        Captured* const current = found == captured_.end() ? nullptr : &found->second;
        if (current != nullptr) capture_externals(part, *current);
        for (auto const node : part.nodes) {
            auto const index = static_cast<std::size_t>(node);
            for (auto const slot : interpreter_.changed_by(index)) {
                auto const& tensor = slots_[static_cast<std::size_t>(slot)];
                if (tensor.defined()) keep_from_change(tensor, current);
            }
            try {
                interpreter_.run(slots_, index, index + 1);
            } catch (c10::Error const& error) {
                std::string const reason = error.what_without_backtrace();
                throw CannotTime{program_.nodes[index].name + " (" + program_.nodes[index].target +
                                 "): " + reason.substr(0, reason.find('\n'))};
            }
        }
        if (current != nullptr) check_results(part, *current);
    }
    if (parts == partition_.subgraphs.size()) keep_outputs();
    interpreter_.release_results(slots_);
    restore_inputs();
    has_run_ = true;
}

void EagerModel::keep_outputs() {
    for (auto const output : program_.outputs) {
        auto const& tensor = slots_[static_cast<std::size_t>(output)];
        if (is_floating(tensor) && !at::isfinite(tensor).all().item<bool>()) {
            throw CannotTime{"the model's output is not finite with seeded weights"};
        }
        outputs_.push_back(tensor);
    }
}

void EagerModel::check_results(ProgramSubgraph const& part, Captured& captured) const {
    for (auto const output : part.outputs) {
        auto const& tensor = slots_[static_cast<std::size_t>(output)];
        if (is_floating(tensor) && at::isnan(tensor).any().item<bool>()) {
            captured.failure = "its result is not a number";
        }
    }
}

void EagerModel::capture_externals(ProgramSubgraph const& part, Captured& captured) {
    auto const capture = [&](ValueId slot, bool is_weight) {
        captured.externals.push_back({.slot = slot,
                                      .tensor = slots_[static_cast<std::size_t>(slot)],
                                      .is_weight = is_weight,
                                      .changed = false});
    };
    for (auto const slot : part.activations) capture(slot, false);
    for (auto const slot : part.weights) capture(slot, true);
}

/// An operator is about to write into this tensor's storage: whoever captured a tensor there gets a
/// copy of what it held, and a model input is remembered so that every run starts alike.
void EagerModel::keep_from_change(at::Tensor const& about_to_change, Captured* current) {
    auto* const storage = storage_of(about_to_change);
    if (current != nullptr) {
        for (auto& external : current->externals) {
            if (storage_of(external.tensor) == storage) external.changed = true;
        }
    }
    at::Tensor bytes;
    for (auto& [id, captured] : captured_) {
        for (auto& external : captured.externals) {
            if (!external.tensor.defined() || storage_of(external.tensor) != storage) continue;
            if (!bytes.defined()) bytes = copy_of_storage(about_to_change);
            external.tensor = rebased(external.tensor, bytes);
        }
    }
    for (auto const& input : program_.inputs) {
        auto const& tensor = slots_[static_cast<std::size_t>(input.value)];
        if (!tensor.defined() || storage_of(tensor) != storage) continue;
        if (!bytes.defined()) bytes = copy_of_storage(about_to_change);
        bool const known = std::ranges::any_of(changed_inputs_, [&](auto const& refreshed) {
            return storage_of(refreshed.working) == storage;
        });
        if (!known)
            changed_inputs_.push_back({.working = whole_storage(tensor), .pristine = bytes});
    }
}

void EagerModel::restore_inputs() {
    for (auto& input : changed_inputs_) input.working.copy_(input.pristine);
}

RunIteration EagerModel::whole() {
    if (extent_ != Extent::whole) throw std::logic_error{"a model of some subgraphs run whole"};
    return [this] {
        return explain_failures("whole run", [this] {
            restore_inputs();
            device_.rouse();
            // A first call, which no repetition keeps.
            if (!has_run_) return device_.time_ms([this] { capture_run(); });
            auto const ms = device_.time_ms([this] { interpreter_.run(slots_); });
            interpreter_.release_results(slots_);
            return ms;
        });
    };
}

InContextRun EagerModel::time_in_context(RepetitionPolicy const& policy) {
    if (extent_ != Extent::whole) throw std::logic_error{"a model of some subgraphs run whole"};
    return explain_failures("run in context", [&] {
        if (!has_run_) capture_run();
        InContextRun run{.runs = policy.min_iterations};
        for (int i = 0; i < policy.min_warmup_iterations + run.runs; ++i) {
            restore_inputs();
            device_.rouse();
            auto const laps = device_.time_laps_ms(
                partition_.subgraphs.size(), [this](std::size_t index) { run_subgraph(index); });
            interpreter_.release_results(slots_);
            if (i < policy.min_warmup_iterations) continue;
            auto const run_ms = std::accumulate(laps.begin(), laps.end(), 0.0);
            if (!run.subgraph_ms.empty() && run_ms >= run.run_ms) continue;
            run.run_ms = run_ms;
            run.subgraph_ms = laps;
        }
        return run;
    });
}

/// Gives a case that writes to its inputs working copies of them and finds the bytes it reads.
void EagerModel::make_ready(Captured& captured) {
    std::map<c10::StorageImpl*, at::Tensor> working_storages;
    for (auto& external : captured.externals) {
        if (!external.changed) continue;
        auto& working = working_storages[storage_of(external.tensor)];
        if (!working.defined()) {
            working = copy_of_storage(external.tensor);
            captured.refreshed.push_back(
                {.working = working, .pristine = whole_storage(external.tensor)});
        }
        external.tensor = rebased(external.tensor, working);
    }
    for (auto const& external : captured.externals) {
        (external.is_weight ? captured.weights : captured.activations)
            .push_back(extent_of(external.tensor));
    }
    captured.activations = joined(std::move(captured.activations));
    captured.weights = joined(std::move(captured.weights));
    captured.ready = true;
}

void EagerModel::bring_inputs(Captured& captured) {
    for (auto& refreshed : captured.refreshed) refreshed.working.copy_(refreshed.pristine);
    for (auto const& external : captured.externals) {
        scratch_[static_cast<std::size_t>(external.slot)] = external.tensor;
    }
}

ProgramSubgraph const& EagerModel::part_of(int subgraph) const {
    auto const found = std::ranges::find_if(
        partition_.subgraphs,
        [&](ProgramSubgraph const& candidate) { return candidate.subgraph.id == subgraph; });
    if (found == partition_.subgraphs.end()) {
        throw CannotTime{"the model has no subgraph " + std::to_string(subgraph)};
    }
    return *found;
}

std::vector<at::Tensor> EagerModel::compute(int subgraph) {
    auto const& part = part_of(subgraph);
    auto& captured = captured_.at(subgraph);
    return explain_failures(part.subgraph.fusion_pattern, [&] {
        if (!captured.ready) make_ready(captured);
        bring_inputs(captured);
        interpreter_.run(scratch_, first_node(part), end_node(part));
        std::vector<at::Tensor> made;
        for (auto const output : part.outputs) {
            made.push_back(scratch_[static_cast<std::size_t>(output)]);
        }
        std::ranges::fill(scratch_, at::Tensor{});
        return made;
    });
}

RunIteration EagerModel::isolated(int subgraph, CacheState state) {
    auto const& part = part_of(subgraph);
    auto& captured = captured_.at(subgraph);
    if (captured.failure) throw CannotTime{part.subgraph.fusion_pattern + ": " + *captured.failure};
    if (!captured.ready)
        explain_failures(part.subgraph.fusion_pattern, [&] { make_ready(captured); });
    return [this, &captured, &part, state] {
        return explain_failures(part.subgraph.fusion_pattern, [&] {
            bring_inputs(captured);
            if (state == CacheState::cold_activations || state == CacheState::cold_all) {
                device_.evict(captured.activations);
            }
            if (state == CacheState::cold_all) device_.evict(captured.weights);
            device_.rouse();
            auto const ms = device_.time_ms([&] {
                interpreter_.run(scratch_, first_node(part), end_node(part));
                // Freeing what it made is part of a run; inside a model its readers do it.
                for (auto const output : part.outputs) {
                    scratch_[static_cast<std::size_t>(output)].reset();
                }
            });
            for (auto const& external : captured.externals) {
                scratch_[static_cast<std::size_t>(external.slot)].reset();
            }
            return ms;
        });
    };
}

}  // namespace derate::benchmarks
