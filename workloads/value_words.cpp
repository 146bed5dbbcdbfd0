#include "workloads/value_words.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <string_view>

#include "core/subgraph.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/moved_values.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

using Names = std::set<std::string_view>;

Names const rectifiers{"relu", "relu6", "hardtanh", "threshold"};

/// Ids spread over so many rows: of the element that spreads widest.
std::string word_of_spread(std::vector<double> const& low, std::vector<double> const& high) {
    std::int64_t rows = 1;
    for (std::size_t i = 0; i < low.size(); ++i) {
        rows = std::max(rows, static_cast<std::int64_t>(high[i] - low[i]) + 1);
    }
    return (low.size() == 1 ? "ids:" : "ids_by_column:") + std::to_string(rows);
}

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
    Forward(ExportedProgram const& program, WantedValues const& wanted,
            std::vector<std::string>& words)
        : program_{program},
          wanted_{wanted},
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
        for (auto const alias : wanted_.written_aliases[static_cast<std::size_t>(written)]) {
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

    [[nodiscard]] std::string float_word(ProgramNode const& node, ValueIds const& read) const {
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
        } else if (!moves_values(node) && !is_max_pool(node)) {
            rectified = false;
        }
        return std::string{smooth ? "smooth" : "noise"} + (rectified ? "_relu" : "");
    }

    [[nodiscard]] bool is_weight(ValueId id) const {
        return is_weight_[static_cast<std::size_t>(id)];
    }

    /// Values that are moved, or shifted by a constant, are the same to a clock.
    [[nodiscard]] std::optional<std::string> same_word(ProgramNode const& node,
                                                       ValueIds const& read) const {
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
            return id == read.front() || wanted_.known[static_cast<std::size_t>(id)].has_value();
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
    WantedValues const& wanted_;
    std::vector<std::string>& words_;
    std::vector<bool> is_weight_;
    std::map<ValueId, ValueRange> spread_;  // of ids
};

}  // namespace

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

std::vector<std::string> value_words(ExportedProgram const& program, WantedValues const& wanted,
                                     std::vector<std::string> inputs,
                                     std::map<ValueId, InputValues> const& values) {
    Forward forward{program, wanted, inputs};
    for (auto const& [id, of_input] : values) forward.begin(id, of_input);
    for (std::size_t i = 0; i < program.nodes.size(); ++i) forward.pass(i);
    return inputs;
}

}  // namespace derate
