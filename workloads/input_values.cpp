#include "workloads/input_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/plan.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/moved_elements.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"
#include "workloads/value_range.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;

std::optional<ValueId> tensor_of(ProgramNode const& node, std::string_view argument) {
    auto const* given = node.find_argument(argument);
    auto const* tensor = given == nullptr ? nullptr : std::get_if<TensorArgument>(given);
    return tensor == nullptr ? std::nullopt : std::optional{tensor->value};
}

std::int64_t extent(TensorValue const& value, std::int64_t dimension) {
    auto const rank = static_cast<std::int64_t>(value.sizes.size());
    if (dimension < 0) dimension += rank;
    return dimension >= 0 && dimension < rank ? value.sizes[static_cast<std::size_t>(dimension)]
                                              : 1;
}

std::int64_t integer_argument(ProgramNode const& node, std::string_view name,
                              std::int64_t otherwise) {
    return static_cast<std::int64_t>(number_argument(node, name, static_cast<double>(otherwise)));
}

bool is_mask(TensorValue const& value) { return value.dtype == ScalarType::boolean; }

// ---------------------------------------------------------------------------------------------
// What indexes

enum class IndexKind {
    read,     // which rows are read, or added to: any, often the same ones
    write,    // which rows are written: each once
    offsets,  // where bags begin
    lengths,  // how long sequences are
};

struct IndexUse {
    ValueId ids = 0;
    IndexKind kind = IndexKind::read;
    std::int64_t bound = 1;  // values lie below it; of offsets: not above it
    std::int64_t total = 0;  // sum of the lengths, last of the offsets, where the call fixes it
};

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
    auto const self = tensor_of(node, "self");
    auto const entries = tensors_with_gaps(node, "indices");
    if (!self || !entries) return;
    bool const writes = operator_name(node).find("put") != std::string_view::npos &&
                        !flag_argument(node, "accumulate", false);
    std::int64_t dimension = 0;
    for (auto const& entry : *entries) {
        std::int64_t covered = 1;
        if (entry) {
            auto const& index = value_of(program, *entry);
            if (is_mask(index)) {
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

std::vector<IndexUse> index_uses(ExportedProgram const& program, ProgramNode const& node) {
    std::vector<IndexUse> uses;
    auto const name = functional_name(node);
    auto const size_of = [&](std::string_view argument, std::int64_t dimension) {
        auto const* tensor = tensor_argument(program, node, argument);
        return tensor == nullptr ? 1 : extent(*tensor, dimension);
    };
    auto const add = [&](std::string_view argument, std::int64_t bound,
                         IndexKind kind = IndexKind::read, std::int64_t total = 0) {
        auto const ids = tensor_of(node, argument);
        if (!ids || is_mask(value_of(program, *ids))) return;
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
            auto const rows = tensor_of(node, "self") && node.find_argument("dim") != nullptr
                                  ? extent(*result, integer_argument(node, "dim", 0))
                                  : result->element_count();
            add_shares("repeats", rows);
        }
    }
    return uses;
}

// ---------------------------------------------------------------------------------------------
// Constants

template <class T>
double element_at(std::vector<std::byte> const& bytes, std::size_t index) {
    T element{};
    std::memcpy(&element, bytes.data() + index * sizeof element, sizeof element);
    return static_cast<double>(element);
}

std::optional<double> constant_element(TensorValue const& value,
                                       std::vector<std::byte> const& bytes, std::size_t index) {
    switch (value.dtype) {
        case ScalarType::uint8:
        case ScalarType::boolean:
            return element_at<std::uint8_t>(bytes, index);
        case ScalarType::int8:
            return element_at<std::int8_t>(bytes, index);
        case ScalarType::int16:
            return element_at<std::int16_t>(bytes, index);
        case ScalarType::int32:
            return element_at<std::int32_t>(bytes, index);
        case ScalarType::int64:
            return element_at<std::int64_t>(bytes, index);
        case ScalarType::float32:
            return element_at<float>(bytes, index);
        case ScalarType::float64:
            return element_at<double>(bytes, index);
        case ScalarType::float16:
        case ScalarType::bfloat16:
            return std::nullopt;
    }
    return std::nullopt;
}

/// Of a tensor whose values the export holds.
std::optional<ValueRange> range_of_constant(TensorValue const& value,
                                            std::vector<std::byte> const& bytes) {
    constexpr std::size_t most_apart = 1 << 22;
    auto const count = bytes.size() / static_cast<std::size_t>(bytes_per_element(value.dtype));
    auto held = distinct_sizes(value);
    std::int64_t elements = 1;
    for (auto const extent : held) elements *= extent;
    if (count == 0 || static_cast<std::size_t>(elements) != count) return std::nullopt;
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i) {
        auto const element = constant_element(value, bytes, i);
        if (!element) return std::nullopt;
        values.push_back(*element);
    }
    if (count > most_apart) {
        auto const [least, most] = std::ranges::minmax(values);
        return ValueRange::of(least, most);
    }
    return range_of_elements(std::move(held), values, values);
}

// ---------------------------------------------------------------------------------------------
// What operators do to values

/// Their results hold values of their inputs and no others.
Names const moves{"clone",
                  "copy",
                  "lift_fresh_copy",
                  "roll",
                  "flip",
                  "repeat",
                  "tile",
                  "tril",
                  "triu",
                  "repeat_interleave",
                  "pad",
                  "constant_pad_nd",
                  "cat",
                  "concat",
                  "hstack",
                  "vstack",
                  "stack",
                  "index",
                  "_unsafe_index",
                  "index_select",
                  "gather",
                  "take_along_dim",
                  "take",
                  "where",
                  "masked_fill",
                  "scatter",
                  "index_put",
                  "index_copy",
                  "slice_scatter",
                  "select_scatter",
                  "masked_scatter",
                  "max",
                  "min",
                  "amax",
                  "amin",
                  "sort",
                  "topk",
                  "floor",
                  "ceil",
                  "round",
                  "trunc",
                  "fliplr",
                  "flipud",
                  "rot90",
                  "masked_select",
                  "unsafe_chunk",
                  "cummax",
                  "cummin",
                  "dropout",
                  "_to_copy",
                  "type_as",
                  "to",
                  "median",
                  "mode",
                  "kthvalue",
                  "column_stack",
                  "dstack",
                  "fill",
                  "rot90",
                  "block_diag"};
/// Of these results only the first holds values; the second says where they were.
Names const with_places{"sort",   "topk",   "max",  "min",     "cummax",
                        "cummin", "median", "mode", "kthvalue"};
/// Whatever goes in, what comes out is bounded by the operator itself.
Names const forgetful{"argmax",       "argmin",
                      "argsort",      "nonzero",
                      "searchsorted", "bucketize",
                      "multinomial",  "eq",
                      "ne",           "lt",
                      "le",           "gt",
                      "ge",           "isnan",
                      "isfinite",     "isinf",
                      "logical_and",  "logical_or",
                      "logical_not",  "logical_xor",
                      "any",          "all",
                      "isin",         "equal",
                      "arange",       "zeros",
                      "ones",         "full",
                      "zeros_like",   "ones_like",
                      "full_like",    "new_zeros",
                      "new_ones",     "new_full",
                      "empty",        "empty_like",
                      "new_empty",    "scalar_tensor",
                      "eye",          "linspace",
                      "rand",         "randn",
                      "randint",      "sign",
                      "sgn",          "sigmoid",
                      "tanh",         "softmax",
                      "_softmax",     "hardsigmoid",
                      "sin",          "cos",
                      "one_hot",      "meshgrid",
                      "tril_indices", "triu_indices"};
Names const comparisons{"eq", "ne", "lt", "le", "gt", "ge"};
Names const conjunctions{"logical_and", "logical_or", "bitwise_and", "bitwise_or", "__and__",
                         "__or__",      "mul",        "maximum",     "minimum"};
Names const negations{"logical_not", "bitwise_not", "rsub"};
Names const rectifiers{"relu", "relu6", "hardtanh", "threshold"};
Names const max_pools{"max_pool1d",
                      "max_pool2d",
                      "max_pool3d",
                      "max_pool2d_with_indices",
                      "max_pool3d_with_indices",
                      "max_pool1d_with_indices",
                      "adaptive_max_pool1d",
                      "adaptive_max_pool2d",
                      "adaptive_max_pool3d",
                      "fractional_max_pool2d"};

bool moves_values(ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row != nullptr &&
        (row->kind == OperatorKind::view || row->kind == OperatorKind::maybe_view ||
         row->kind == OperatorKind::dropout)) {
        return true;
    }
    return operator_namespace(node) == "aten" && moves.contains(functional_name(node));
}

