#include "workloads/eager_partition.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "workloads/descriptor.hpp"
#include "workloads/input_values.hpp"
#include "workloads/moved_bytes.hpp"
#include "workloads/node_attributes.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

/// Which memory each value lies in, and who touches it last.
///
/// A view or the result of an in-place call lies in the memory of its input; `root` is the value
/// that this memory was made as.
class Storage {
  public:
    explicit Storage(ExportedProgram const& program)
        : root_(program.values.size()),
          kinds_(program.nodes.size()),
          is_weight_(program.values.size(), false),
          last_read_(program.values.size(), -1),
          last_read_by_name_(program.values.size(), -1) {
        for (std::size_t i = 0; i < root_.size(); ++i) root_[i] = static_cast<ValueId>(i);
        for (auto const& input : program.inputs) {
            is_weight_[index(input.value)] = input.kind != InputKind::user_input;
        }
        for (std::size_t i = 0; i < program.nodes.size(); ++i) {
            auto const& node = program.nodes[i];
            kinds_[i] = kind_of(program, node);
            auto const read = tensors_read(node);
            for (auto const id : read) note_read(id, static_cast<int>(i));
            bool const shares = kinds_[i] == OperatorKind::view || is_in_place(node);
            if (!shares || read.empty()) continue;
            for (auto const id : tensors_returned(node)) root_[index(id)] = root(read.front());
        }
        auto const end = static_cast<int>(program.nodes.size());
        for (auto const id : program.outputs) note_read(id, end);
        for (auto const& mutation : program.mutations) note_read(mutation.source, end);
    }

    [[nodiscard]] ValueId root(ValueId id) const { return root_[index(id)]; }
    [[nodiscard]] OperatorKind kind(int node) const {
        return kinds_[static_cast<std::size_t>(node)];
    }
    [[nodiscard]] bool is_weight(ValueId id) const { return is_weight_[index(root(id))]; }
    /// A node from `end` on, or the program's result, reads this very value.
    [[nodiscard]] bool is_read_from(ValueId id, int end) const {
        return last_read_by_name_[index(id)] >= end;
    }
    /// A node from `end` on, or the program's result, reads memory that `id` lies in.
    [[nodiscard]] bool is_memory_read_from(ValueId id, int end) const {
        return last_read_[index(root(id))] >= end;
    }

  private:
    static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

    void note_read(ValueId id, int node) {
        last_read_by_name_[index(id)] = node;
        last_read_[index(root(id))] = node;
    }

    std::vector<ValueId> root_;
    std::vector<OperatorKind> kinds_;
    std::vector<bool> is_weight_;  // of roots
    std::vector<int> last_read_;   // of roots: node, or one past the last
    std::vector<int> last_read_by_name_;
};

bool takes_batch_norm(OperatorKind last) { return last == OperatorKind::convolution; }

bool takes_activation(OperatorKind last, ProgramNode const& node) {
    auto const* row = find_operator(node);
    return last == OperatorKind::convolution || last == OperatorKind::linear ||
           last == OperatorKind::norm || (row != nullptr && row->pattern == "add");
}

/// Runs of consecutive nodes, by the index of each run's first node.
std::vector<int> cut_runs(ExportedProgram const& program, Storage const& storage) {
    std::vector<int> starts;
    std::optional<int> last_kernel;  // of the open run
    std::vector<bool> in_run(program.values.size(), false);
    int leading_views = -1;  // first of the views that wait for the next kernel
    std::vector<ValueId> run_values;

    auto const reads_from_run = [&](ProgramNode const& node) {
        auto const read = tensors_read(node);
        return std::any_of(read.begin(), read.end(),
                           [&](ValueId id) { return in_run[static_cast<std::size_t>(id)]; });
    };
    auto const add_values = [&](ProgramNode const& node) {
        for (auto const id : tensors_returned(node)) {
            in_run[static_cast<std::size_t>(id)] = true;
            run_values.push_back(id);
        }
    };
    for (int i = 0; i < static_cast<int>(program.nodes.size()); ++i) {
        auto const& node = program.nodes[static_cast<std::size_t>(i)];
        auto const kind = storage.kind(i);
        bool const is_adjacent = last_kernel && leading_views < 0;
        bool const joins = is_adjacent && reads_from_run(node);
        if (kind == OperatorKind::view) {
            if (joins) {
                add_values(node);
            } else if (leading_views < 0) {
                leading_views = i;
            }
            continue;
        }
        auto const& last = program.nodes[static_cast<std::size_t>(last_kernel.value_or(0))];
        bool const is_batch_norm =
            kind == OperatorKind::norm && find_operator(node)->pattern == "BatchNorm";
        bool const fuses =
            joins && ((is_batch_norm && takes_batch_norm(storage.kind(*last_kernel))) ||
                      (kind == OperatorKind::activation &&
                       takes_activation(storage.kind(*last_kernel), last)));
        if (!fuses) {
            starts.push_back(leading_views >= 0 ? leading_views : i);
            leading_views = -1;
            for (auto const id : run_values) in_run[static_cast<std::size_t>(id)] = false;
            run_values.clear();
        }
        add_values(node);
        last_kernel = i;
    }
    // Views at the very end have no kernel to lead; they stay with the last run, or are the only
    // one.
    if (starts.empty() && !program.nodes.empty()) starts.push_back(0);
    return starts;
}

