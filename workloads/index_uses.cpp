#include "workloads/index_uses.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;

Names const along_one_dimension{"index_select",   "gather",        "index_add", "index_copy",
                                "index_fill",     "index_reduce",  "scatter",   "scatter_add",
                                "scatter_reduce", "take_along_dim"};
Names const by_index_lists{"index", "_unsafe_index", "index_put", "_unsafe_index_put",
                           "_index_put_impl"};
Names const bags{"embedding_bag", "_embedding_bag", "_embedding_bag_forward_only",
                 "embedding_bag_byte", "embedding_bag_4bit"};
Names const losses{"nll_loss",         "nll_loss_nd",        "nll_loss2d",
                   "nll_loss_forward", "nll_loss2d_forward", "cross_entropy_loss"};

/// The dimensions of `self` that the entries of an index list stand for.
void add_index_list(std::vector<IndexUse>& uses, ExportedProgram const& program,
                    ProgramNode const& node) {
    auto const self = tensor_id(node, "self");
    auto const entries = tensors_with_gaps(node, "indices");
    if (!self || !entries) return;
    bool const writes = operator_name(node).find("put") != std::string_view::npos &&
                        !flag_argument(node, "accumulate", false);
    std::int64_t dimension = 0;
    for (auto const& entry : *entries) {
        std::int64_t covered = 1;
        if (entry) {
            auto const& index = value_of(program, *entry);
            if (is_boolean(index)) {
                covered = static_cast<std::int64_t>(index.sizes.size());
            } else {
                // Rows are written once each where one list of them says which.
                bool const once = writes && index.sizes.size() <= 1;
                uses.push_back({.ids = *entry,
                                .kind = once ? IndexKind::write : IndexKind::read,
                                .bound = extent(value_of(program, *self), dimension)});
            }
        }
        dimension += covered;
    }
}

}  // namespace

std::vector<IndexUse> index_uses(ExportedProgram const& program, ProgramNode const& node) {
    std::vector<IndexUse> uses;
    auto const name = functional_name(node);
    auto const size_of = [&](std::string_view argument, std::int64_t dimension) {
        auto const* tensor = tensor_argument(program, node, argument);
        return tensor == nullptr ? 1 : extent(*tensor, dimension);
    };
    auto const add = [&](std::string_view argument, std::int64_t bound,
                         IndexKind kind = IndexKind::read, std::int64_t total = 0) {
        auto const ids = tensor_id(node, argument);
        if (!ids || is_boolean(value_of(program, *ids))) return;
        uses.push_back({.ids = *ids, .kind = kind, .bound = bound, .total = total});
    };
    auto const* result = first_result(program, node);
    // Lengths that share all rows evenly.
    auto const add_shares = [&](std::string_view argument, std::int64_t rows) {
        auto const* lengths = tensor_argument(program, node, argument);
        if (lengths == nullptr) return;
        auto const count = std::max<std::int64_t>(lengths->element_count(), 1);
        add(argument, (rows + count - 1) / count + 1, IndexKind::lengths, rows);
    };
    if (name == "embedding" || name == "embedding_renorm") {
        add("indices", size_of(name == "embedding" ? "weight" : "self", 0));
    } else if (bags.contains(name)) {
        add("indices", size_of("weight", 0));
        auto const* ids = tensor_argument(program, node, "indices");
        auto const end = ids == nullptr ? 0 : ids->element_count();
        add("offsets", end, IndexKind::offsets,
            flag_argument(node, "include_last_offset", false) ? end : 0);
    } else if (along_one_dimension.contains(name)) {
        auto const* self = tensor_argument(program, node, "self");
        auto const* given = node.find_argument("dim");
        auto const bound = self == nullptr ? 1
                           : given == nullptr || std::holds_alternative<std::monostate>(*given)
                               ? self->element_count()
                               : extent(*self, integer_argument(node, "dim", 0));
        auto const kind = name == "index_copy" ? IndexKind::write : IndexKind::read;
        add(name == "take_along_dim" ? "indices" : "index", bound, kind);
    } else if (name == "take" || name == "put") {
        auto const* self = tensor_argument(program, node, "self");
        add("index", self == nullptr ? 1 : self->element_count());
    } else if (by_index_lists.contains(name)) {
        add_index_list(uses, program, node);
    } else if (name == "one_hot") {
        auto const classes = integer_argument(node, "num_classes", -1);
        add("self", classes > 0 || result == nullptr ? classes : extent(*result, -1));
    } else if (losses.contains(name)) {
        auto const* self = tensor_argument(program, node, "self");
        auto const* target = tensor_argument(program, node, "target");
        if (self != nullptr && target != nullptr && !is_floating_point(target->dtype)) {
            add("target", extent(*self, self->sizes.size() > 1 ? 1 : 0));
        }
    } else if (name == "_pack_padded_sequence") {
        bool const batch_first = flag_argument(node, "batch_first", false);
        add("lengths", size_of("input", batch_first ? 1 : 0) + 1, IndexKind::lengths,
            result == nullptr ? 0 : extent(*result, 0));
    } else if (name == "segment_reduce") {
        auto const rows = size_of("data", integer_argument(node, "axis", 0));
        add_shares("lengths", rows);
    } else if (name == "repeat_interleave") {
        auto const* repeats = tensor_argument(program, node, "repeats");
        if (repeats != nullptr && result != nullptr) {
            auto const rows = tensor_id(node, "self") && node.find_argument("dim") != nullptr
                                  ? extent(*result, integer_argument(node, "dim", 0))
                                  : result->element_count();
            add_shares("repeats", rows);
        }
    }
    return uses;
}

bool takes_index_list(ProgramNode const& node) {
    return by_index_lists.contains(functional_name(node));
}

}  // namespace derate