/// It looks at pixels and their neighbours: what reaches it from outside is an image.
bool reads_map(ProgramNode const& node) {
    auto const* row = find_operator(node);
    auto const name = functional_name(node);
    return (row != nullptr &&
            (row->kind == OperatorKind::convolution || row->kind == OperatorKind::pool)) ||
           max_pools.contains(name) || name.starts_with("upsample_") ||
           name.starts_with("_upsample_") || name == "grid_sampler" || name == "im2col";
}

/// Elementwise on floats or a norm: a map stays a map.
bool keeps_map(ProgramNode const& node) {
    auto const* row = find_operator(node);
    return row != nullptr &&
           (row->kind == OperatorKind::elementwise || row->kind == OperatorKind::activation ||
            row->kind == OperatorKind::norm);
}

/// What later nodes want of a tensor.
struct Wanted {
    std::optional<ValueRange> range;  // as an index
    bool direct = false;              // ... and not as a term of a sum that is one
    bool once = false;                // as an index of what is written: no value twice
    bool hashed = false;              // any value will do: what follows folds it into the table
    std::int64_t rows = 0;            // of the table
    std::optional<std::int64_t> offsets_end;
    std::optional<std::int64_t> longest;  // as a length
    std::int64_t total = 0;               // of all lengths
    bool keep = false;                    // as a mask: true is what counts
    bool drop = false;                    // as a mask: true is what does not count
    bool map = false;
    bool data = false;  // its numbers count, not only what a comparison says of them
    std::string lost;   // an index, by an operator that cannot be followed back

    [[nodiscard]] bool is_index() const { return range || offsets_end || longest || !lost.empty(); }

    void add(Wanted const& other) {
        if (other.range) hashed = other.hashed && (hashed || !range);
        if (rows == 0 || (other.rows != 0 && other.rows < rows)) rows = other.rows;
        if (other.range) range = range ? intersection(*range, *other.range) : *other.range;
        once = once || other.once;
        direct = direct || other.direct;
        auto const least = [](auto& kept, auto const& value) {
            if (value && (!kept || *value < *kept)) kept = value;
        };
        least(offsets_end, other.offsets_end);
        least(longest, other.longest);
        if (total == 0) total = other.total;
        keep = keep || other.keep;
        drop = drop || other.drop;
        map = map || other.map;
        data = data || other.data;
        if (lost.empty()) lost = other.lost;
    }
};

/// The tensors whose values the call's result holds: not its own ids and masks.
std::vector<ValueId> moved(ExportedProgram const& program, ProgramNode const& node) {
    auto read = tensors_read(node);
    for (auto const& use : index_uses(program, node)) std::erase(read, use.ids);
    for (auto const* mask : {"condition", "mask"}) {
        if (auto const id = tensor_of(node, mask)) std::erase(read, *id);
    }
    std::erase_if(read, [&](ValueId id) {
        return is_mask(value_of(program, id)) && functional_name(node).find("index") == 0;
    });
    // These take a shape or a dtype from their second tensor.
    static Names const by_example{"type_as", "view_as", "expand_as", "reshape_as"};
    if (by_example.contains(functional_name(node)) && read.size() > 1) read.resize(1);
    return read;
}

/// What operand `k` may hold where result `j` of a call that moves values must stay in `range`.
ValueRange moved_back(ExportedProgram const& program, ProgramNode const& node, std::size_t j,
                      std::size_t k, ValueRange const& range) {
    static Names const partial{"select",       "slice",  "narrow",
                               "split",        "chunk",  "split_with_sizes",
                               "tensor_split", "unbind", "unsafe_chunk",
                               "unsafe_split", "copy",   "unsafe_split_with_sizes",
                               "fill"};
    if (range.is_uniform() && !partial.contains(functional_name(node))) return range;
    auto const held = elements_held(program, node, j, k);
    if (!held) return range.in_one();
    return moved_back(range, value_of(program, tensors_returned(node)[j]).sizes,
                      value_of(program, tensors_read(node)[k]).sizes, *held);
}

/// Range of result `j` of a call that moves values, where `range_of` knows those of its operands.
template <class RangeOf>
std::optional<ValueRange> moved_on(ExportedProgram const& program, ProgramNode const& node,
                                   std::size_t j, RangeOf const& range_of) {
    static Names const joins{"cat", "concat", "stack", "slice_scatter", "select_scatter"};
    auto const name = functional_name(node);
    bool const pads = name == "pad" || name == "constant_pad_nd";
    auto const sources = moved(program, node);
    auto const read = tensors_read(node);
    bool const alone = sources.size() == 1 && (read.size() == 1 || name.find("_as") != name.npos);
    if (name == "fill" || !(alone || joins.contains(name))) return std::nullopt;
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> low;
    std::vector<double> high;
    for (std::size_t k = 0; k < sources.size(); ++k) {
        std::optional<ValueRange> const range = range_of(sources[k]);
        if (!range) return std::nullopt;
        if (alone && !pads && range->is_uniform()) return range;
        auto const held = elements_held(program, node, j, k);
        if (!held) return alone && !pads ? std::optional{range->hull()} : std::nullopt;
        auto const bounds = broadcast_elements(range->shape, value_of(program, sources[k]).sizes);
        low.resize(held->size(), none);
        high.resize(held->size(), none);
        for (std::size_t i = 0; i < held->size(); ++i) {
            if ((*held)[i] < 0) continue;
            auto const of = static_cast<std::size_t>(bounds[static_cast<std::size_t>((*held)[i])]);
            low[i] = range->low[of];
            high[i] = range->high[of];
        }
    }
    for (std::size_t i = 0; i < low.size(); ++i) {
        if (!std::isnan(low[i])) continue;
        if (!pads) return std::nullopt;
        low[i] = high[i] = number_argument(node, "value", 0);
    }
    return range_of_elements(value_of(program, tensors_returned(node)[j]).sizes, std::move(low),
                             std::move(high));
}

class Backward {
  public:
    explicit Backward(ExportedProgram const& program)
        : program_{program},
          known_(program.values.size()),
          fixed_(program.values.size(), false),
          producer_(program.values.size()),
          alias_(program.values.size()),
          wanted_(program.values.size()) {
        for (auto const& [id, bytes] : program.constants) {
            known_[index(id)] = range_of_constant(value_of(program, id), bytes);
        }
        for (auto const& input : program.inputs) {
            bool const is_weight = input.kind != InputKind::user_input &&
                                   is_floating_point(value_of(program, input.value).dtype);
            fixed_[index(input.value)] = is_weight || program.constants.contains(input.value);
        }
        find_aliases();
        for (auto const& node : program.nodes) evaluate(node);
        for (auto const id : program.outputs) want(id, {.data = true});
        for (auto node = program.nodes.rbegin(); node != program.nodes.rend(); ++node) {
            follow(*node);
            note_own_wants(*node);
            note_data(*node);
        }
    }