/// Bytes of distinct values, those that share memory together at most that memory.
class DistinctBytes {
  public:
    void add(ValueId value, double bytes, ValueId memory, double memory_bytes) {
        auto& held = by_value_[memory][value];
        held = std::max(held, bytes);
        auto& limit = limit_[memory];
        limit = std::max(limit, memory_bytes);
    }
    [[nodiscard]] double total() const {
        double sum = 0;
        for (auto const& [memory, values] : by_value_) {
            double of_memory = 0;
            for (auto const& [value, bytes] : values) of_memory += bytes;
            sum += std::min(of_memory, limit_.at(memory));
        }
        return sum;
    }

  private:
    std::map<ValueId, std::map<ValueId, double>> by_value_;
    std::map<ValueId, double> limit_;
};

/// Traffic is counted as the descriptor tells it: which tensors from outside share memory is not in
/// it, so that each counts for itself, and equal kernels count alike in every model.
ProgramSubgraph assemble(ExportedProgram const& program, Storage const& storage, int first,
                         int end) {
    ProgramSubgraph run;
    std::map<ValueId, ValueId> roots;  // of views and in-place results made in the run
    auto const root_of = [&roots](ValueId id) {
        auto const found = roots.find(id);
        return found == roots.end() ? id : found->second;
    };
    std::set<ValueId> unwritten;   // memory asked for in the run, with nothing in it yet
    std::set<ValueId> made;        // values made in the run
    std::set<ValueId> made_roots;  // memory made in the run
    std::set<ValueId> external;
    DistinctBytes input;
    DistinctBytes weights;
    DistinctBytes output;
    double work = 0;
    std::optional<int> head;
    bool is_meta = true;

    for (int i = first; i < end; ++i) {
        auto const& node = program.nodes[static_cast<std::size_t>(i)];
        auto const kind = storage.kind(i);
        bool const is_view = kind == OperatorKind::view;
        auto const moved = is_view ? MovedBytes{} : moved_bytes(program, node);
        auto const read = tensors_read(node);
        auto const returned = tensors_returned(node);
        run.nodes.push_back(i);
        for (std::size_t position = 0; position < read.size(); ++position) {
            auto const id = read[position];
            if (!made.contains(id) && external.insert(id).second) {
                (storage.is_weight(id) ? run.weights : run.activations).push_back(id);
            }
            auto const root = root_of(id);
            if (is_view || made_roots.contains(root) || moved.read[position] == 0) continue;
            (storage.is_weight(id) ? weights : input)
                .add(id, moved.read[position], root, unique_bytes(value_of(program, root)));
        }
        for (auto const id : returned) {
            made.insert(id);
            bool const shares = (is_view || is_in_place(node)) && !read.empty();
            if (shares) {
                roots[id] = root_of(read.front());
            } else {
                made_roots.insert(id);
                if (leaves_unwritten(node)) unwritten.insert(id);
            }
        }
        if (is_view) continue;
        is_meta = false;
        if (!head) head = i;
        work += work_of(program, node).value();
        auto const written = written_argument(program, node);
        if (written && !made_roots.contains(root_of(*written))) {
            auto const root = root_of(*written);
            output.add(root, moved.written, root, unique_bytes(value_of(program, root)));
        }
    }

    auto const add_output = [&](ValueId id) {
        run.outputs.push_back(id);
        auto const root = root_of(id);
        if (!made_roots.contains(root) || unwritten.contains(root)) return;
        output.add(id, unique_bytes(value_of(program, id)), root,
                   unique_bytes(value_of(program, root)));
    };
    std::map<ValueId, ValueId> changed;  // memory from outside -> its last in-place result
    std::set<ValueId> returned_roots;
    for (int i = first; i < end; ++i) {
        auto const& node = program.nodes[static_cast<std::size_t>(i)];
        for (auto const id : tensors_returned(node)) {
            auto const root = root_of(id);
            if (is_in_place(node) && !made_roots.contains(root)) changed[root] = id;
            if (!storage.is_read_from(id, end)) continue;
            add_output(id);
            returned_roots.insert(root);
        }
    }
    // Memory changed through a name that nobody reads again, while another name of it is read.
    for (auto const& [root, id] : changed) {
        if (storage.is_memory_read_from(id, end) && !returned_roots.contains(root)) add_output(id);
    }

    run.subgraph.work = Flops{work};
    if (!is_meta) {
        run.subgraph.traffic = {.input = Bytes{input.total()},
                                .weights = Bytes{weights.total()},
                                .output = Bytes{output.total()}};
    }
    run.subgraph.type =
        head ? operation_type_of(program, program.nodes[static_cast<std::size_t>(*head)])
             : OperationType::meta;
    return run;
}

