#include <array>
#include <cstdlib>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "core/input_error.hpp"
#include "shapes/shape_expressions.hpp"
#include "workloads/graph_elements.hpp"
#include "workloads/graph_shapes.hpp"
#include "workloads/graph_tensors.hpp"
#include "workloads/symbolic_program.hpp"

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

/// Functions of numbers, which shapes are made of.
bool computes_with_numbers(std::string_view target) {
    return target.starts_with("_operator.") || target.starts_with("math.") ||
           target.starts_with("torch.sym_") || target == "torch._sym_sqrt";
}

constexpr std::string_view control_flow = "a model without control flow on tensors";

class GraphReader : GraphElements {
  public:
    explicit GraphReader(std::string_view where) : GraphElements{where} { result_.where = where; }

    SymbolicProgram read(std::string_view text) {
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
        read_ranges(root);
        read_guards(root);
        return std::move(result_);
    }

  private:
    /// Names of one graph: the main one, or a region that is inlined into it.
    struct Scope {
        std::unordered_map<std::string_view, ValueId> values;
        std::unordered_map<std::string_view, element> metadata;
        std::unordered_map<std::string_view, ExpressionId> numbers;  ///< sizes and scalars
        std::unordered_map<std::string_view, element> number_metadata;
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

    [[nodiscard]] Scope scope_of(element graph) const {
        Scope scope;
        for (auto const [name, meta] : object_of(member(graph, "tensor_values"), "tensor_values")) {
            scope.metadata.emplace(name, meta);
        }
        for (char const* const kind : {"sym_int_values", "sym_float_values", "sym_bool_values"}) {
            object values;
            if (graph[kind].get(values) != simdjson::SUCCESS) continue;
            for (auto const [name, meta] : values) scope.number_metadata.emplace(name, meta);
        }
        return scope;
    }

    /// What the file says that a number is; empty where it says nothing.
    [[nodiscard]] std::optional<ExpressionId> stated_number(Scope const& scope,
                                                            std::string_view name) {
        auto const stated = scope.number_metadata.find(name);
        if (stated == scope.number_metadata.end()) return std::nullopt;
        return shapes_.expression_of(*this, stated->second);
    }

    void make_number(Scope& scope, std::string_view name, std::optional<ExpressionId> computed) {
        auto const stated = stated_number(scope, name);
        if (!stated && !computed) {
            refuse("no value of number \"" + std::string{name} + "\"",
                   "a member of sym_int_values");
        }
        if (stated && computed && *stated != *computed) {
            result_.computed.emplace_back(*stated, *computed);
        }
        scope.numbers.insert_or_assign(name, computed ? *computed : *stated);
    }

