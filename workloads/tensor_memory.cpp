#include "workloads/tensor_memory.hpp"

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {

TensorMemory::TensorMemory(ExportedProgram const& program)
    : makers_(program.values.size()), viewed_(program.values.size()) {
    std::vector<ValueId> bases;
    for (auto const& node : program.nodes) {
        auto const read = tensors_read(node);
        auto const made = tensors_returned(node);
        for (std::size_t j = 0; j < made.size(); ++j) {
            makers_[index(made[j])] = {.node = &node, .result = j};
            if (read.empty() || is_floating_point(value_of(program, made[j]).dtype)) continue;
            if (is_in_place(node)) bases.push_back(base_of(read.front()));
            if (is_in_place(node) || kind_of(program, node) == OperatorKind::view) {
                viewed_[index(made[j])] = read.front();
            }
        }
    }
    for (auto const base : bases) written_[base] = {base};
    if (written_.empty()) return;
    for (std::size_t i = 0; i < viewed_.size(); ++i) {
        if (!viewed_[i]) continue;
        auto const found = written_.find(base_of(static_cast<ValueId>(i)));
        if (found != written_.end()) found->second.push_back(static_cast<ValueId>(i));
    }
}

std::vector<ValueId> TensorMemory::written_aliases(ValueId id) const {
    auto const found = written_.find(base_of(id));
    return found == written_.end() ? std::vector<ValueId>{} : found->second;
}

ValueId TensorMemory::base_of(ValueId id) const {
    while (viewed_[index(id)]) id = *viewed_[index(id)];
    return id;
}

}  // namespace derate
