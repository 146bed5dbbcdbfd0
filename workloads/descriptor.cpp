#include "workloads/descriptor.hpp"

#include <array>
#include <charconv>
#include <map>

#include "core/input_error.hpp"
#include "core/subgraph.hpp"

namespace derate {
namespace {

constexpr std::string_view separator = " | ";
constexpr std::int64_t most_elements = std::int64_t{1} << 48U;  ///< of a tensor, as in exports

std::vector<std::int64_t> dense_strides(std::vector<std::int64_t> const& sizes) {
    std::vector<std::int64_t> strides(sizes.size(), 1);
    for (std::size_t i = sizes.size(); i-- > 1;) {
        strides[i - 1] = strides[i] * std::max<std::int64_t>(sizes[i], 1);
    }
    return strides;
}

void append(std::string& text, std::int64_t value) { text += std::to_string(value); }

/// The shortest digits that read back as the same number, never mistaken for an integer.
void append(std::string& text, double value) {
    std::array<char, 32> digits;
    auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    std::string_view const written{digits.data(), static_cast<std::size_t>(end - digits.data())};
    text += written;
    if (written.find_first_of(".en") == std::string_view::npos) text += ".0";
}

void append(std::string& text, bool value) { text += value ? "true" : "false"; }

void append(std::string& text, std::string const& value) {
    text += '"';
    for (char const c : value) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    text += '"';
}

template <class Items, class Append>
void append_list(std::string& text, std::string_view open, Items const& items, char close,
                 Append append_item) {
    text += open;
    bool first = true;
    for (auto const& item : items) {
        if (!first) text += ',';
        first = false;
        append_item(item);
    }
    text += close;
}

class Writer {
  public:
    explicit Writer(ExportedProgram const& program) : program_{program} {}

    std::string write() {
        bool first = true;
        for (auto const& input : program_.inputs) {
            if (!first) text_ += ' ';
            first = false;
            declare(input.value);
            if (!input.values.empty()) (text_ += '~') += input.values;
        }
        for (auto const& node : program_.nodes) {
            text_ += separator;
            write_node(node);
        }
        text_ += separator;
        append_list(text_, "", program_.outputs, ' ', [this](ValueId id) { text_ += name(id); });
        text_.pop_back();
        return std::move(text_);
    }

  private:
    [[nodiscard]] std::string const& name(ValueId id) const {
        return program_.values.at(static_cast<std::size_t>(id)).name;
    }

    void declare(ValueId id) {
        auto const& value = program_.values.at(static_cast<std::size_t>(id));
        text_ += value.name;
        text_ += ':';
        text_ += to_string(value.dtype);
        auto const write_extent = [this](std::int64_t extent) { append(text_, extent); };
        append_list(text_, "[", value.sizes, ']', write_extent);
        if (value.strides != dense_strides(value.sizes)) {
            append_list(text_, "/[", value.strides, ']', write_extent);
        }
    }

    void write_node(ProgramNode const& node) {
        bool first = true;
        for (auto const& output : node.outputs) {
            if (!first) text_ += ',';
            first = false;
            if (auto const* tensor = std::get_if<TensorArgument>(&output)) {
                declare(tensor->value);
            } else if (auto const* list = std::get_if<TensorListArgument>(&output)) {
                append_list(text_, "{", list->values, '}', [this](ValueId id) { declare(id); });
            } else {
                text_ += '_';
            }
        }
        text_ += '=';
        text_ += operator_namespace(node);
        text_ += '.';
        text_ += operator_name(node);
        if (operator_overload(node) != "default") {
            text_ += '.';
            text_ += operator_overload(node);
        }
        append_list(text_, "(", node.arguments, ')', [this](NamedArgument const& argument) {
            text_ += argument.name;
            text_ += '=';
            std::visit([this](auto const& value) { write_argument(value); }, argument.value);
        });
    }