    [[nodiscard]] Wanted const& of(ValueId id) const { return wanted_[index(id)]; }
    /// The tensor depends on nothing but the export.
    [[nodiscard]] std::optional<ValueRange> const& known(ValueId id) const {
        return known_[index(id)];
    }
    /// All tensors that share memory with this one, itself among them, where a call writes into it
    /// in place; none of floating-point type.
    [[nodiscard]] std::vector<ValueId> written_aliases(ValueId id) const {
        auto const found = written_.find(base_of(id));
        return found == written_.end() ? std::vector<ValueId>{} : found->second;
    }

  private:
    struct Producer {
        ProgramNode const* node = nullptr;
        std::size_t result = 0;
    };

    static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

    [[nodiscard]] bool is_fixed(ValueId id) const { return fixed_[index(id)]; }

    void find_aliases() {
        std::vector<ValueId> bases;
        for (auto const& node : program_.nodes) {
            auto const read = tensors_read(node);
            auto const made = tensors_returned(node);
            for (std::size_t j = 0; j < made.size(); ++j) {
                producer_[index(made[j])] = {.node = &node, .result = j};
                if (read.empty() || is_floating_point(value_of(program_, made[j]).dtype)) continue;
                if (is_in_place(node)) bases.push_back(base_of(read.front()));
                if (is_in_place(node) || kind_of(program_, node) == OperatorKind::view) {
                    alias_[index(made[j])] = read.front();
                }
            }
        }
        for (auto const base : bases) written_[base] = {base};
        if (written_.empty()) return;
        for (std::size_t i = 0; i < alias_.size(); ++i) {
            if (!alias_[i]) continue;
            auto const found = written_.find(base_of(static_cast<ValueId>(i)));
            if (found != written_.end()) found->second.push_back(static_cast<ValueId>(i));
        }
    }

    [[nodiscard]] ValueId base_of(ValueId id) const {
        while (alias_[index(id)]) id = *alias_[index(id)];
        return id;
    }

    /// What later calls want of `written` through all tensors that share memory with it.
    [[nodiscard]] Wanted wanted_through_memory(ValueId written) const {
        Wanted wanted;
        for (auto const alias : written_aliases(written)) {
            auto own = of(alias);
            for (auto id = alias; own.range && alias_[index(id)]; id = *alias_[index(id)]) {
                auto const [node, result] = producer_[index(id)];
                if (!is_in_place(*node)) {
                    own.range = moved_back(program_, *node, result, 0, *own.range);
                }
            }
            wanted.add(own);
        }
        std::vector<ValueId> views;
        for (auto id = written; alias_[index(id)]; id = *alias_[index(id)]) views.push_back(id);
        for (auto view = views.rbegin(); wanted.range && view != views.rend(); ++view) {
            auto const [node, result] = producer_[index(*view)];
            if (is_in_place(*node)) continue;
            auto const of_base = *wanted.range;
            auto const of_view =
                moved_on(program_, *node, result, [&](ValueId) { return std::optional{of_base}; });
            wanted.range = of_view ? *of_view : of_base.in_one();
        }
        return wanted;
    }

    /// Range of a number or of a tensor that depends on the export alone.
    [[nodiscard]] std::optional<ValueRange> constant(ProgramNode const& node,
                                                     std::string_view argument) const {
        auto const* given = node.find_argument(argument);
        if (given == nullptr) return std::nullopt;
        if (auto const* tensor = std::get_if<TensorArgument>(given)) return known(tensor->value);
        if (auto const* integer = std::get_if<std::int64_t>(given)) {
            auto const number = static_cast<double>(*integer);
            return ValueRange::of(number, number);
        }
        if (auto const* real = std::get_if<double>(given)) return ValueRange::of(*real, *real);
        return std::nullopt;
    }

    /// Ranges of what the graph makes of constants alone.
    void evaluate(ProgramNode const& node) {
        auto const made = tensors_returned(node);
        auto const read = tensors_read(node);
        auto const* row = find_operator(node);
        bool const each = made.size() == 1 || (row != nullptr && row->kind == OperatorKind::view);
        for (std::size_t j = 0; j < made.size(); ++j) {
            if (written_.contains(base_of(made[j]))) continue;
            if (each) known_[index(made[j])] = evaluated(node, j);
            fixed_[index(made[j])] =
                known(made[j]).has_value() ||
                std::ranges::all_of(read, [&](ValueId id) { return is_fixed(id); });
        }
    }

    [[nodiscard]] std::optional<ValueRange> evaluated(ProgramNode const& node,
                                                      std::size_t j) const {
        static Names const zeros{"zeros", "zeros_like", "new_zeros"};
        static Names const ones{"ones", "ones_like", "new_ones"};
        static Names const full{"full", "full_like", "new_full"};
        auto const name = functional_name(node);
        auto const read = tensors_read(node);
        auto const& result = value_of(program_, tensors_returned(node)[j]);
        if (result.element_count() == 0) return std::nullopt;
        if (zeros.contains(name)) return ValueRange::of(0, 0);
        if (ones.contains(name)) return ValueRange::of(1, 1);
        if (full.contains(name)) return constant(node, "fill_value");
        if (name == "arange" && read.empty() && !is_mask(result)) {
            auto const start = number_argument(node, "start", 0);
            auto const step = number_argument(node, "step", 1);
            std::vector<double> values;
            for (std::int64_t i = 0; i < result.element_count(); ++i) {
                values.push_back(start + step * static_cast<double>(i));
            }
            return range_of_elements(result.sizes, values, values);
        }
        if (read.empty()) return std::nullopt;
        if (moves_values(node)) {
            return moved_on(program_, node, j, [&](ValueId id) { return known(id); });
        }
        auto const self = constant(node, "self");
        if (!self) return std::nullopt;
        if (name == "cumsum") return running_sum(node, *self);
        auto const other = constant(node, "other");
        if (!other) return std::nullopt;
        auto const alpha = number_argument(node, "alpha", 1);
        if (name == "add" || name == "sub" || name == "rsub") {
            auto const factor = name == "add" ? alpha : -alpha;
            auto const& first = name == "rsub" ? *other : *self;
            auto const& second = name == "rsub" ? *self : *other;
            return combined(first, second, [&](double a, double b, double c, double d) {
                return factor >= 0 ? std::pair{a + factor * c, b + factor * d}
                                   : std::pair{a + factor * d, b + factor * c};
            });
        }
        if (name == "mul") {
            return combined(*self, *other, [](double a, double b, double c, double d) {
                auto const [low, high] = std::minmax({a * c, a * d, b * c, b * d});
                return std::pair{low, high};
            });
        }
        return std::nullopt;
    }

    [[nodiscard]] std::optional<ValueRange> running_sum(ProgramNode const& node,
                                                        ValueRange const& terms) const {
        auto const* of = tensor_argument(program_, node, "self");
        if (of == nullptr || of->sizes.empty()) return terms;
        auto const rank = static_cast<std::int64_t>(of->sizes.size());
        auto const dimension = (integer_argument(node, "dim", 0) + rank) % rank;
        std::size_t step = 1;
        for (auto d = dimension + 1; d < rank; ++d) {
            step *= static_cast<std::size_t>(extent(*of, d));
        }
        auto const count = static_cast<std::size_t>(extent(*of, dimension));
        std::vector<double> low;
        std::vector<double> high;
        for (auto const element : broadcast_elements(terms.shape, of->sizes)) {
            auto const i = low.size();
            bool const begins = i / step % count == 0;
            auto const term = static_cast<std::size_t>(element);
            low.push_back(terms.low[term] + (begins ? 0 : low[i - step]));
            high.push_back(terms.high[term] + (begins ? 0 : high[i - step]));
        }
        return range_of_elements(of->sizes, std::move(low), std::move(high));
    }

