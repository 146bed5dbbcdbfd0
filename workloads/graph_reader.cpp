#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

#include "workloads/exported_program.hpp"
#include "workloads/graph_elements.hpp"
#include "workloads/graph_tensors.hpp"

namespace derate {
namespace {

constexpr std::int64_t schema_major = 8;
constexpr std::size_t node_limit = 200'000;

std::optional<MemoryFormat> memory_format_of(std::int64_t number) {
    switch (number) {
        case 1:
            return MemoryFormat::contiguous;
        case 2:
            return MemoryFormat::channels_last;
        case 3:
            return MemoryFormat::channels_last_3d;
        case 4:
            return MemoryFormat::preserve;
        default:
            return std::nullopt;
    }
}

class GraphReader : GraphElements {
  public:
    using GraphElements::GraphElements;

    ExportedProgram read(std::string_view text) {
        simdjson::dom::parser parser;
        auto const root = parse(parser, text);
        check_version(root);
        if (element version; root["torch_version"].get(version) == simdjson::SUCCESS) {
            program_.torch_version = text_of(version, "torch_version");
        }
        auto const module = member(root, "graph_module");
        read_main_graph(member(module, "graph"), member(module, "signature"));
        if (element constants; root["derate_constants"].get(constants) == simdjson::SUCCESS) {
            read_embedded_constants(*this, constants, program_);
        }
        return std::move(program_);
    }

  private:
    /// Names of one graph: the main one, or a region that is inlined into it.
    struct Scope {
        std::unordered_map<std::string_view, ValueId> values;
        std::unordered_map<std::string_view, element> metadata;
        std::string prefix;  ///< of the names of values that this graph makes
    };

    void check_version(element root) const {
        if (!root.is_object()) refuse("not an object", "the graph of an exported program");
        auto const version = member(root, "schema_version");
        auto const major = integer_of(member(version, "major"), "schema_version/major");
        if (major != schema_major) {
            refuse("export schema " + std::to_string(major) + " is not supported",
                   "schema " + std::to_string(schema_major) +
                       ", which PyTorch 2.6 or later writes; export the model again with it");
        }
    }

    [[nodiscard]] static Scope scope_of(object metadata) {
        Scope scope;
        for (auto const [name, meta] : metadata) scope.metadata.emplace(name, meta);
        return scope;
    }

    ValueId make_value(Scope& scope, std::string_view name) {
        auto const meta = scope.metadata.find(name);
        if (meta == scope.metadata.end()) {
            refuse("no shape of tensor \"" + std::string{name} + "\"", "a member of tensor_values");
        }
        auto const id = static_cast<ValueId>(program_.values.size());
        if (!scope.values.emplace(name, id).second) {
            refuse("tensor \"" + std::string{name} + "\" is made twice", "one maker a tensor");
        }
        program_.values.push_back(tensor_of(*this, meta->second, scope.prefix + std::string{name}));
        return id;
    }

    [[nodiscard]] ValueId known_value(Scope const& scope, std::string_view name) const {
        auto const found = scope.values.find(name);
        if (found == scope.values.end()) {
            refuse("reads \"" + std::string{name} + "\", which nothing before it makes",
                   "the name of an input or of an earlier result");
        }
        return found->second;
    }

    [[nodiscard]] ValueId tensor_named_by(Scope const& scope, element argument) const {
        return known_value(scope, text_of(member(argument, "name"), "name"));
    }

    void read_main_graph(element graph, element signature) {
        go_to("/graph_module/signature");
        auto scope = scope_of(object_of(member(graph, "tensor_values"), "tensor_values"));
        for (auto const spec : list_of(member(signature, "input_specs"), "input_specs")) {
            read_input(scope, spec);
        }
        read_nodes(scope, graph, "/graph_module/graph/nodes/");
        go_to("/graph_module/signature/output_specs");
        for (auto const spec : list_of(member(signature, "output_specs"), "output_specs")) {
            read_output(scope, spec);
        }
        go_to({});
    }

    void read_input(Scope& scope, element spec) {
        auto const [kind, content] = only_member(spec, "input_specs");
        if (kind == "constant_input") return;  // the export is specialised on its value
        if (kind == "custom_obj" || kind == "token") {
            refuse("input of kind " + std::string{kind} + " is not supported", "tensors");
        }
        auto const argument = member(content, "arg");
        if (kind == "user_input") {
            auto const [argument_kind, tensor] = only_member(argument, "arg");
            if (argument_kind.starts_with("as_sym")) refuse("dynamic shape", static_export);
            if (argument_kind != "as_tensor") return;
            auto const name = text_of(member(tensor, "name"), "name");
            add_input(InputKind::user_input, make_value(scope, name), name);
            return;
        }
        struct Row {
            std::string_view kind;
            InputKind input;
            std::string_view name_key;
        };
        constexpr std::array<Row, 3> rows{{
            {"parameter", InputKind::parameter, "parameter_name"},
            {"buffer", InputKind::buffer, "buffer_name"},
            {"tensor_constant", InputKind::tensor_constant, "tensor_constant_name"},
        }};
        for (auto const& row : rows) {
            if (row.kind != kind) continue;
            add_input(row.input, make_value(scope, text_of(member(argument, "name"), "name")),
                      text_of(member(content, row.name_key), row.name_key));
            return;
        }
        refuse("input of unknown kind \"" + std::string{kind} + "\"",
               "a kind of export schema " + std::to_string(schema_major));
    }

