#include "workloads/moved_bytes.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

double elements(TensorValue const& value) { return static_cast<double>(value.element_count()); }

double element_bytes(TensorValue const& value) {
    return static_cast<double>(bytes_per_element(value.dtype));
}

std::string_view plain_name(ProgramNode const& node) {
    auto name = operator_name(node);
    if (is_in_place(node)) name.remove_suffix(1);
    return name;
}

/// Elements that `x[indices]` names: the broadcast of the index tensors times the dimensions of x
/// that none of them selects from. A mask may select all of its dimensions.
double indexed_elements(ExportedProgram const& program, TensorValue const& self,
                        std::vector<std::optional<ValueId>> const& indices) {
    std::vector<std::int64_t> broadcast;
    double selected = 1;
    double rest = 1;
    std::size_t dimension = 0;
    for (auto const& index : indices) {
        if (dimension >= self.sizes.size()) break;
        if (!index) {
            rest *= static_cast<double>(self.sizes[dimension++]);
            continue;
        }
        auto const& tensor = value_of(program, *index);
        if (tensor.dtype == ScalarType::boolean || tensor.dtype == ScalarType::uint8) {
            selected *= elements(tensor);
            dimension += tensor.sizes.size();
            continue;
        }
        std::vector<std::int64_t> joined(std::max(broadcast.size(), tensor.sizes.size()), 1);
        for (std::size_t i = 0; i < joined.size(); ++i) {
            auto const from = [&](std::vector<std::int64_t> const& sizes) {
                return i < sizes.size() ? sizes[sizes.size() - 1 - i] : std::int64_t{1};
            };
            joined[joined.size() - 1 - i] = std::max(from(broadcast), from(tensor.sizes));
        }
        broadcast = std::move(joined);
        ++dimension;
    }
    for (auto const extent : broadcast) selected *= static_cast<double>(extent);
    for (; dimension < self.sizes.size(); ++dimension) {
        rest *= static_cast<double>(self.sizes[dimension]);
    }
    return selected * rest;
}

/// The part of a tensor that lies at one place of a dimension.
double elements_per_place(TensorValue const& value, ProgramNode const& node) {
    auto dim = static_cast<std::int64_t>(number_argument(node, "dim", 0));
    if (dim < 0) dim += std::ssize(value.sizes);
    if (dim < 0 || dim >= std::ssize(value.sizes)) return elements(value);
    auto const extent = value.sizes[static_cast<std::size_t>(dim)];
    return extent == 0 ? 0 : elements(value) / static_cast<double>(extent);
}

/// Most that a call of the kind `embedding` or `gather` reads of its first tensor.
double looked_up_bytes(ExportedProgram const& program, ProgramNode const& node,
                       TensorValue const& table) {
    auto const whole = unique_bytes(table);
    auto const* indices = tensor_argument(program, node, "indices");
    if (kind_of(program, node) == OperatorKind::embedding && indices != nullptr &&
        !table.sizes.empty()) {
        auto const rows = static_cast<double>(table.sizes.front());
        return rows == 0 ? 0 : std::min(whole, unique_elements(*indices) * (whole / rows));
    }
    auto const* result = first_result(program, node);
    return result == nullptr ? whole : std::min(whole, elements(*result) * element_bytes(table));
}

/// Of its first tensor such a call takes shape or type, and no element: new_zeros, ones_like,
/// fill_.
bool takes_only_form(ProgramNode const& node) {
    if (find_operator(node) == nullptr)
        return false;  // what a custom operator's name says nobody knows
    static std::set<std::string_view> const random_fills{
        "uniform", "normal", "random", "exponential", "geometric", "cauchy", "log_normal"};
    auto const name = plain_name(node);
    if (is_in_place(node) && random_fills.contains(name)) return true;
    return name == "fill" || name == "zero" || name.starts_with("new_") ||
           name.starts_with("_new_") || name.ends_with("_like");
}

}  // namespace