    void want(ValueId id, Wanted wanted) {
        if (is_fixed(id)) return;
        if (wanted.range) {
            wanted.range = narrowed_to(*wanted.range, value_of(program_, id).sizes);
            if (wanted.range->is_unbounded()) wanted.range.reset();
        }
        wanted_[index(id)].add(wanted);
    }

    void note_own_wants(ProgramNode const& node) {
        for (auto const& use : index_uses(program_, node)) {
            Wanted wanted;
            auto const bound = static_cast<double>(std::max<std::int64_t>(use.bound, 1));
            switch (use.kind) {
                case IndexKind::write:
                    wanted.once = true;
                    [[fallthrough]];
                case IndexKind::read:
                    wanted.range = ValueRange::of(0, bound - 1);
                    wanted.rows = use.bound;
                    wanted.direct = true;
                    break;
                case IndexKind::offsets:
                    wanted.offsets_end = use.bound;
                    wanted.total = use.total;
                    break;
                case IndexKind::lengths:
                    wanted.longest = std::max<std::int64_t>(use.bound - 1, 1);
                    wanted.total = use.total;
                    break;
            }
            want(use.ids, wanted);
        }
        auto const name = functional_name(node);
        if (reads_map(node)) {
            if (auto const read = tensors_read(node); !read.empty()) {
                want(read.front(), {.map = true});
            }
        }
        if (comparisons.contains(name)) want_among_positions(node, name);
        auto const want_mask = [&](std::string_view argument, bool keeps) {
            auto const mask = tensor_of(node, argument);
            if (mask) want(*mask, {.keep = keeps, .drop = !keeps});
        };
        if (name == "where") {
            // The branch that is the same everywhere is what stands for "not this".
            auto const is_plain = [&](std::string_view argument) {
                auto const* tensor = tensor_argument(program_, node, argument);
                return tensor == nullptr || tensor->element_count() == 1;
            };
            want_mask("condition", !is_plain("self") || is_plain("other"));
        } else if (name == "masked_fill") {
            want_mask("mask", false);
        } else if (name == "masked_scatter" || name == "masked_select") {
            want_mask("mask", true);
        } else if (auto const mask = tensor_of(node, "attn_mask");
                   mask && is_mask(value_of(program_, *mask))) {
            want_mask("attn_mask", true);
        }
    }

    void follow(ProgramNode const& node) {
        auto const made = tensors_returned(node);
        if (made.empty()) return;
        auto const name = functional_name(node);
        std::vector<Wanted> results;
        for (auto const id : made) {
            results.push_back(of(id));
            if (with_places.contains(name)) break;
        }
        if (is_in_place(node)) results.front().add(wanted_through_memory(made.front()));
        Wanted wanted;
        for (auto const& result : results) wanted.add(result);
        follow_uses(node, name, wanted);
        if (!wanted.is_index()) return;
        wanted.keep = wanted.drop = wanted.map = false;
        if (moves_values(node)) {
            follow_moves(node, wanted, results);
            return;
        }
        if (forgetful.contains(name)) return;
        if (wanted.range && wanted.hashed) {
            for (auto const id : tensors_read(node)) {
                if (!is_mask(value_of(program_, id))) want(id, anything_for_a_hash(wanted));
            }
            return;
        }
        if (wanted.range && invert(node, name, wanted)) return;
        if (wanted.offsets_end && name == "cumsum" && want_lengths(node, *wanted.offsets_end)) {
            return;
        }
        for (auto const id : tensors_read(node)) {
            if (is_mask(value_of(program_, id))) continue;
            want(id, {.lost = wanted.lost.empty() ? node.target : wanted.lost});
        }
    }

    void follow_moves(ProgramNode const& node, Wanted const& wanted,
                      std::vector<Wanted> const& results) {
        auto const read = tensors_read(node);
        auto const sources = moved(program_, node);
        auto const starts = starts_of_fields(node, read);
        for (std::size_t k = 0; k < read.size(); ++k) {
            if (std::ranges::find(sources, read[k]) == sources.end()) continue;
            auto own = wanted;
            own.range.reset();
            for (std::size_t j = 0; j < results.size(); ++j) {
                if (!results[j].range) continue;
                auto range = moved_back(program_, node, j, k, *results[j].range);
                if (!starts.empty()) {
                    range = within_fields(range, ValueRange::of(starts[k], starts[k]), starts);
                }
                own.range = own.range ? intersection(*own.range, range) : range;
            }
            if (own.offsets_end && !keeps_lists(node, k)) {
                own.offsets_end.reset();
                own.lost = node.target;
            }
            want(read[k], own);
        }
    }

    /// Lists of offsets, along the last dimension, stay whole, or are cut from one list.
    [[nodiscard]] bool keeps_lists(ProgramNode const& node, std::size_t k) const {
        auto const& from = value_of(program_, tensors_read(node)[k]);
        if (from.sizes.size() <= 1) return true;
        auto const held = elements_held(program_, node, 0, k);
        return held &&
               extent(value_of(program_, tensors_returned(node).front()), -1) == extent(from, -1) &&
               (held->size() < 2 || (*held)[1] - (*held)[0] == 1);
    }

    /// What is added to each of the tensors that a call joins: where fields of one table begin.
    [[nodiscard]] std::vector<double> starts_of_fields(ProgramNode const& node,
                                                       std::vector<ValueId> const& read) const {
        auto const name = functional_name(node);
        if (name != "cat" && name != "concat" && name != "stack") return {};
        std::vector<double> starts;
        for (auto id : read) {
            if (is_fixed(id)) return {};
            auto const* made_by = producer_[index(id)].node;
            while (made_by != nullptr && moves_values(*made_by)) {
                auto const sources = moved(program_, *made_by);
                if (sources.size() != 1) break;
                made_by = producer_[index(sources.front())].node;
            }
            bool const adds = made_by != nullptr && functional_name(*made_by) == "add";
            auto const added = adds ? constant(*made_by, "other") : std::nullopt;
            starts.push_back(added && added->is_uniform() ? added->least() : 0);
        }
        return starts;
    }

    /// Lengths whose running sum says where bags begin.
    bool want_lengths(ProgramNode const& node, std::int64_t end) {
        auto const self = tensor_of(node, "self");
        if (!self) return false;
        auto const& lengths = value_of(program_, *self);
        auto const terms =
            std::max<std::int64_t>(extent(lengths, integer_argument(node, "dim", 0)), 1);
        if (end < terms) {
            want(*self, {.range = ValueRange::of(0, 0)});
        } else if (lengths.element_count() == terms) {
            want(*self, {.longest = (end + terms - 1) / terms, .total = end});
        } else {
            want(*self, {.longest = end / terms});
        }
        return true;
    }

    static Wanted anything_for_a_hash(Wanted wanted) {
        constexpr double identifiers = 2147483648;  // 2^31
        wanted.range = ValueRange::of(0, identifiers - 1);
        wanted.hashed = true;
        return wanted;
    }

    /// More was done to ids than moving and shifting them.
    [[nodiscard]] bool is_hash(ValueId id) const {
        auto const* node = producer_[index(id)].node;
        if (node == nullptr || forgetful.contains(functional_name(*node))) return false;
        auto const name = functional_name(*node);
        bool const shifts = (name == "add" || name == "sub") && constant(*node, "other");
        if (!moves_values(*node) && !shifts) return true;
        return std::ranges::any_of(moved(program_, *node),
                                   [&](ValueId source) { return is_hash(source); });
    }