    void add_input(InputKind kind, ValueId value, std::string_view name) {
        program_.inputs.push_back({.kind = kind, .value = value, .name = std::string{name}});
    }

    void read_output(Scope const& scope, element spec) {
        auto const [kind, content] = only_member(spec, "output_specs");
        auto const argument = member(content, "arg");
        if (kind == "user_output") {
            auto const [argument_kind, tensor] = only_member(argument, "arg");
            if (argument_kind == "as_tensor") {
                program_.outputs.push_back(tensor_named_by(scope, tensor));
            }
            return;
        }
        struct Row {
            std::string_view kind;
            InputKind target;
            std::string_view name_key;
        };
        constexpr std::array<Row, 3> rows{{
            {"buffer_mutation", InputKind::buffer, "buffer_name"},
            {"parameter_mutation", InputKind::parameter, "parameter_name"},
            {"user_input_mutation", InputKind::user_input, "user_input_name"},
        }};
        for (auto const& row : rows) {
            if (row.kind != kind) continue;
            auto const name = text_of(member(content, row.name_key), row.name_key);
            for (auto const& input : program_.inputs) {
                if (input.kind != row.target || input.name != name) continue;
                program_.mutations.push_back(
                    {.source = tensor_named_by(scope, argument), .target = input.value});
            }
            return;
        }
        refuse("output of kind " + std::string{kind} + " is not supported",
               "the export of a model in eval mode");
    }

    void read_nodes(Scope& scope, element graph, std::string const& place) {
        std::size_t index = 0;
        for (auto const node : list_of(member(graph, "nodes"), "nodes")) {
            go_to(place + std::to_string(index++));
            auto const target = identifier_of(member(node, "target"), "target");
            if (target.starts_with("torch.ops.higher_order.")) {
                inline_region(scope, node, target);
            } else if (target == "torch.ops.export.access_subclass_inner_tensor.default") {
                unwrap(scope, node);
            } else {
                read_node(scope, node, target);
            }
            if (program_.nodes.size() > node_limit) {
                refuse("more than " + std::to_string(node_limit) + " nodes", "at most that many");
            }
        }
    }

    void read_node(Scope& scope, element node, std::string_view target) {
        if (!target.starts_with("torch.ops.")) {
            // Functions of numbers, which shapes are made of.
            bool const is_of_numbers = target.starts_with("_operator.") ||
                                       target.starts_with("math.") ||
                                       target.starts_with("torch.sym_");
            if (is_of_numbers) {
                refuse("calls " + std::string{target} + ", which computes with shapes",
                       static_export);
            }
            refuse("calls " + std::string{target} + ", which is no operator of PyTorch",
                   "an export of operators alone: torch.vmap, for example, leaves calls of its own; "
                   "decompose the program first (run_decompositions())");
        }
        ProgramNode read{.target = std::string{target}, .name = {}, .arguments = {}, .outputs = {}};
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            read.arguments.push_back({.name = std::string{text_of(member(input, "name"), "name")},
                                      .value = argument_of(scope, member(input, "arg"))});
        }
        for (auto const output : list_of(member(node, "outputs"), "outputs")) {
            auto const [kind, content] = only_member(output, "outputs");
            if (kind == "as_tensor") {
                read.outputs.emplace_back(
                    TensorArgument{make_value(scope, text_of(member(content, "name"), "name"))});
            } else if (kind == "as_tensors") {
                read.outputs.emplace_back(
                    TensorListArgument{all_of(content, "as_tensors", [&](element tensor) {
                        return make_value(scope, text_of(member(tensor, "name"), "name"));
                    })});
            } else if (kind == "as_none") {
                read.outputs.emplace_back(std::monostate{});
            } else {
                refuse("returns " + std::string{kind.substr(kind.starts_with("as_") ? 3 : 0)} +
                           ", whose value the data decides",
                       static_export);
            }
        }
        std::string_view name;
        if (element named;
            node["name"].get(named) == simdjson::SUCCESS && named.get(name) == simdjson::SUCCESS) {
            read.name = scope.prefix + std::string{name};
        } else if (auto const made = tensors_returned(read); !made.empty()) {
            read.name = program_.values[static_cast<std::size_t>(made.front())].name;
        }
        refuse_autocast(read);
        program_.nodes.push_back(std::move(read));
    }