std::optional<ValueId> written_argument(ExportedProgram const& program, ProgramNode const& node) {
    auto const read = tensors_read(node);
    if (read.empty()) return std::nullopt;
    if (is_in_place(node)) return read.front();
    if (find_operator(node) != nullptr || !tensors_returned(node).empty()) return std::nullopt;
    auto const found = std::ranges::find_if(read, [&](ValueId id) {
        return is_floating_point(value_of(program, id).dtype);
    });
    return found == read.end() ? read.front() : *found;
}

bool leaves_unwritten(ProgramNode const& node) {
    auto const name = operator_name(node);
    if (find_operator(node) == nullptr) return false;
    return name.starts_with("empty") || name.starts_with("new_empty");
}

bool is_accumulating(ProgramNode const& node) {
    auto const name = plain_name(node);
    if (name == "index_add" || name == "index_reduce" || name == "scatter_add" ||
        name == "scatter_reduce") {
        return true;
    }
    return flag_argument(node, "accumulate", false) || node.find_argument("reduce") != nullptr;
}

double scattered_elements(ExportedProgram const& program, ProgramNode const& node) {
    auto const read = tensors_read(node);
    if (read.empty()) return 0;
    auto const& self = value_of(program, read.front());
    auto const whole = elements(self);
    auto const name = plain_name(node);
    if (auto const indices = tensors_with_gaps(node, "indices")) {
        auto const named = indexed_elements(program, self, *indices);
        return is_accumulating(node) ? named : std::min(whole, named);
    }
    if (name == "index_fill") {
        auto const* index = tensor_argument(program, node, "index");
        auto const places = index == nullptr ? 0 : elements(*index);
        return std::min(whole, places * elements_per_place(self, node));
    }
    if (name == "fill_diagonal") {
        auto const shortest = std::ranges::min_element(self.sizes);
        return shortest == self.sizes.end() ? whole : static_cast<double>(*shortest);
    }
    // Of a scatter the index tells how much of the source is taken.
    for (auto const* argument : {"source", "index", "src"}) {
        auto const* tensor = tensor_argument(program, node, argument);
        if (tensor == nullptr) continue;
        return is_accumulating(node) ? elements(*tensor) : std::min(whole, elements(*tensor));
    }
    return whole;  // a mask
}

MovedBytes moved_bytes(ExportedProgram const& program, ProgramNode const& node) {
    MovedBytes moved;
    for (auto const id : tensors_read(node)) {
        moved.read.push_back(unique_bytes(value_of(program, id)));
    }
    if (moved.read.empty()) return moved;
    auto const read = tensors_read(node);
    auto const& first = value_of(program, read.front());
    auto const kind = kind_of(program, node);
    bool const in_place = is_in_place(node);
    if (kind == OperatorKind::gather || kind == OperatorKind::embedding) {
        moved.read.front() = looked_up_bytes(program, node, first);
    }
    if (auto const written = written_argument(program, node)) {
        moved.written = unique_bytes(value_of(program, *written));
    }
    if (kind == OperatorKind::scatter) {
        auto const part =
            std::min(unique_bytes(first), scattered_elements(program, node) * element_bytes(first));
        if (in_place) {
            moved.written = part;
            moved.read.front() = is_accumulating(node) ? part : 0;
        }
        for (std::size_t i = 1; i < read.size(); ++i) {
            auto const& other = value_of(program, read[i]);
            bool const is_source = &other == tensor_argument(program, node, "src") ||
                                   &other == tensor_argument(program, node, "source");
            if (is_source) {
                moved.read[i] = std::min(
                    moved.read[i], scattered_elements(program, node) * element_bytes(other));
            }
        }
    }
    if (auto const name = operator_name(node);
        name == "copy_" || name == "masked_fill_" || takes_only_form(node)) {
        moved.read.front() = 0;
    }
    if (plain_name(node) == "type_as" && moved.read.size() > 1) moved.read[1] = 0;
    return moved;
}

}  // namespace derate