    void write_argument(std::monostate) { text_ += "none"; }
    void write_argument(TensorArgument tensor) { text_ += name(tensor.value); }
    void write_argument(TensorListArgument const& list) {
        append_list(text_, "{", list.values, '}', [this](ValueId id) { text_ += name(id); });
    }
    void write_argument(OptionalTensorListArgument const& list) {
        append_list(text_, "?{", list.values, '}',
                    [this](std::optional<ValueId> id) { text_ += id ? name(*id) : "_"; });
    }
    void write_argument(bool value) { append(text_, value); }
    void write_argument(std::int64_t value) { append(text_, value); }
    void write_argument(double value) { append(text_, value); }
    void write_argument(std::string const& value) { append(text_, value); }
    void write_argument(std::vector<std::int64_t> const& list) { write_items("[", list); }
    void write_argument(std::vector<bool> const& list) { write_items("b[", list); }
    void write_argument(std::vector<double> const& list) { write_items("f[", list); }
    void write_argument(std::vector<std::string> const& list) { write_items("s[", list); }
    void write_argument(ScalarType type) { (text_ += "dtype:") += to_string(type); }
    void write_argument(Layout) { text_ += "layout:strided"; }
    void write_argument(MemoryFormat format) { (text_ += "memory:") += to_string(format); }
    void write_argument(Device const& device) {
        (text_ += "device:") += device.type;
        if (device.index) (text_ += ':') += std::to_string(*device.index);
    }
    template <class T>
    void write_items(std::string_view open, std::vector<T> const& list) {
        append_list(text_, open, list, ']', [this](T const& item) { append(text_, item); });
    }

    ExportedProgram const& program_;
    std::string text_;
};

class Parser {
  public:
    explicit Parser(std::string_view text) : text_{text} {}

    ExportedProgram parse() {
        while (!at(separator)) {
            auto const id = parse_declaration();
            auto const& name = program_.values.back().name;
            program_.inputs.push_back(
                {.kind = name.starts_with('x') ? InputKind::user_input : InputKind::parameter,
                 .value = id,
                 .name = name,
                 .values = accept("~") ? parse_values_word() : std::string{}});
            if (!at(separator)) expect(" ");
        }
        expect(separator);
        while (text_.find('=', position_) != std::string_view::npos) {  // outputs hold none
            parse_node();
            expect(separator);
        }
        while (position_ < text_.size()) {
            program_.outputs.push_back(parse_known_value());
            if (position_ < text_.size()) expect(",");
        }
        return std::move(program_);
    }

  private:
    [[noreturn]] void refuse(std::string_view required) const {
        throw InputError{"descriptor, character " + std::to_string(position_),
                         position_ < text_.size()
                             ? "unexpected \"" + std::string{text_.substr(position_, 12)} + "\""
                             : "unexpected end",
                         required};
    }
    [[nodiscard]] bool at(std::string_view word) const {
        return text_.substr(position_).starts_with(word);
    }
    bool accept(std::string_view word) {
        if (!at(word)) return false;
        position_ += word.size();
        return true;
    }
    void expect(std::string_view word) {
        if (!accept(word)) refuse("\"" + std::string{word} + "\"");
    }

    std::string_view parse_word() {
        auto const start = position_;
        while (position_ < text_.size()) {
            auto const c = static_cast<unsigned char>(text_[position_]);
            if (std::isalnum(c) == 0 && c != '_') break;
            ++position_;
        }
        if (start == position_) refuse("a name");
        return text_.substr(start, position_ - start);
    }