    [[nodiscard]] TensorValue const& value_of(ValueId id) const {
        return program_.values[static_cast<std::size_t>(id)];
    }

    /// A floating-point result of a type that none of the operands has, of a call that names no
    /// type: autocast made it, and it is not in the file. Without it LibTorch computes in the
    /// operands' type.
    void refuse_autocast(ProgramNode const& node) const {
        if (operator_namespace(node) != "aten") return;
        for (auto const& argument : node.arguments) {
            if (std::holds_alternative<ScalarType>(argument.value)) return;
        }
        auto const returned = tensors_returned(node);
        if (returned.empty()) return;
        auto const result = value_of(returned.front()).dtype;
        if (!is_floating_point(result)) return;
        std::optional<ScalarType> operand;
        for (auto const id : tensors_read(node)) {
            auto const dtype = value_of(id).dtype;
            if (dtype == result) return;
            if (is_floating_point(dtype) && !operand) operand = dtype;
        }
        if (!operand) return;
        refuse(std::string{operator_name(node)} + " takes " + std::string{to_string(*operand)} +
                   " and returns " + std::string{to_string(result)} +
                   ": the model was exported under autocast, which the file does not hold",
               "a model converted to its precision before torch.export, or an export without "
               "torch.autocast");
    }

    /// The tensors that a parameter of a class of its own (torchao's) is made of: no operator runs,
    /// they are weights themselves.
    void unwrap(Scope& scope, element node) {
        std::optional<ValueId> outer;
        std::string name;
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            auto const [kind, content] = only_member(member(input, "arg"), "arg");
            if (kind == "as_tensor") outer = tensor_named_by(scope, content);
            if (kind == "as_string") name = std::string{text_of(content, "attribute")};
        }
        for (auto const output : list_of(member(node, "outputs"), "outputs")) {
            auto const [kind, content] = only_member(output, "outputs");
            if (kind != "as_tensor") refuse("returns " + std::string{kind}, "a tensor");
            auto const inner = make_value(scope, text_of(member(content, "name"), "name"));
            for (auto const& input : program_.inputs) {
                if (!outer || input.value != *outer) continue;
                bool const is_given = input.kind == InputKind::user_input;
                add_input(is_given ? InputKind::user_input : InputKind::buffer, inner,
                          std::string{input.name} + "." + name);
                break;
            }
        }
    }

    /// `with torch.no_grad():` in a model's forward becomes a call of a graph of its own; in eval
    /// mode its nodes run as if they stood there.
    void inline_region(Scope& scope, element node, std::string_view target) {
        constexpr std::string_view control_flow = "a model without control flow on tensors";
        bool const is_grad_region = target == "torch.ops.higher_order.wrap_with_set_grad_enabled";
        bool const is_autocast_region = target == "torch.ops.higher_order.wrap_with_autocast";
        if (!is_grad_region && !is_autocast_region) {
            refuse("calls " + std::string{target}, control_flow);
        }
        auto const region_place = place();
        std::optional<element> region;
        std::vector<ValueId> arguments;
        std::vector<bool> flags;
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            auto const [kind, content] = only_member(member(input, "arg"), "arg");
            if (kind == "as_graph") {
                region = content;
            } else if (kind == "as_tensor" && region) {
                arguments.push_back(tensor_named_by(scope, content));
            } else if (kind == "as_bool" && !region) {
                flags.push_back(flag_of(content, "arg"));
            } else if (region) {
                refuse("a region takes " + std::string{kind}, control_flow);
            }
        }
        if (!region) refuse("a region without a graph", "the graph of an exported program");
        // Autocast's flags are whether it is on and whether it caches weights.
        if (is_autocast_region && (flags.empty() || flags.front())) {
            refuse("an autocast region", "a model converted to its precision before torch.export");
        }
        auto const graph = member(*region, "graph");
        auto inner = scope_of(object_of(member(graph, "tensor_values"), "tensor_values"));
        inner.prefix = scope.prefix + std::string{text_of(member(*region, "name"), "name")} + ".";
        std::size_t bound = 0;
        for (auto const input : list_of(member(graph, "inputs"), "inputs")) {
            auto const name = text_of(member(only_member(input, "inputs").second, "name"), "name");
            if (bound == arguments.size()) refuse("a region lacks arguments", "one an input");
            inner.values.emplace(name, arguments[bound++]);
        }
        read_nodes(inner, graph, region_place + "/graph/nodes/");
        go_to(region_place);

