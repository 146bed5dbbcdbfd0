#include <algorithm>
#include <fstream>
#include <vector>

#include "core/input_error.hpp"
#include "storage/file.hpp"
#include "workloads/exported_program.hpp"
#include "workloads/pt2_archive.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {
namespace {

// The largest graphs of today's models, with stack traces, stay below 20 MiB.
constexpr std::size_t graph_limit = std::size_t{64} << 20;
constexpr std::size_t constants_limit = std::size_t{256} << 20;
constexpr std::size_t float_constant_limit = 64 << 10;

/// The values of one tensor matter when calls index with it or it is a literal of the model's code;
/// float parameters and buffers are filled at random.
bool values_matter(ProgramInput const& input, TensorValue const& value) {
    auto const bytes = value.element_count() * bytes_per_element(value.dtype);
    switch (input.kind) {
        case InputKind::user_input:
            return false;
        case InputKind::parameter:
        case InputKind::buffer:
            return !is_floating_point(value.dtype);
        case InputKind::tensor_constant:
            return !is_floating_point(value.dtype) ||
                   bytes <= static_cast<std::int64_t>(float_constant_limit);
    }
    return false;
}

/// Smallest first, so that a huge one (a matrix of INT8 weights) keeps no table out.
void read_archived_constants(Pt2Archive& archive, ExportedProgram& program) {
    std::vector<bool> is_read(program.values.size(), false);
    for (auto const& node : program.nodes) {
        for (auto const id : tensors_read(node)) is_read[static_cast<std::size_t>(id)] = true;
    }
    auto const value_of = [&](ProgramInput const* input) -> TensorValue const& {
        return program.values[static_cast<std::size_t>(input->value)];
    };
    std::vector<ProgramInput const*> wanted;
    for (auto const& input : program.inputs) {
        bool const matters = values_matter(input, value_of(&input));
        if (matters && is_read[static_cast<std::size_t>(input.value)]) wanted.push_back(&input);
    }
    std::ranges::stable_sort(wanted, {}, [&](auto const* input) {
        return value_of(input).element_count() * bytes_per_element(value_of(input).dtype);
    });
    auto left = constants_limit;
    for (auto const* const input : wanted) {
        auto bytes = archive.read_elements(input->name, value_of(input), left);
        if (!bytes) continue;
        left -= bytes->size();
        program.constants.insert_or_assign(input->value, *std::move(bytes));
    }
}

}  // namespace

SymbolicProgram read_symbolic_program(std::filesystem::path const& file) {
    auto const where = file.string();
    std::error_code error;
    auto const status = std::filesystem::status(file, error);
    if (!std::filesystem::exists(status)) {
        throw InputError{where, "no such file", "an exported program (.pt2)"};
    }
    if (!std::filesystem::is_regular_file(status)) {
        throw InputError{where, "not a file", "an exported program (.pt2)"};
    }
    char start[2] = {};
    std::ifstream stream{file, std::ios::binary};
    if (!stream) throw InputError{where, "cannot be read", "a readable file"};
    stream.read(start, sizeof start);

    if (start[0] == '\x1f' && start[1] == '\x8b') {
        auto const text = gzip_expand(read_text(file, graph_limit), where, graph_limit);
        return parse_symbolic_program(text, where);
    }
    if (start[0] != 'P' || start[1] != 'K') {
        throw InputError{where, "not a zip file",
                         "a file that torch.export.save wrote: "
                         "torch.export.save(torch.export.export(model.eval(), args), \"m.pt2\")"};
    }
    Pt2Archive archive{file};
    auto symbolic = parse_symbolic_program(archive.read_graph(graph_limit), where);
    read_archived_constants(archive, symbolic.program);
    return symbolic;
}

ExportedProgram read_exported_program(std::filesystem::path const& file) {
    return bind(read_symbolic_program(file), {}).program;
}

ExportedProgram parse_exported_program(std::string_view model_json, std::string_view where) {
    return bind(parse_symbolic_program(model_json, where), {}).program;
}

}  // namespace derate