    [[nodiscard]] ExpressionId number_named(Scope const& scope, std::string_view name) const {
        auto const found = scope.numbers.find(name);
        if (found == scope.numbers.end()) {
            refuse("reads number \"" + std::string{name} + "\", which nothing before it makes",
                   "the name of an input or of an earlier result");
        }
        return found->second;
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
        auto tensor = tensor_of(*this, meta->second, scope.prefix + std::string{name}, shapes_);
        for (auto& slot : tensor.slots) {
            slot.owner = id;
            result_.slots.push_back(slot);
        }
        program_.values.push_back(std::move(tensor.value));
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
        auto scope = scope_of(graph);
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
        if (kind == "constant_input") {  // the export is specialised on its value
            flat_inputs_.emplace_back();
            return;
        }
        if (kind == "custom_obj" || kind == "token") {
            refuse("input of kind " + std::string{kind} + " is not supported", "tensors");
        }
        auto const argument = member(content, "arg");
        if (kind == "user_input") {
            auto const [argument_kind, tensor] = only_member(argument, "arg");
            if (argument_kind.starts_with("as_sym")) {
                auto const [form, named] = only_member(tensor, "arg");
                flat_inputs_.emplace_back();
                if (form != "as_name") return;
                flat_inputs_.back() = text_of(named, "as_name");
                auto const name = text_of(named, "as_name");
                make_number(scope, name, std::nullopt);
                result_.number_inputs.emplace(name, scope.numbers.at(name));
                return;
            }
            flat_inputs_.emplace_back();
            if (argument_kind != "as_tensor") return;
            auto const name = text_of(member(tensor, "name"), "name");
            flat_inputs_.back() = name;
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

    /// A size or other number of the graph, as calls take them.
    [[nodiscard]] std::optional<ExpressionId> number_of_argument(Scope const& scope,
                                                                 element argument) {
        auto const [kind, content] = only_member(argument, "arg");
        if (kind.starts_with("as_sym_")) {
            auto const [inner, value] = only_member(content, "arg");
            if (inner == "as_name") return number_named(scope, text_of(value, "as_name"));
            return shapes_.expression_of(*this, content);
        }
        bool const is_plain = kind == "as_int" || kind == "as_float" || kind == "as_bool";
        return is_plain ? std::optional{shapes_.expression_of(*this, argument)} : std::nullopt;
    }

    /// Numbers that a call returns; it may be a function of numbers, a size of a tensor, or an
    /// operator whose result the data decides.
    bool make_numbers(Scope& scope, element node, std::optional<ExpressionId> computed) {
        bool made = false;
        for (auto const output : list_of(member(node, "outputs"), "outputs")) {
            auto const [kind, content] = only_member(output, "outputs");
            if (!kind.starts_with("as_sym_")) continue;
            auto const [inner, value] = only_member(content, "outputs");
            if (inner == "as_name") make_number(scope, text_of(value, "as_name"), computed);
            made = true;
        }
        return made;
    }

    void read_function_of_numbers(Scope& scope, element node, std::string_view target) {
        std::vector<ExpressionId> arguments;
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            if (auto const number = number_of_argument(scope, member(input, "arg"))) {
                arguments.push_back(*number);
            }
        }
        auto const function = shape_function_named(target);
        std::optional<ExpressionId> computed;
        if (function && takes(*function, arguments.size())) {
            computed = shapes_.expressions().call(*function, std::move(arguments));
        }
        if (!make_numbers(scope, node, computed)) {
            refuse("calls " + std::string{target} + ", which returns no number here",
                   "a function of sizes or other numbers");
        }
    }

    /// `aten.sym_size.int` and its kin, and assertions: no kernel runs.
    bool read_shape_call(Scope& scope, element node, std::string_view target) {
        if (target == "torch.ops.aten._assert_scalar.default") {
            for (auto const input : list_of(member(node, "inputs"), "inputs")) {
                auto const condition = number_of_argument(scope, member(input, "arg"));
                if (condition) result_.conditions.push_back({sentence_of(node), condition});
            }
            return true;
        }
        if (target.starts_with("torch.ops.aten.sym_constrain_range")) return true;
        if (!target.starts_with("torch.ops.aten.sym_")) return false;
        std::optional<ExpressionId> computed;
        if (target == "torch.ops.aten.sym_size.int") {
            std::optional<ValueId> of;
            std::int64_t dimension = 0;
            for (auto const input : list_of(member(node, "inputs"), "inputs")) {
                auto const [kind, content] = only_member(member(input, "arg"), "arg");
                if (kind == "as_tensor") of = tensor_named_by(scope, content);
                if (kind == "as_int") dimension = integer_of(content, "dim");
            }
            if (of) computed = size_of(*of, dimension);
        }
        make_numbers(scope, node, computed);
        return true;
    }

    /// An assertion's own words, or its name.
    [[nodiscard]] std::string sentence_of(element node) const {
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            auto const [kind, content] = only_member(member(input, "arg"), "arg");
            if (kind == "as_string") return std::string{text_of(content, "arg")};
        }
        return "an assertion of the graph";
    }