/// "Conv2d_BatchNorm2d_ReLU": the kernels, or the views where there is nothing else.
std::string fusion_pattern_of(ExportedProgram const& program, Storage const& storage,
                              ProgramSubgraph const& run) {
    constexpr std::size_t longest = 3;
    bool const is_meta = run.subgraph.type == OperationType::meta;
    std::string pattern;
    std::size_t count = 0;
    for (auto const i : run.nodes) {
        if (!is_meta && storage.kind(i) == OperatorKind::view) continue;
        if (++count > longest) continue;
        if (!pattern.empty()) pattern += '_';
        pattern += pattern_of(program, program.nodes[static_cast<std::size_t>(i)]);
    }
    if (count > longest) pattern += "_+" + std::to_string(count - longest) + "more";
    return pattern;
}

/// Words for the inputs from which the run makes what decides its time, or that are it.
std::map<ValueId, std::string> deciding_words(ExportedProgram const& program,
                                              ProgramValues const& values,
                                              ProgramSubgraph const& run) {
    std::set<ValueId> deciding;
    for (auto position = run.nodes.rbegin(); position != run.nodes.rend(); ++position) {
        auto const& node = program.nodes[static_cast<std::size_t>(*position)];
        for (auto const id : deciding_values(program, node)) deciding.insert(id);
        for (auto const id : tensors_returned(node)) {
            if (deciding.erase(id) == 0) continue;
            auto const read = tensors_read(node);
            deciding.insert(read.begin(), read.end());
        }
    }
    std::map<ValueId, std::string> words;
    for (auto const id : deciding) words[id] = values.words[static_cast<std::size_t>(id)];
    return words;
}

}  // namespace

Partition eager_partition(ExportedProgram const& program) {
    Storage const storage{program};
    auto const values = values_of(program);
    auto const starts = cut_runs(program, storage);
    Partition result{.rule = eager_partition_rule, .subgraphs = {}};
    result.subgraphs.reserve(starts.size());
    for (std::size_t i = 0; i < starts.size(); ++i) {
        int const end =
            i + 1 < starts.size() ? starts[i + 1] : static_cast<int>(program.nodes.size());
        auto run = assemble(program, storage, starts[i], end);
        run.subgraph.id = static_cast<int>(i);
        run.subgraph.fusion_pattern = fusion_pattern_of(program, storage, run);
        for (auto const node : run.nodes) {
            run.subgraph.nodes.push_back(
                describe_node(program, program.nodes[static_cast<std::size_t>(node)]));
        }
        run.values = deciding_words(program, values, run);
        run.subgraph.descriptor = format_descriptor(extract_subgraph(program, run));
        result.subgraphs.push_back(std::move(run));
    }
    return result;
}

}  // namespace derate
