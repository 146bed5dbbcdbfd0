#include "workloads/program_warnings.hpp"

#include <algorithm>
#include <map>

#include "workloads/node_shapes.hpp"

namespace derate {
namespace {

bool is_given(ProgramNode const& node, std::string_view argument) {
    auto const* const value = node.find_argument(argument);
    return value != nullptr && !std::holds_alternative<std::monostate>(*value);
}

/// The call does what it would not do after model.eval().
bool runs_as_in_training(ProgramNode const& node) {
    auto const name = operator_name(node);
    if (name == "scaled_dot_product_attention") return number_argument(node, "dropout_p", 0) > 0;
    if (name.ends_with("dropout") || name.ends_with("dropout_")) {
        bool const is_on = flag_argument(node, "train", flag_argument(node, "training", false));
        return is_on && number_argument(node, "p", 1) > 0;
    }
    if (name == "lstm" || name == "gru" || name == "rnn_tanh" || name == "rnn_relu") {
        return flag_argument(node, "train", false) && number_argument(node, "dropout", 0) > 0;
    }
    if (name.find("batch_norm") != std::string_view::npos) {
        // Without running statistics, those of the batch are taken in eval mode too.
        return flag_argument(node, "training", name == "_native_batch_norm_legit_functional") &&
               is_given(node, "running_mean");
    }
    return name.starts_with("rrelu") && flag_argument(node, "training", false);
}

std::string names_of(std::vector<std::string> const& names) {
    constexpr std::size_t shown = 3;
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < shown; ++i) {
        text += (i > 0 ? ", " : "") + names[i];
    }
    if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
    return text;
}

std::vector<Warning> training_warning(ExportedProgram const& program) {
    std::map<std::string, int> calls;
    for (auto const& node : program.nodes) {
        if (runs_as_in_training(node)) ++calls[std::string{operator_name(node)}];
    }
    if (calls.empty()) return {};
    std::vector<std::string> counted;
    for (auto const& [name, count] : calls) counted.push_back(std::to_string(count) + " " + name);
    return {{WarningCode::training_mode,
             "exported in training mode (" + names_of(counted) +
                 "): call model.eval() before torch.export to price inference"}};
}

}  // namespace

std::vector<Warning> warnings_of(ExportedProgram const& program) {
    std::vector<bool> is_used(program.values.size(), false);
    auto const use = [&](ValueId id) { is_used[static_cast<std::size_t>(id)] = true; };
    for (auto const& node : program.nodes) std::ranges::for_each(tensors_read(node), use);
    std::ranges::for_each(program.outputs, use);
    for (auto const& mutation : program.mutations) use(mutation.source);

    auto warnings = training_warning(program);
    std::vector<std::string> unread;
    std::vector<std::string> unknown;
    for (auto const& input : program.inputs) {
        auto const& value = value_of(program, input.value);
        bool const read = is_used[static_cast<std::size_t>(input.value)];
        bool const is_user_input = input.kind == InputKind::user_input;
        if (is_user_input && !read) unread.push_back(input.name);
        // INT8 and UINT8 are weights of a quantised model, whose values decide nothing.
        bool const is_table = !is_user_input && !is_floating_point(value.dtype) &&
                              value.dtype != ScalarType::int8 && value.dtype != ScalarType::uint8;
        if (is_table && read && !program.constants.contains(input.value)) {
            unknown.push_back(input.name);
        }
    }
    if (!unread.empty()) {
        warnings.push_back(
            {WarningCode::unread_input,
             "nothing reads the input " + names_of(unread) +
                 "; one tensor given for several inputs is merged by torch.export"});
    }
    if (!unknown.empty()) {
        warnings.push_back({WarningCode::unknown_values,
                            "the values of " + names_of(unknown) +
                                " are not in the file; others stand in when it is timed"});
    }
    return warnings;
}

}  // namespace derate