    /// Empty where the tensor has no such dimension.
    [[nodiscard]] std::optional<ExpressionId> size_of(ValueId id, std::int64_t dimension) {
        auto const& sizes = value_of(id).sizes;
        if (dimension < 0) dimension += static_cast<std::int64_t>(sizes.size());
        if (dimension < 0 || dimension >= static_cast<std::int64_t>(sizes.size())) {
            return std::nullopt;
        }
        for (auto const& slot : result_.slots) {
            if (slot.place == ShapeSlot::Place::size && slot.owner == id &&
                slot.position == dimension) {
                return slot.expression;
            }
        }
        return shapes_.expressions().constant(
            ShapeValue::of_integer(sizes[static_cast<std::size_t>(dimension)]));
    }

    void read_node(Scope& scope, element node, std::string_view target) {
        if (computes_with_numbers(target)) return read_function_of_numbers(scope, node, target);
        if (!target.starts_with("torch.ops.")) {
            refuse("calls " + std::string{target} + ", which is no operator of PyTorch",
                   "an export of operators alone: torch.vmap, for example, leaves calls of its own; "
                   "decompose the program first (run_decompositions())");
        }
        if (read_shape_call(scope, node, target)) return;
        ProgramNode read{.target = std::string{target},
                         .name = {},
                         .module = module_of(node),
                         .arguments = {},
                         .outputs = {}};
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            auto const position = static_cast<std::int32_t>(read.arguments.size());
            read.arguments.push_back({.name = std::string{text_of(member(input, "name"), "name")},
                                      .value = argument_of(scope, member(input, "arg"))});
            for (auto& slot : argument_slots_) {
                slot.owner = static_cast<std::int32_t>(program_.nodes.size());
                slot.position = position;
                result_.slots.push_back(slot);
            }
            argument_slots_.clear();
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
            } else if (kind == "as_none" || kind.starts_with("as_sym_")) {
                read.outputs.emplace_back(std::monostate{});
            } else {
                refuse("returns " + std::string{kind.substr(kind.starts_with("as_") ? 3 : 0)} +
                           ", whose value the data decides",
                       "an operator that returns tensors");
            }
        }
        make_numbers(scope, node, std::nullopt);
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

    /// The path of the innermost module: of "key,path,class;key,path,class" the last path.
    [[nodiscard]] static std::string module_of(element node) {
        std::string_view stack;
        if (node["metadata"]["nn_module_stack"].get(stack) != simdjson::SUCCESS) return {};
        stack.remove_prefix(stack.rfind(';') + 1);  // npos + 1 is 0
        auto const begin = stack.find(',');
        if (begin == std::string_view::npos) return {};
        auto path = stack.substr(begin + 1);
        path = path.substr(0, path.find(','));
        constexpr std::string_view of_older_writers = "L['self'].";
        if (path.starts_with(of_older_writers)) path.remove_prefix(of_older_writers.size());
        return std::string{path};
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
        bool const is_grad_region = target == "torch.ops.higher_order.wrap_with_set_grad_enabled";
        bool const is_autocast_region = target == "torch.ops.higher_order.wrap_with_autocast";
        if (!is_grad_region && !is_autocast_region) {
            refuse("calls " + std::string{target}, control_flow);
        }
        auto const region_place = place();
        std::optional<element> region;
        std::vector<element> arguments;
        std::vector<bool> flags;
        for (auto const input : list_of(member(node, "inputs"), "inputs")) {
            auto const [kind, content] = only_member(member(input, "arg"), "arg");
            if (kind == "as_graph") {
                region = content;
            } else if (region) {
                arguments.push_back(member(input, "arg"));
            } else if (kind == "as_bool") {
                flags.push_back(flag_of(content, "arg"));
            }
        }
        if (!region) refuse("a region without a graph", "the graph of an exported program");
        // Autocast's flags are whether it is on and whether it caches weights.
        if (is_autocast_region && (flags.empty() || flags.front())) {
            refuse("an autocast region", "a model converted to its precision before torch.export");
        }
        auto const graph = member(*region, "graph");
        auto inner = scope_of(graph);
        inner.prefix = scope.prefix + std::string{text_of(member(*region, "name"), "name")} + ".";
        std::size_t bound = 0;
        for (auto const input : list_of(member(graph, "inputs"), "inputs")) {
            if (bound == arguments.size()) refuse("a region lacks arguments", "one an input");
            hand_over(scope, arguments[bound++], inner, input);
        }
        read_nodes(inner, graph, region_place + "/graph/nodes/");
        go_to(region_place);

        std::vector<element> names;
        for (auto const output : list_of(member(node, "outputs"), "outputs")) {
            auto const [kind, content] = only_member(output, "outputs");
            if (kind == "as_tensors") {
                for (auto const tensor : list_of(content, "as_tensors")) names.push_back(tensor);
            } else {
                names.push_back(output);
            }
        }
        auto const results = list_of(member(graph, "outputs"), "outputs");
        if (names.size() != results.size()) refuse("a region's results do not match", "one each");
        std::size_t result = 0;
        for (auto const given : results) hand_over(inner, given, scope, names[result++]);
    }

