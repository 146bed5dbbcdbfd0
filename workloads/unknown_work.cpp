#include "workloads/unknown_work.hpp"

#include <algorithm>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

double elements(TensorValue const& value) { return static_cast<double>(value.element_count()); }

/// FLOP if the call is one product of all that it is given.
double possible_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const read = tensors_read(node);
    double returned = 0;
    for (auto const id : tensors_returned(node)) returned += elements(value_of(program, id));
    if (read.empty()) return returned;
    auto const& first = value_of(program, read.front());
    auto const width = first.sizes.empty() ? 1.0 : static_cast<double>(first.sizes.back());
    double other = width * width;
    if (read.size() > 1) {
        other = 0;
        for (std::size_t i = 1; i < read.size(); ++i) {
            other = std::max(other, elements(value_of(program, read[i])));
        }
    }
    return std::max(returned, 2 * elements(first) / std::max(width, 1.0) * other);
}

double moved(ExportedProgram const& program, ProgramNode const& node) {
    double bytes = 0;
    for (auto const id : tensors_read(node)) bytes += unique_bytes(value_of(program, id));
    for (auto const id : tensors_returned(node)) bytes += unique_bytes(value_of(program, id));
    return bytes;
}

double share(double part, double rest) { return part + rest > 0 ? part / (part + rest) : 0; }

}  // namespace

UnknownWork unknown_work(ExportedProgram const& program) {
    UnknownWork result{.operators = unknown_operators(program)};
    double possible = 0;
    double known = 0;
    double bytes = 0;
    double known_bytes = 0;
    int known_calls = 0;
    for (auto const& node : program.nodes) {
        if (find_operator(node) == nullptr) {
            ++result.calls;
            possible += possible_work(program, node);
            bytes += moved(program, node);
        } else if (kind_of(program, node) != OperatorKind::view) {
            ++known_calls;
            known += work_of(program, node).value();
            known_bytes += moved(program, node);
        }
    }
    result.share_of_calls = share(result.calls, known_calls);
    result.share_of_bytes = share(bytes, known_bytes);
    result.possible_share_of_work = share(possible, known);
    return result;
}

}  // namespace derate