    /// Masks and maps.
    void follow_uses(ProgramNode const& node, std::string_view name, Wanted const& wanted) {
        if (!wanted.keep && !wanted.drop && !wanted.map) return;
        Wanted uses{.keep = wanted.keep, .drop = wanted.drop, .map = wanted.map};
        auto const read = tensors_read(node);
        if (read.empty()) return;
        if (comparisons.contains(name)) {
            follow_comparison(node, name, uses);
            return;
        }
        bool const one_minus = name == "sub" && constant(node, "self").has_value();
        if (negations.contains(name) || one_minus) std::swap(uses.keep, uses.drop);
        if (moves_values(node)) {
            for (auto const id : moved(program_, node)) want(id, uses);
        } else if (negations.contains(name) || one_minus || conjunctions.contains(name)) {
            for (auto const id : read) want(id, uses);
        } else if (uses.map && keeps_map(node)) {
            for (auto const id : read) want(id, {.map = true});
        }
    }

    /// Which floating-point tensors the call reads as numbers. A mask of such numbers is compared,
    /// multiplied into what it masks, and summed to count what it keeps; nothing else.
    void note_data(ProgramNode const& node) {
        static Names const counting{"sum", "mean", "cumsum", "count_nonzero", "any", "all"};
        auto const name = functional_name(node);
        if (comparisons.contains(name) || counting.contains(name) || name == "logical_not") return;
        auto const made = tensors_returned(node);
        bool const passes_on =
            moves_values(node) || negations.contains(name) ||
            ((name == "sub" || name == "mul") && (constant(node, "self") || constant(node, "other")));
        bool const is_data = !passes_on || std::ranges::any_of(made, [&](ValueId id) {
            return is_floating_point(value_of(program_, id).dtype) && of(id).data;
        });
        if (!is_data) return;
        auto const read = tensors_read(node);
        for (auto const id : read) {
            auto const& value = value_of(program_, id);
            bool const masks = name == "mul" && std::ranges::any_of(read, [&](ValueId other) {
                return value.element_count() < value_of(program_, other).element_count();
            });
            if (is_floating_point(value.dtype) && !masks) want(id, {.data = true});
        }
    }

    /// What is compared with a row of positions is one of them, or a length.
    void want_among_positions(ProgramNode const& node, std::string_view name) {
        auto const one_of = [&](std::string_view argument, std::string_view against) {
            auto const id = tensor_of(node, argument);
            auto const positions = constant(node, against);
            if (!id || !positions || positions->least() == positions->greatest()) return;
            if (is_floating_point(value_of(program_, *id).dtype)) return;
            if (name == "eq" || name == "ne") {
                want(*id, {.range = positions->hull(), .direct = true});
            } else {
                want(*id, {.longest = static_cast<std::int64_t>(positions->greatest()) + 1});
            }
        };
        one_of("self", "other");
        one_of("other", "self");
    }

    /// A flag is compared with a number.
    void follow_comparison(ProgramNode const& node, std::string_view name, Wanted uses) {
        auto const self = tensor_of(node, "self");
        auto const other = constant(node, "other");
        if (!self || !other || other->least() != other->greatest()) return;
        uses.map = false;
        auto const limit = other->least();
        bool const tells_flags = limit == (name == "ge" || name == "lt" ? 1 : 0) ||
                                 (limit > 0 && limit < 1) ||
                                 ((name == "eq" || name == "ne") && limit == 1);
        if (is_floating_point(value_of(program_, *self).dtype) && !tells_flags) return;
        bool const swaps = (name == "eq" && other->least() == 0) || name == "lt" || name == "le" ||
                           (name == "ne" && other->least() != 0);
        if (swaps) std::swap(uses.keep, uses.drop);
        want(*self, uses);
    }

    /// Different starts, at some distance from each other, are those of a table's fields: what
    /// begins at one of them stays before the next.
    static ValueRange within_fields(ValueRange const& range, ValueRange const& start,
                                    std::vector<double> starts) {
        constexpr double least_field = 2;
        std::ranges::sort(starts);
        starts.erase(std::ranges::unique(starts).begin(), starts.end());
        auto const fields = static_cast<double>(starts.size());
        if (fields < 2 || starts.front() < 0 ||
            starts.back() - starts.front() < least_field * (fields - 1)) {
            return range;
        }
        auto const inside = combined(range, start, [&](double low, double high, double c, double) {
            auto const next = std::ranges::upper_bound(starts, c);
            return std::pair{std::max(low, c),
                             next == starts.end() ? high : std::min(high, *next - 1)};
        });
        return inside && !inside->is_empty(false) ? *inside : range;
    }