    /// Gives a tensor or number of one graph the name by which another knows it.
    void hand_over(Scope const& from, element given, Scope& to, element taken) {
        auto const [kind, content] = only_member(given, "arg");
        if (kind == "as_tensor") {
            // In a list of results the name stands without its kind.
            element named;
            if (taken["name"].get(named) != simdjson::SUCCESS) {
                named = member(only_member(taken, "arg").second, "name");
            }
            to.values.insert_or_assign(text_of(named, "name"), tensor_named_by(from, content));
            return;
        }
        auto const number = number_of_argument(from, given);
        if (!number) refuse("a region takes or returns " + std::string{kind}, control_flow);
        auto const [taken_kind, taken_content] = only_member(taken, "arg");
        if (!taken_kind.starts_with("as_sym_")) return;  // a number that the region holds itself
        to.numbers.insert_or_assign(text_of(only_member(taken_content, "arg").second, "as_name"),
                                    *number);
    }

    /// A number of an argument, item `item` of a list; where it follows from symbols it is 0 for
    /// now.
    template <class Number>
    Number number_or_slot(Scope const& scope, element value, std::size_t item) {
        auto const [kind, content] = only_member(value, "argument");
        std::optional<ExpressionId> expression;
        if (kind == "as_name") expression = number_named(scope, text_of(content, "as_name"));
        if (kind == "as_expr") expression = shapes_.expression_of(*this, value);
        if (expression) {
            argument_slots_.push_back({.place = ShapeSlot::Place::argument,
                                       .item = static_cast<std::int32_t>(item),
                                       .expression = *expression});
            return {};
        }
        if constexpr (std::is_same_v<Number, bool>) return flag_of(content, "argument");
        if constexpr (std::is_same_v<Number, double>) return number_of(content, "argument");
        if constexpr (std::is_same_v<Number, std::int64_t>) return integer_of(content, "argument");
    }
    template <class Number>
    std::vector<Number> numbers_or_slots(Scope const& scope, element list) {
        std::vector<Number> numbers;
        for (auto const value : list_of(list, "argument")) {
            numbers.push_back(number_or_slot<Number>(scope, value, numbers.size()));
        }
        return numbers;
    }

    [[nodiscard]] ArgumentValue argument_of(Scope const& scope, element argument) {
        auto const [kind, content] = only_member(argument, "arg");
        auto const integer = [this](element v) { return integer_of(v, "argument"); };
        auto const number = [this](element v) { return number_of(v, "argument"); };
        auto const flag = [this](element v) { return flag_of(v, "argument"); };
        auto const text = [this](element v) { return std::string{text_of(v, "argument")}; };
        auto const tensor = [&](element v) { return tensor_named_by(scope, v); };
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
        if (kind == "as_sym_int") return number_or_slot<std::int64_t>(scope, content, 0);
        if (kind == "as_sym_float") return number_or_slot<double>(scope, content, 0);
        if (kind == "as_sym_bool") return number_or_slot<bool>(scope, content, 0);
        if (kind == "as_sym_ints") return numbers_or_slots<std::int64_t>(scope, content);
        if (kind == "as_sym_floats") return numbers_or_slots<double>(scope, content);
        if (kind == "as_sym_bools") return numbers_or_slots<bool>(scope, content);
        refuse("argument of kind " + std::string{kind} + " is not supported",
               "operators on tensors, numbers and strings");
    }