    template <class T>
    T parse_number() {
        T number{};
        auto const* begin = text_.data() + position_;
        auto const [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
        if (error != std::errc{}) refuse("a number");
        position_ += static_cast<std::size_t>(end - begin);
        return number;
    }

    bool parse_flag() {
        if (accept("true")) return true;
        expect("false");
        return false;
    }

    std::string parse_quoted() {
        expect("\"");
        std::string text;
        while (!at("\"")) {
            accept("\\");
            if (position_ >= text_.size()) refuse("'\"'");
            text += text_[position_++];
        }
        expect("\"");
        return text;
    }

    /// Items between `open`, which is still to be read, and `close`.
    template <class Item>
    auto parse_list(std::string_view open, std::string_view close, Item item) {
        std::vector<decltype(item())> items;
        expect(open);
        while (!accept(close)) {
            if (!items.empty()) expect(",");
            items.push_back(item());
        }
        return items;
    }

    ValueId parse_declaration() {
        TensorValue value;
        value.name = parse_word();
        expect(":");
        auto const dtype = parse_scalar_type(parse_word());
        if (!dtype) refuse("a dtype before this");
        value.dtype = *dtype;
        auto const extent = [this] { return parse_number<std::int64_t>(); };
        value.sizes = parse_list("[", "]", extent);
        std::int64_t elements = 1;
        for (auto const size : value.sizes) {
            if (size < 0 ||
                __builtin_mul_overflow(elements, std::max<std::int64_t>(size, 1), &elements) ||
                elements > most_elements) {
                refuse("sizes of at most 2^48 elements");
            }
        }
        value.strides = at("/") ? parse_list("/[", "]", extent) : dense_strides(value.sizes);
        if (value.strides.size() != value.sizes.size()) refuse("as many strides as sizes");
        auto const id = static_cast<ValueId>(program_.values.size());
        if (!ids_.emplace(value.name, id).second) refuse("one tensor a name");
        program_.values.push_back(std::move(value));
        return id;
    }

    /// "causal", "ids:30522"
    std::string parse_values_word() {
        std::string word{parse_word()};
        if (accept(":")) (word += ':') += parse_word();
        return word;
    }

    ValueId parse_known_value() {
        auto const found = ids_.find(parse_word());
        if (found == ids_.end()) refuse("a tensor that was declared");
        return found->second;
    }

    void parse_node() {
        ProgramNode node;
        while (!accept("=")) {
            if (!node.outputs.empty()) expect(",");
            if (at("{")) {
                node.outputs.emplace_back(TensorListArgument{
                    parse_list("{", "}", [this] { return parse_declaration(); })});
            } else if (at("_,") || at("_=")) {
                expect("_");
                node.outputs.emplace_back(std::monostate{});
            } else {
                node.outputs.emplace_back(TensorArgument{parse_declaration()});
            }
        }
        node.target = "torch.ops.";
        node.target += parse_word();
        expect(".");
        (node.target += '.') += parse_word();
        node.target += '.';
        node.target += accept(".") ? parse_word() : std::string_view{"default"};
        node.arguments = parse_list("(", ")", [this] {
            NamedArgument argument{.name = std::string{parse_word()}, .value = {}};
            expect("=");
            argument.value = parse_argument();
            return argument;
        });
        program_.nodes.push_back(std::move(node));
    }

    ArgumentValue parse_argument() {
        auto const known = [this] { return parse_known_value(); };
        auto const number = [this] { return parse_number<double>(); };
        if (at("none")) return expect("none"), std::monostate{};
        if (at("true") || at("false")) return parse_flag();
        if (at("\"")) return parse_quoted();
        if (at("{")) return TensorListArgument{parse_list("{", "}", known)};
        if (at("?{")) {
            return OptionalTensorListArgument{
                parse_list("?{", "}", [&]() -> std::optional<ValueId> {
                    if (accept("_")) return std::nullopt;
                    return known();
                })};
        }
        if (at("[")) {
            return parse_list("[", "]", [this] { return parse_number<std::int64_t>(); });
        }
        if (at("f[")) return parse_list("f[", "]", number);
        if (at("b[")) return parse_list("b[", "]", [this] { return parse_flag(); });
        if (at("s[")) return parse_list("s[", "]", [this] { return parse_quoted(); });
        if (accept("dtype:")) {
            auto const dtype = parse_scalar_type(parse_word());
            if (!dtype) refuse("a dtype before this");
            return *dtype;
        }
        if (accept("layout:strided")) return Layout::strided;
        if (accept("memory:")) {
            auto const word = parse_word();
            for (auto const format : {MemoryFormat::contiguous, MemoryFormat::channels_last,
                                      MemoryFormat::channels_last_3d, MemoryFormat::preserve}) {
                if (to_string(format) == word) return format;
            }
            refuse("a memory format before this");
        }
        if (accept("device:")) {
            Device device{.type = std::string{parse_word()}, .index = {}};
            if (accept(":")) device.index = parse_number<std::int64_t>();
            return device;
        }
        if (at("x") || at("w") || at("t")) return TensorArgument{known()};
        // "12" is an integer; "12.0", "1e-05", "inf" and "nan" are not.
        auto const end = std::min(text_.find_first_of(",)", position_), text_.size());
        auto const word = text_.substr(position_, end - position_);
        if (word.find_first_of(".en") != std::string_view::npos) return number();
        return parse_number<std::int64_t>();
    }

    std::string_view text_;
    std::size_t position_ = 0;
    ExportedProgram program_;
    std::map<std::string, ValueId, std::less<>> ids_;
};

}  // namespace

ExportedProgram extract_subgraph(ExportedProgram const& program, ProgramSubgraph const& subgraph) {
    ExportedProgram extracted;
    std::map<ValueId, ValueId> renamed;
    auto const adopt = [&](ValueId id, std::string name) {
        auto value = program.values.at(static_cast<std::size_t>(id));
        value.name = std::move(name);
        value.storage_offset = 0;
        auto const adopted = static_cast<ValueId>(extracted.values.size());
        extracted.values.push_back(std::move(value));
        renamed.emplace(id, adopted);
        return adopted;
    };
    auto const numbered = [](char prefix, std::size_t number) {
        return std::string(1, prefix).append(std::to_string(number));
    };
    auto const adopt_input = [&](ValueId id, char prefix, std::size_t number, InputKind kind) {
        auto const name = numbered(prefix, number);
        auto const values = subgraph.values.find(id);
        extracted.inputs.push_back(
            {.kind = kind,
             .value = adopt(id, name),
             .name = name,
             .values = values == subgraph.values.end() ? std::string{} : values->second});
    };
    for (std::size_t i = 0; i < subgraph.activations.size(); ++i) {
        adopt_input(subgraph.activations[i], 'x', i, InputKind::user_input);
    }
    for (std::size_t i = 0; i < subgraph.weights.size(); ++i) {
        adopt_input(subgraph.weights[i], 'w', i, InputKind::parameter);
    }
    std::size_t made = 0;
    for (auto const index : subgraph.nodes) {
        auto node = program.nodes.at(static_cast<std::size_t>(index));
        node.name.clear();
        node.module.clear();
        for (auto& argument : node.arguments) {
            if (auto* tensor = std::get_if<TensorArgument>(&argument.value)) {
                tensor->value = renamed.at(tensor->value);
            } else if (auto* list = std::get_if<TensorListArgument>(&argument.value)) {
                for (auto& id : list->values) id = renamed.at(id);
            } else if (auto* optional = std::get_if<OptionalTensorListArgument>(&argument.value)) {
                for (auto& id : optional->values) {
                    if (id) id = renamed.at(*id);
                }
            }
        }
        for (auto& output : node.outputs) {
            auto const make = [&](ValueId id) { return adopt(id, numbered('t', made++)); };
            if (auto* tensor = std::get_if<TensorArgument>(&output)) {
                tensor->value = make(tensor->value);
            } else if (auto* list = std::get_if<TensorListArgument>(&output)) {
                for (auto& id : list->values) id = make(id);
            }
        }
        extracted.nodes.push_back(std::move(node));
    }
    for (auto const id : subgraph.outputs) extracted.outputs.push_back(renamed.at(id));
    return extracted;
}

std::string format_descriptor(ExportedProgram const& extracted) {
    return Writer{extracted}.write();
}

ExportedProgram parse_descriptor(std::string_view descriptor) { return Parser{descriptor}.parse(); }

std::string case_name(OperationType type, std::string_view descriptor) {
    return std::string{to_string(type)} + "/" + descriptor_hash(descriptor);
}

}  // namespace derate