    /// One operand is a constant: what the other may be. Both vary: a share each.
    bool invert(ProgramNode const& node, std::string_view name, Wanted const& index) {
        auto const& range = *index.range;
        auto const self = tensor_of(node, "self");
        auto const other_id = tensor_of(node, "other");
        auto const self_constant = constant(node, "self");
        auto const other = constant(node, "other");
        auto const give = [&](std::optional<ValueId> id, std::optional<ValueRange> allowed) {
            if (!id || !allowed) return false;
            auto wanted = index;
            wanted.range = std::move(allowed);
            want(*id, wanted);
            return true;
        };
        auto const give_term = [&](std::optional<ValueId> id, ValueRange const& allowed) {
            if (!id) return false;
            auto wanted = index;
            wanted.range = allowed;
            wanted.direct = false;
            want(*id, wanted);
            return true;
        };
        auto const each = [&](ValueRange const& by, auto const& combine) {
            auto exact = combined(range, by, combine);
            return exact ? exact : combined(range.in_one(), by.hull(), combine);
        };
        auto const alpha = number_argument(node, "alpha", 1);
        if (name == "add" || name == "sub") {
            auto const factor = name == "add" ? alpha : -alpha;
            auto const less = [factor](double low, double high, double c, double d) {
                return factor >= 0 ? std::pair{low - factor * c, high - factor * d}
                                   : std::pair{low - factor * d, high - factor * c};
            };
            auto const without = [&](ValueRange const& added) {
                bool const starts = factor == 1 && added.low == added.high;
                auto const sum = starts ? within_fields(range, added, added.low) : range;
                auto const exact = combined(sum, added, less);
                return exact ? exact : combined(range.in_one(), added.hull(), less);
            };
            if (other) return give(self, without(*other));
            if (factor == 0) return give(self, range);
            if (self_constant && name == "add" && factor == 1) {
                return give(other_id, without(*self_constant));
            }
            if (self_constant && name == "sub" && factor == -1) {
                return give(other_id,
                            each(*self_constant, [](double low, double high, double c, double d) {
                                return std::pair{d - high, c - low};
                            }));
            }
            if (!self || !other_id || std::abs(factor) != 1) return false;
            // A constant whose values are not known leaves nothing to choose.
            if (is_fixed(*self) || is_fixed(*other_id)) return false;
            auto const whole = range.in_one();
            auto const low = whole.least();
            auto const high = whole.greatest();
            if (low > 0 || high < 0) return false;
            if (factor > 0) {
                auto const half = ValueRange::of(std::ceil(low / 2), std::floor(high / 2));
                return give(self, half) && give(other_id, half);
            }
            auto const middle = std::floor((low + high) / 2);
            return give(self, ValueRange::of(middle, high)) &&
                   give(other_id, ValueRange::of(0, middle - low));
        }
        if (name == "rsub" && other && alpha == 1) {
            return give(self, each(*other, [](double low, double high, double c, double d) {
                            return std::pair{d - high, c - low};
                        }));
        }
        if (name == "neg" || name == "negative") {
            return give(self, combined(range, range, [](double low, double high, double, double) {
                            return std::pair{-high, -low};
                        }));
        }
        if (name == "abs" || name == "relu") {
            return give(self, combined(range, range, [](double low, double high, double, double) {
                            return std::pair{std::max(low, 0.0), high};
                        }));
        }
        auto const divide = [](double low, double high, double c, double d) {
            auto const [least, most] =
                c > 0 ? std::pair{low / (low < 0 ? d : c), high / d} : std::pair{high / c, low / d};
            return std::pair{least, most};
        };
        if (name == "mul" && (other || self_constant)) {
            auto const& by = other ? *other : *self_constant;
            auto const target = other ? self : other_id;
            if (by.least() == 0 && by.greatest() == 0) return give(target, range);
            // A factor that may be 0 makes 0, which must be allowed.
            if (by.least() < 0 && by.greatest() > 0) return false;
            if (by.least() == 0)
                return give(target, each(ValueRange::of(1, by.greatest()), divide));
            return give(target, each(by, divide));
        }
        if (name == "mul" && self && other_id) {
            // A mask leaves ids or makes them 0.
            auto const flags = [&](ValueId id) { return comes_from_mask(id); };
            auto const whole = range.in_one();
            if (whole.least() > 0) return false;
            if (flags(*other_id)) return give(self, range);
            if (flags(*self)) return give(other_id, range);
            auto const root = ValueRange::of(0, std::floor(std::sqrt(whole.greatest())));
            return give_term(self, root) && give_term(other_id, root);
        }
        if (name == "floor_divide" || name == "div" || name == "bitwise_right_shift" ||
            name == "__rshift__") {
            if (!other || other->least() != other->greatest()) return false;
            bool const shifts = name.find("shift") != std::string_view::npos;
            auto const by = shifts ? std::exp2(other->least()) : other->least();
            auto const* mode = node.find_argument("rounding_mode");
            bool const rounds =
                name != "div" || (mode != nullptr && std::holds_alternative<std::string>(*mode));
            if (by <= 0) return false;
            return give(self, combined(range, range, [&](double low, double high, double, double) {
                            return rounds ? std::pair{std::ceil(low) * by,
                                                      std::floor(high) * by + by - 1}
                                          : std::pair{low * by, high * by};
                        }));
        }
        if (name == "bitwise_left_shift" || name == "__lshift__") {
            if (!other || other->least() != other->greatest()) return false;
            auto const by = std::exp2(other->least());
            return give(self, each(ValueRange::of(by, by), divide));
        }
        if ((name == "remainder" || name == "fmod" || name == "bitwise_and" || name == "__and__") &&
            other && other->least() > 0) {
            bool const masks = name.find("and") != std::string_view::npos;
            bool folds = self && name != "fmod" && is_hash(*self);
            (void)combined(range, *other, [&](double low, double high, double c, double d) {
                folds = folds && low <= 0 && high >= (masks ? d : d - 1);
                return std::pair{c, d};
            });
            if (folds) {
                want(*self, anything_for_a_hash(index));
                return true;
            }
            // Within the divisor nothing is folded back, so that every row is reached evenly.
            return give(self, each(*other, [masks](double low, double high, double c, double) {
                            return std::pair{std::max(low, 0.0), std::min(high, masks ? c : c - 1)};
                        }));
        }
        if (name == "clamp" || name == "clip" || name == "clamp_min" || name == "clamp_max" ||
            name == "hardtanh") {
            auto const bound = [&](std::string_view argument, std::string_view second) {
                auto const found = constant(node, argument);
                return found ? found : constant(node, second);
            };
            ValueRange allowed = range;
            if (auto const least = bound("min", "min_val"); least && name != "clamp_max") {
                allowed = intersection(
                    allowed,
                    ValueRange::of(least->greatest(), std::numeric_limits<double>::infinity()));
            }
            if (auto const most = bound("max", "max_val"); most && name != "clamp_min") {
                allowed = intersection(
                    allowed,
                    ValueRange::of(-std::numeric_limits<double>::infinity(), most->least()));
            }
            return give(self, allowed);
        }
        if ((name == "maximum" || name == "minimum") && self && other_id) {
            bool const took_self = self_constant || give(self, range);
            bool const took_other = other || give(other_id, range);
            return took_self && took_other;
        }
        if ((name == "cumsum" || name == "sum") && self) {
            auto const& from = value_of(program_, *self);
            if (is_mask(from) || comes_from_mask(*self)) return true;
            auto const* result = first_result(program_, node);
            auto const terms = name == "cumsum"
                                   ? extent(from, integer_argument(node, "dim", 0))
                                   : from.element_count() /
                                         std::max<std::int64_t>(
                                             result == nullptr ? 1 : result->element_count(), 1);
            auto const whole = range.in_one();
            auto const count = static_cast<double>(std::max<std::int64_t>(terms, 1));
            // The first term alone reaches the least of running sums.
            auto const least = std::max(whole.least(), 0.0);
            auto const low = name == "cumsum" ? least : std::ceil(least / count);
            auto const high = std::floor(whole.greatest() / count);
            return (low == 0 || low <= high) && give_term(self, ValueRange::of(low, high));
        }
        return false;
    }

    /// A mask under another dtype: its elements are 0 and 1.
    [[nodiscard]] bool comes_from_mask(ValueId id) const {
        if (is_mask(value_of(program_, id))) return true;
        auto const* node = producer_[index(id)].node;
        if (node == nullptr || tensors_returned(*node).size() != 1) return false;
        auto const read = tensors_read(*node);
        return read.size() == 1 && moves_values(*node) && comes_from_mask(read.front());
    }

    ExportedProgram const& program_;
    std::vector<std::optional<ValueRange>> known_;
    std::vector<bool> fixed_;  // depends on nothing but the export, known or not
    std::vector<Producer> producer_;
    std::vector<std::optional<ValueId>> alias_;        // the tensor that this is a view of
    std::map<ValueId, std::vector<ValueId>> written_;  // by base: all its aliases
    std::vector<Wanted> wanted_;
};

// ---------------------------------------------------------------------------------------------
// What inputs hold

/// The values that a type can hold.
ValueRange range_of_type(ScalarType type) {
    switch (type) {
        case ScalarType::uint8:
            return ValueRange::of(0, 255);
        case ScalarType::int8:
            return ValueRange::of(-128, 127);
        case ScalarType::int16:
            return ValueRange::of(-32768, 32767);
        case ScalarType::int32:
            return ValueRange::of(-2147483648.0, 2147483647.0);
        default:
            break;
    }
    constexpr double farthest = 1e15;  // beyond every table
    return ValueRange::of(-farthest, farthest);
}

/// Elements that nobody reads hold what the others may.
ValueRange without_unread(ValueRange const& range, Extents const& extents) {
    auto const is_read = [&](std::size_t i) {
        return std::isfinite(range.low[i]) || std::isfinite(range.high[i]);
    };
    std::size_t first = 0;
    while (first < range.low.size() && !is_read(first)) ++first;
    if (range.is_uniform() || first == range.low.size()) return narrowed_to(range, extents);
    auto filled = range;
    for (std::size_t i = 0; i < range.low.size(); ++i) {
        if (is_read(i)) continue;
        filled.low[i] = range.low[first];
        filled.high[i] = range.high[first];
    }
    return narrowed_to(range_of_elements(filled.shape, filled.low, filled.high), extents);
}

bool is_named_position(std::string_view name) {
    return name.find("position") != std::string_view::npos || name == "pos" || name == "pos_ids";
}