    void read_ranges(element root) {
        object ranges;
        if (root["range_constraints"].get(ranges) != simdjson::SUCCESS) return;
        go_to("/range_constraints");
        auto const bound = [this](element range, char const* key) -> std::optional<std::int64_t> {
            element value;
            std::int64_t number = 0;
            bool const is_number = range[key].get(value) == simdjson::SUCCESS &&
                                   value.get(number) == simdjson::SUCCESS;
            return is_number ? std::optional{number} : std::nullopt;  // null or "inf": unbounded
        };
        for (auto const [text, range] : ranges) {
            result_.ranges.push_back(
                {.text = std::string{text},
                 .expression = parse_shape_expression(text, Division::exact, shapes_.expressions(),
                                                      {}, location()),
                 .least = bound(range, "min_val"),
                 .most = bound(range, "max_val")});
        }
        go_to({});
    }

    void read_guards(element root) {
        array guards;
        if (root["guards_code"].get(guards) != simdjson::SUCCESS) return;
        go_to("/guards_code");
        ShapeNames const names = [this](std::string_view path,
                                        std::optional<std::int64_t> dimension) {
            return meaning_of(path, dimension);
        };
        for (auto const guard : guards) {
            ShapeCondition condition{.text = std::string{text_of(guard, "guards_code")},
                                     .expression = {}};
            try {
                condition.expression = parse_shape_expression(
                    condition.text, Division::real, shapes_.expressions(), names, location());
            } catch (InputError const&) {
                // Guards of values that are no sizes: bind() says that it was not checked.
                condition.expression.reset();
            }
            result_.conditions.push_back(std::move(condition));
        }
        go_to({});
    }

    /// "L['x']" and a dimension, "L['n']" without: an input as guards name it. Members of lists and
    /// dictionaries have the names of all their levels; those of keyword arguments the last one.
    [[nodiscard]] std::optional<ExpressionId> meaning_of(std::string_view path,
                                                         std::optional<std::int64_t> dimension) {
        std::vector<std::string> steps;
        for (auto at = path.find('['); at != std::string_view::npos; at = path.find('[', at + 1)) {
            auto step = path.substr(at + 1, path.find(']', at) - at - 1);
            if (step.size() >= 2 && (step.front() == '\'' || step.front() == '"')) {
                step = step.substr(1, step.size() - 2);
            }
            steps.emplace_back(step);
        }
        if (steps.empty()) return std::nullopt;
        std::string joined;
        for (auto const& step : steps) joined += (joined.empty() ? "" : "_") + step;
        std::vector<std::string> names{joined, steps.back()};
        if (steps.front() == "flat_args") {
            auto const position = std::strtoul(steps.back().c_str(), nullptr, 10);
            if (position >= flat_inputs_.size()) return std::nullopt;
            names = {flat_inputs_[position]};
        }
        // The whole path first: another input may have the name of its last step.
        for (auto const& name : names) {
            if (!dimension) {
                auto const number = result_.number_inputs.find(name);
                if (number != result_.number_inputs.end()) return number->second;
                continue;
            }
            for (auto const& input : program_.inputs) {
                if (input.kind == InputKind::user_input && input.name == name) {
                    return size_of(input.value, *dimension);
                }
            }
        }
        return std::nullopt;
    }

    SymbolicProgram result_;
    ExportedProgram& program_ = result_.program;
    GraphShapes shapes_{result_.expressions};
    std::vector<std::string> flat_inputs_;   ///< names of the user's inputs; empty: of a constant
    std::vector<ShapeSlot> argument_slots_;  ///< of the argument that is being read
};

}  // namespace

SymbolicProgram parse_symbolic_program(std::string_view model_json, std::string_view where) {
    return GraphReader{where}.read(model_json);
}

}  // namespace derate