        std::vector<ValueId> results;
        for (auto const output : list_of(member(graph, "outputs"), "outputs")) {
            auto const [kind, content] = only_member(output, "outputs");
            if (kind != "as_tensor") refuse("a region returns " + std::string{kind}, control_flow);
            results.push_back(tensor_named_by(inner, content));
        }
        std::vector<std::string_view> names;
        for (auto const output : list_of(member(node, "outputs"), "outputs")) {
            auto const [kind, content] = only_member(output, "outputs");
            if (kind == "as_tensor") {
                names.push_back(text_of(member(content, "name"), "name"));
            } else if (kind == "as_tensors") {
                for (auto const tensor : list_of(content, "as_tensors")) {
                    names.push_back(text_of(member(tensor, "name"), "name"));
                }
            } else {
                refuse("a region returns " + std::string{kind}, control_flow);
            }
        }
        if (names.size() != results.size()) refuse("a region's results do not match", "one each");
        for (std::size_t i = 0; i < names.size(); ++i) scope.values.emplace(names[i], results[i]);
    }

    /// {"as_int": 3} of a list that could have held symbols.
    template <class Read>
    [[nodiscard]] auto plain_symbol(element value, Read read) const {
        auto const [kind, content] = only_member(value, "argument");
        if (kind == "as_name" || kind == "as_expr") refuse("dynamic shape", static_export);
        return read(content);
    }

    [[nodiscard]] ArgumentValue argument_of(Scope const& scope, element argument) const {
        auto const [kind, content] = only_member(argument, "arg");
        auto const integer = [this](element v) { return integer_of(v, "argument"); };
        auto const number = [this](element v) { return number_of(v, "argument"); };
        auto const flag = [this](element v) { return flag_of(v, "argument"); };
        auto const text = [this](element v) { return std::string{text_of(v, "argument")}; };
        auto const tensor = [&](element v) { return tensor_named_by(scope, v); };
        auto const symbol_of = [this](auto read) {
            return [this, read](element v) { return plain_symbol(v, read); };
        };
        if (kind == "as_tensor") return TensorArgument{tensor(content)};
        if (kind == "as_int") return integer(content);
        if (kind == "as_ints") return all_of(content, kind, integer);
        if (kind == "as_float") return number(content);
        if (kind == "as_bool") return flag(content);
        if (kind == "as_none") return std::monostate{};
        if (kind == "as_tensors") return TensorListArgument{all_of(content, kind, tensor)};
        if (kind == "as_optional_tensors") {
            return OptionalTensorListArgument{
                all_of(content, kind, [&](element v) -> std::optional<ValueId> {
                    auto const [item_kind, item] = only_member(v, kind);
                    if (item_kind != "as_tensor") return std::nullopt;
                    return tensor(item);
                })};
        }
        if (kind == "as_optional_tensor") {
            auto const [item_kind, item] = only_member(content, kind);
            if (item_kind == "as_tensor") return TensorArgument{tensor(item)};
            return std::monostate{};
        }
        if (kind == "as_string") return text(content);
        if (kind == "as_scalar_type") return dtype_of(*this, content);
        if (kind == "as_memory_format") {
            auto const format = memory_format_of(integer(content));
            if (!format) refuse("unknown memory format", "a dense format");
            return *format;
        }
        if (kind == "as_layout") {
            if (integer(content) != 7) refuse("a sparse layout", "dense tensors");
            return Layout::strided;
        }
        if (kind == "as_device") {
            Device device{.type = std::string{identifier_of(member(content, "type"), "device")},
                          .index = {}};
            if (element index;
                content["index"].get(index) == simdjson::SUCCESS && !index.is_null()) {
                device.index = integer(index);
            }
            return device;
        }
        if (kind == "as_floats") return all_of(content, kind, number);
        if (kind == "as_bools") return all_of(content, kind, flag);
        if (kind == "as_strings") return all_of(content, kind, text);
        if (kind == "as_sym_int") return plain_symbol(content, integer);
        if (kind == "as_sym_float") return plain_symbol(content, number);
        if (kind == "as_sym_bool") return plain_symbol(content, flag);
        if (kind == "as_sym_ints") return all_of(content, kind, symbol_of(integer));
        if (kind == "as_sym_floats") return all_of(content, kind, symbol_of(number));
        if (kind == "as_sym_bools") return all_of(content, kind, symbol_of(flag));
        refuse("argument of kind " + std::string{kind} + " is not supported",
               "operators on tensors, numbers and strings");
    }

    ExportedProgram program_;
};

}  // namespace

ExportedProgram parse_exported_program(std::string_view model_json, std::string_view where) {
    return GraphReader{where}.read(model_json);
}

}  // namespace derate