InputValues mask_of(TensorValue const& value, Wanted const& wanted) {
    auto const rank = value.sizes.size();
    InputValues values{.pattern = ValuePattern::halves};
    values.inverted = wanted.drop && !wanted.keep;
    if (rank >= 2 && extent(value, -1) == extent(value, -2) && extent(value, -1) > 1) {
        values.pattern = ValuePattern::causal;
    } else if (rank <= 2 || extent(value, -2) == 1) {
        values.pattern = ValuePattern::padding;
    }
    return values;
}

InputValues values_of_input(ProgramInput const& input, TensorValue const& value,
                            Wanted const& wanted, std::vector<std::string>& notes) {
    auto const note = [&](std::string const& why) {
        notes.push_back(input.name + ": " + why + ", so it holds 0 and 1");
    };
    bool const is_float = is_floating_point(value.dtype);
    bool const is_small_map = wanted.map && value.sizes.size() >= 3;
    if (is_mask(value)) return mask_of(value, wanted);
    if (!wanted.lost.empty()) {
        note("its way to a table leads through " + wanted.lost + ", which cannot be followed back");
        return {.pattern = ValuePattern::spread};
    }
    // A mask whose running sum is a position: its sum stays within the table by itself.
    bool const sums_up = wanted.range && !wanted.direct && !is_float &&
                         (wanted.keep || wanted.drop || wanted.range->in_one().greatest() < 1);
    if (wanted.range && !sums_up) {
        auto range = intersection(without_unread(*wanted.range, distinct_sizes(value)),
                                  range_of_type(value.dtype));
        if (range.is_empty(is_float)) range = range.in_one();
        if (range.is_empty(is_float)) {
            note("no value of it is a row of every table that it reaches");
            return {.pattern = ValuePattern::spread};
        }
        InputValues values{.pattern = ValuePattern::spread,
                           .low = range.low,
                           .high = range.high,
                           .bounds_shape = range.shape};
        if (!is_float) {
            for (auto& low : values.low) low = std::ceil(low);
            for (auto& high : values.high) high = std::floor(high);
        }
        if ((wanted.once || is_named_position(input.name)) && !is_float) {
            auto const last = static_cast<double>(std::max<std::int64_t>(extent(value, -1), 1));
            auto const least = *std::ranges::max_element(values.low);
            auto const greatest = *std::ranges::min_element(values.high);
            if (last <= greatest - least + 1) {
                values.pattern = ValuePattern::ascending;
                // A cache that is written to is half full.
                values.low = {wanted.once ? least + std::floor((greatest - least + 1 - last) / 2)
                                          : least};
                values.high = {greatest};
                values.bounds_shape.clear();
            }
        }
        return values;
    }
    if (wanted.offsets_end) {
        return {.pattern = ValuePattern::offsets,
                .low = {0},
                .high = {static_cast<double>(*wanted.offsets_end)},
                .total = wanted.total};
    }
    if (wanted.longest) {
        return {.pattern = ValuePattern::lengths,
                .low = {static_cast<double>(std::max<std::int64_t>((*wanted.longest + 1) / 2, 1))},
                .high = {static_cast<double>(*wanted.longest)},
                .total = wanted.total};
    }
    bool const is_float_mask = is_float && (wanted.keep || wanted.drop) && !wanted.data;
    if (is_float_mask) return mask_of(value, wanted);
    if (is_small_map) return {.pattern = ValuePattern::smooth};
    if (is_float) return {.pattern = ValuePattern::normal};
    return mask_of(value, wanted);
}

/// Ids spread over so many rows: of the element that spreads widest.
std::string word_of_spread(std::vector<double> const& low, std::vector<double> const& high) {
    std::int64_t rows = 1;
    for (std::size_t i = 0; i < low.size(); ++i) {
        rows = std::max(rows, static_cast<std::int64_t>(high[i] - low[i]) + 1);
    }
    return (low.size() == 1 ? "ids:" : "ids_by_column:") + std::to_string(rows);
}

std::string word_of(InputValues const& values) {
    auto const inverted = [&](char const* word) {
        return values.inverted ? std::string{"not_"} + word : std::string{word};
    };
    switch (values.pattern) {
        case ValuePattern::normal:
            return "noise";
        case ValuePattern::smooth:
            return "smooth";
        case ValuePattern::spread:
            return word_of_spread(values.low, values.high);
        case ValuePattern::ascending:
            return "ascending";
        case ValuePattern::offsets:
            return "offsets";
        case ValuePattern::lengths:
            return "lengths:" + std::to_string(static_cast<std::int64_t>(values.high.front()));
        case ValuePattern::causal:
            return inverted("causal");
        case ValuePattern::padding:
            return inverted("padding");
        case ValuePattern::halves:
            return inverted("halves");
    }
    return {};
}

// ---------------------------------------------------------------------------------------------
// What all other tensors hold

bool is_spread(std::string const& word) { return word.starts_with("ids"); }

/// The number in the word of ids.
double rows_of(std::string const& word) {
    return std::strtod(word.c_str() + word.find(':') + 1, nullptr);
}

bool is_float_word(std::string const& word) {
    return word.starts_with("smooth") || word.starts_with("noise");
}

/// Their results are independent of where in a map an element lies.
bool mixes_places(ProgramNode const& node) {
    auto const* row = find_operator(node);
    if (row == nullptr) return true;
    switch (row->kind) {
        case OperatorKind::linear:
        case OperatorKind::matmul:
        case OperatorKind::attention:
        case OperatorKind::recurrent:
        case OperatorKind::embedding:
        case OperatorKind::gather:
            return true;
        default:
            return false;
    }
}

/// Rearranging leaves ids as spread as they were, but not a mask in one piece.
bool keeps_blocks(ProgramNode const& node) {
    static Names const keeping{
        "view",         "_unsafe_view", "view_as",   "unflatten", "expand",          "expand_as",
        "broadcast_to", "squeeze",      "unsqueeze", "alias",     "detach",          "lift_fresh",
        "reshape",      "reshape_as",   "flatten",   "ravel",     "contiguous",      "to",
        "_to_copy",     "type_as",      "clone",     "copy",      "lift_fresh_copy", "repeat",
        "dropout"};
    return operator_namespace(node) == "aten" && keeping.contains(functional_name(node));
}

class Forward {
  public:
    Forward(ExportedProgram const& program, Backward const& backward,
            std::vector<std::string>& words)
        : program_{program},
          backward_{backward},
          words_{words},
          is_weight_(program.values.size(), false) {
        for (auto const& input : program.inputs) {
            is_weight_[static_cast<std::size_t>(input.value)] = input.kind != InputKind::user_input;
        }
    }

    /// The input holds these.
    void begin(ValueId id, InputValues const& values) {
        if (values.pattern != ValuePattern::spread) return;
        spread_[id] = {.shape = values.bounds_shape, .low = values.low, .high = values.high};
    }

    void pass(std::size_t position) {
        auto const& node = program_.nodes[position];
        auto const read = tensors_read(node);
        auto const made = tensors_returned(node);
        std::optional<std::string> made_word;
        for (std::size_t j = 0; j < made.size(); ++j) {
            auto& word = words_[static_cast<std::size_t>(made[j])];
            if (is_floating_point(value_of(program_, made[j]).dtype)) {
                word = float_word(node, read);
            } else if (auto const moved_word = word_of_moved(node, j)) {
                word = *moved_word;
            } else if (auto const same = same_word(node, read)) {
                word = *same;
                if (auto const found = spread_.find(read.front()); found != spread_.end()) {
                    spread_[made[j]] = found->second;
                }
            } else {
                if (!made_word) made_word = word_of_making(position);
                word = *made_word;
            }
        }
        if (is_in_place(node)) write(made.front());
    }

  private:
    [[nodiscard]] std::string const& word(ValueId id) const {
        return words_[static_cast<std::size_t>(id)];
    }

    /// What is written into a part of a tensor is what all of it holds; but ids with some constants
    /// among them are ids.
    void write(ValueId written) {
        auto const& now = word(written);
        for (auto const alias : backward_.written_aliases(written)) {
            auto& held = words_[static_cast<std::size_t>(alias)];
            if (is_spread(now) || !is_spread(held)) held = now;
        }
    }

    /// Of ids that are not alike in all places, or come from several tensors: those that move here.
    [[nodiscard]] std::optional<std::string> word_of_moved(ProgramNode const& node, std::size_t j) {
        if (!moves_values(node)) return std::nullopt;
        if (functional_name(node) == "copy") {
            auto const read = tensors_read(node);
            if (read.size() == 2 && is_spread(word(read[1]))) return word(read[1]);
        }
        bool alike = true;
        std::string const* first = nullptr;
        auto const range = moved_on(program_, node, j, [&](ValueId id) {
            auto const found = spread_.find(id);
            if (found == spread_.end()) return std::optional<ValueRange>{};
            alike = alike && found->second.is_uniform() && (first == nullptr || *first == word(id));
            first = &word(id);
            return std::optional{found->second};
        });
        if (!range) return std::nullopt;
        spread_[tensors_returned(node)[j]] = *range;
        if (alike) return std::nullopt;
        return word_of_spread(range->low, range->high);
    }

    [[nodiscard]] std::string float_word(ProgramNode const& node,
                                         std::vector<ValueId> const& read) const {
        auto const name = functional_name(node);
        if (read.empty() || mixes_places(node)) return "noise";
        bool const of_floats = is_floating_point(value_of(program_, read.front()).dtype);
        if (of_floats && !is_float_word(word(read.front()))) {
            if (auto const same = same_word(node, read)) return *same;
        }
        bool smooth = true;
        bool rectified = true;
        bool any = false;
        auto const* row = find_operator(node);
        bool const several = name == "cat" || name == "concat" || name == "stack" ||
                             (row != nullptr && row->kind == OperatorKind::elementwise);
        for (auto const id : read) {
            if (any && !several) break;
            if (is_weight(id) && read.size() > 1) continue;
            any = true;
            smooth = smooth && word(id).starts_with("smooth");
            rectified = rectified && word(id).ends_with("_relu");
        }
        if (!any) return "noise";
        if (rectifiers.contains(name)) {
            rectified = true;
        } else if (!moves_values(node) && !max_pools.contains(name)) {
            rectified = false;
        }
        return std::string{smooth ? "smooth" : "noise"} + (rectified ? "_relu" : "");
    }

    [[nodiscard]] bool is_weight(ValueId id) const {
        return is_weight_[static_cast<std::size_t>(id)];
    }

    /// Values that are moved, or shifted by a constant, are the same to a clock.
    [[nodiscard]] std::optional<std::string> same_word(ProgramNode const& node,
                                                       std::vector<ValueId> const& read) const {
        if (read.empty()) return std::nullopt;
        auto const name = functional_name(node);
        auto const& first = word(read.front());
        // An image of bytes is one under any dtype.
        if (first == "smooth" && read.size() == 1 && moves_values(node)) return first;
        if (is_float_word(first)) return std::nullopt;
        if (moves_values(node)) {
            if (read.size() == 1 && (is_spread(first) || keeps_blocks(node))) return first;
            bool const joins = name == "cat" || name == "concat" || name == "stack";
            bool const alike =
                std::ranges::all_of(read, [&](ValueId id) { return word(id) == first; });
            if (joins && alike && is_spread(first)) return first;
            return std::nullopt;
        }
        static Names const shifts{"add",       "sub",       "mul",  "rsub",      "neg",  "clamp",
                                  "clamp_min", "clamp_max", "clip", "remainder", "fmod", "div"};
        if (!shifts.contains(name) || !(is_spread(first) || first == "ascending")) {
            return std::nullopt;
        }
        auto const only_first = std::ranges::all_of(read, [&](ValueId id) {
            return id == read.front() || backward_.known(id).has_value();
        });
        if (!only_first) return std::nullopt;
        if (name == "remainder") {
            // Of a hash: as many rows as it has remainders.
            auto const divisor = number_argument(node, "other", 0);
            auto const folded = word_of_spread({0}, {divisor - 1});
            if (divisor > 0 && rows_of(first) > divisor) return folded;
        }
        // Values were drawn so that clamps and remainders leave them as they are.
        return first;
    }

    /// Made by this operator, with these arguments, of those: equal words for equal makings.
    [[nodiscard]] std::string word_of_making(std::size_t position) const {
        ProgramSubgraph alone;
        alone.nodes = {static_cast<int>(position)};
        for (auto const id : tensors_read(program_.nodes[position])) {
            if (std::ranges::find(alone.activations, id) == alone.activations.end()) {
                alone.activations.push_back(id);
            }
            alone.values[id] = word(id);
        }
        alone.outputs = tensors_returned(program_.nodes[position]);
        return "made:" + descriptor_hash(format_descriptor(extract_subgraph(program_, alone)));
    }

    ExportedProgram const& program_;
    Backward const& backward_;
    std::vector<std::string>& words_;
    std::vector<bool> is_weight_;
    std::map<ValueId, ValueRange> spread_;  // of ids
};

}  // namespace

ProgramValues values_of(ExportedProgram const& program) {
    ProgramValues result;
    result.words.resize(program.values.size());
    Backward const backward{program};
    Forward forward{program, backward, result.words};
    for (auto const& input : program.inputs) {
        auto const& value = value_of(program, input.value);
        auto& word = result.words[static_cast<std::size_t>(input.value)];
        if (auto const known = program.constants.find(input.value);
            known != program.constants.end()) {
            std::string_view const bytes{reinterpret_cast<char const*>(known->second.data()),
                                         known->second.size()};
            word = "table:" + descriptor_hash(bytes);
        } else if (input.kind == InputKind::user_input || !is_floating_point(value.dtype)) {
            auto const values =
                values_of_input(input, value, backward.of(input.value), result.notes);
            word = word_of(values);
            // Coordinates count in a unit of their own.
            auto const rows = backward.of(input.value).rows;
            bool const is_coordinate = is_floating_point(value.dtype) && rows > 0 &&
                                       values.pattern == ValuePattern::spread;
            if (is_coordinate) word = "ids:" + std::to_string(rows);
            forward.begin(input.value, values);
            result.inputs.emplace(input.value, values);
        } else {
            word = "noise";
        }
        if (!input.values.empty()) word = input.values;
    }
    for (std::size_t i = 0; i < program.nodes.size(); ++i) forward.pass(i);
    return result;
}

std::vector<ValueId> deciding_values(ExportedProgram const& program, ProgramNode const& node) {
    std::vector<ValueId> deciding;
    for (auto const& use : index_uses(program, node)) deciding.push_back(use.ids);
    auto const name = functional_name(node);
    for (auto const* mask : {"condition", "mask"}) {
        auto const id = tensor_of(node, mask);
        if (id && (name == "where" || name.starts_with("masked_"))) deciding.push_back(*id);
    }
    if (by_index_lists.contains(name)) {
        for (auto const id : tensors_read(node)) {
            if (is_mask(value_of(program, id)) && id != tensor_of(node, "self")) {
                deciding.push_back(id);
            }
        }
    }
    if (max_pools.contains(name)) {
        if (auto const read = tensors_read(node); !read.empty()) deciding.push_back(read.front());
    }
    return deciding;
}

}  // namespace derate
