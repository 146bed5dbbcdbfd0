#include "workloads/pickle.hpp"

#include <charconv>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/input_error.hpp"

namespace derate {
namespace {

/// Index into Machine::values_. Values refer to others by it, so that neither reading nor freeing
/// them recurses, however deep the pickle nests and whatever refers to itself.
using Id = std::uint32_t;

struct Nothing {};  ///< None, and what is read but has no meaning here: floats, bytes, sets
struct Sequence {
    std::vector<Id> items;
};
struct Dictionary {
    std::vector<std::pair<Id, Id>> items;
};
struct Callable {
    std::string_view module;
    std::string_view name;

    [[nodiscard]] std::string full_name() const {
        return std::string{module} + "." + std::string{name};
    }
    [[nodiscard]] bool is(std::string_view m, std::string_view n) const {
        return module == m && name == n;
    }
};
struct Call {  ///< what Python would call; looked at when somebody asks for its result
    Id callable;
    Id arguments;
};
struct Storage {
    std::optional<ScalarType> dtype;  ///< empty of an untyped one
    std::string_view key;
};

using Value = std::variant<Nothing, bool, std::int64_t, std::string_view, Sequence, Dictionary,
                           Callable, Call, Storage>;

// A tensor takes a dozen values. The limits bound the memory that a text of few bytes an
// instruction can ask for.
constexpr std::size_t value_limit = 3'000'000;
constexpr std::size_t tensor_limit = 200'000;
constexpr std::size_t name_limit = 4096;
constexpr std::size_t dimension_limit = 64;

/// torch.LongStorage and its like.
std::optional<ScalarType> dtype_of_storage(std::string_view name) {
    static std::map<std::string_view, ScalarType> const types{
        {"ByteStorage", ScalarType::uint8},    {"CharStorage", ScalarType::int8},
        {"ShortStorage", ScalarType::int16},   {"IntStorage", ScalarType::int32},
        {"LongStorage", ScalarType::int64},    {"HalfStorage", ScalarType::float16},
        {"FloatStorage", ScalarType::float32}, {"DoubleStorage", ScalarType::float64},
        {"BoolStorage", ScalarType::boolean},  {"BFloat16Storage", ScalarType::bfloat16},
    };
    auto const found = types.find(name);
    if (found == types.end()) return std::nullopt;
    return found->second;
}

/// The pickle machine of Python's documentation (Lib/pickletools.py), protocols 1 to 5, without
/// the means to call anything.
class Machine {
  public:
    Machine(std::string_view text, std::string_view where) : text_{text}, where_{where} {}

    std::map<std::string, PickledValue> run() {
        while (step(static_cast<unsigned char>(take(1)[0]))) {
        }
        return tensors_of(pop());
    }

  private:
    [[noreturn]] void refuse(std::string_view problem) const {
        throw InputError{where_, problem, "what torch.save writes of a dictionary of tensors"};
    }

    // --- the text ---

    std::string_view take(std::uint64_t count) {
        if (count > text_.size() - position_) refuse("damaged pickle: it ends too early");
        auto const taken = text_.substr(position_, count);
        position_ += count;
        return taken;
    }

    std::uint64_t take_unsigned(std::size_t bytes) {
        std::uint64_t number = 0;
        auto const taken = take(bytes);
        for (std::size_t i = bytes; i-- > 0;) {
            number = number << 8 | static_cast<unsigned char>(taken[i]);
        }
        return number;
    }

    std::string_view take_line() {
        auto const end = text_.find('\n', position_);
        if (end == std::string_view::npos) refuse("damaged pickle: it ends too early");
        auto const line = text_.substr(position_, end - position_);
        position_ = end + 1;
        return line;
    }

    /// "12", "01" for True in protocol 1, "12L" of a long.
    Value number_of_line(bool is_long) {
        auto line = take_line();
        if (!is_long && (line == "00" || line == "01")) return line == "01";
        if (is_long && line.ends_with('L')) line.remove_suffix(1);
        std::int64_t number = 0;
        auto const [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
        if (error == std::errc::result_out_of_range) return Nothing{};
        if (error != std::errc{} || end != line.data() + line.size()) {
            refuse("damaged pickle: a number that is none");
        }
        return number;
    }

    /// A two's complement number of any length; longer ones than a size has mean nothing here.
    Value long_of(std::uint64_t bytes) {
        auto const taken = take(bytes);
        if (bytes > sizeof(std::int64_t)) return Nothing{};
        std::uint64_t number = !taken.empty() && (taken.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
        for (std::size_t i = taken.size(); i-- > 0;) {
            number = number << 8 | static_cast<unsigned char>(taken[i]);
        }
        return static_cast<std::int64_t>(number);
    }

    // --- the stack ---

    Id push(Value value) {
        if (values_.size() == value_limit) refuse("more than 3,000,000 values");
        values_.push_back(std::move(value));
        stack_.push_back(static_cast<Id>(values_.size() - 1));
        return stack_.back();
    }

    Id pop() {
        auto const floor = marks_.empty() ? 0 : marks_.back();
        if (stack_.size() <= floor) refuse("damaged pickle: its stack is empty");
        auto const id = stack_.back();
        stack_.pop_back();
        return id;
    }

    Id top() {
        auto const id = pop();
        stack_.push_back(id);
        return id;
    }

    /// All that was pushed since the last mark.
    std::vector<Id> pop_to_mark() {
        if (marks_.empty()) refuse("damaged pickle: a mark is missing");
        auto const begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<Id> items(begin, stack_.end());
        stack_.erase(begin, stack_.end());
        marks_.pop_back();
        return items;
    }

    void push_last(std::size_t count) {
        Sequence sequence;
        sequence.items.resize(count);
        for (std::size_t i = count; i-- > 0;) sequence.items[i] = pop();
        push(std::move(sequence));
    }

    void recall(std::uint64_t index) {
        auto const found = memo_.find(index);
        if (found == memo_.end()) refuse("damaged pickle: recalls what it never kept");
        stack_.push_back(found->second);
    }

    void append(std::vector<Id> const& items) {
        // A set's or an opaque object's items are dropped.
        if (auto* const list = std::get_if<Sequence>(&values_[top()])) {
            list->items.insert(list->items.end(), items.begin(), items.end());
        }
    }

    void set_items(std::vector<Id> const& items) {
        if (items.size() % 2 != 0) refuse("damaged pickle: a key without a value");
        auto* const dictionary = std::get_if<Dictionary>(&values_[top()]);
        if (dictionary == nullptr) return;
        for (std::size_t i = 0; i < items.size(); i += 2) {
            dictionary->items.emplace_back(items[i], items[i + 1]);
        }
    }

    template <class T>
    [[nodiscard]] T const* as(Id id) const {
        return std::get_if<T>(&values_[id]);
    }

    // --- what a call would make ---

    [[nodiscard]] std::optional<std::int64_t> extent_of(Id id) const {
        constexpr std::int64_t largest = std::int64_t{1} << 48;
        auto const* const number = as<std::int64_t>(id);
        if (number == nullptr || *number < 0 || *number > largest) return std::nullopt;
        return *number;
    }

    [[nodiscard]] std::optional<std::vector<std::int64_t>> extents_of(Id id) const {
        auto const* sequence = as<Sequence>(id);
        if (auto const* const call = as<Call>(id)) {  // torch.Size((2, 3))
            auto const* const arguments = as<Sequence>(call->arguments);
            if (arguments->items.size() == 1) sequence = as<Sequence>(arguments->items[0]);
        }
        if (sequence == nullptr || sequence->items.size() > dimension_limit) return std::nullopt;
        std::vector<std::int64_t> extents;
        for (auto const item : sequence->items) {
            auto const extent = extent_of(item);
            if (!extent) return std::nullopt;
            extents.push_back(*extent);
        }
        return extents;
    }

    /// (storage, offset, sizes, strides, ...), and a dtype where the storage has none.
    [[nodiscard]] std::optional<PickledTensor> tensor_of(std::vector<Id> const& arguments,
                                                         bool has_dtype) const {
        if (arguments.size() < (has_dtype ? 7 : 4)) return std::nullopt;
        auto const* const storage = as<Storage>(arguments[0]);
        auto const offset = extent_of(arguments[1]);
        auto sizes = extents_of(arguments[2]);
        auto strides = extents_of(arguments[3]);
        if (storage == nullptr || !offset || !sizes || !strides ||
            sizes->size() != strides->size()) {
            return std::nullopt;
        }
        auto dtype = storage->dtype;
        if (has_dtype) {
            auto const* const named = as<Callable>(arguments[6]);
            if (named == nullptr || named->module != "torch") return std::nullopt;
            dtype = parse_scalar_type(named->name);
        }
        if (!dtype) return std::nullopt;
        return PickledTensor{.storage = std::string{storage->key},
                             .layout = {.name = {},
                                        .dtype = *dtype,
                                        .sizes = *std::move(sizes),
                                        .strides = *std::move(strides),
                                        .storage_offset = *offset}};
    }

    [[nodiscard]] PickledValue result_of(Call call) const {
        constexpr int deepest = 4;  // a parameter of a tensor with attributes needs two
        std::string what = "an object";
        for (int depth = 0; depth < deepest; ++depth) {
            auto const* callable = as<Callable>(call.callable);
            auto const* arguments = as<Sequence>(call.arguments);
            if (callable == nullptr || arguments == nullptr) break;
            what = callable->full_name();
            if (callable->is("torch._tensor", "_rebuild_from_type_v2") &&
                arguments->items.size() == 4) {
                // (function, class, arguments, attributes)
                auto const* const type = as<Callable>(arguments->items[1]);
                if (type != nullptr) what = type->full_name();
                bool const is_plain =
                    type != nullptr &&
                    (type->is("torch", "Tensor") || type->is("torch.nn.parameter", "Parameter") ||
                     type->is("torch.nn.parameter", "Buffer"));
                if (!is_plain) break;
                call = {.callable = arguments->items[0], .arguments = arguments->items[2]};
                continue;
            }
            if (callable->module != "torch._utils") break;
            bool const has_dtype = callable->name == "_rebuild_tensor_v3";
            if (has_dtype || callable->name == "_rebuild_tensor_v2" ||
                callable->name == "_rebuild_tensor") {
                if (auto tensor = tensor_of(arguments->items, has_dtype)) return *std::move(tensor);
                break;
            }
            bool const is_parameter = callable->name == "_rebuild_parameter" ||
                                      callable->name == "_rebuild_parameter_with_state";
            if (!is_parameter || arguments->items.empty()) break;
            auto const* const data = as<Call>(arguments->items[0]);
            if (data == nullptr) break;
            call = *data;
        }
        return NotPlain{what};
    }

    void call() {
        auto const arguments = pop();
        auto const called = pop();
        if (as<Sequence>(arguments) == nullptr) {
            refuse("damaged pickle: arguments that are no tuple");
        }
        if (auto const* const callable = as<Callable>(called)) {
            if (callable->is("collections", "OrderedDict")) {
                push(Dictionary{});
                return;
            }
            auto const package = callable->module.substr(0, callable->module.find('.'));
            if (package != "torch" && package != "torchao" && package != "collections") {
                refuse("calls " + callable->full_name() + ", which is not run");
            }
        }
        push(Call{.callable = called, .arguments = arguments});
    }

    /// ("storage", class, key, device, elements)
    void push_persistent() {
        auto const* const parts = as<Sequence>(pop());
        if (parts == nullptr || parts->items.size() < 3) refuse("names a storage in another way");
        auto const* const word = as<std::string_view>(parts->items[0]);
        auto const* const type = as<Callable>(parts->items[1]);
        auto const* const key = as<std::string_view>(parts->items[2]);
        if (word == nullptr || *word != "storage" || type == nullptr || key == nullptr) {
            refuse("names a storage in another way");
        }
        check_length(*key);
        push(Storage{.dtype = dtype_of_storage(type->name), .key = *key});
    }

    void check_length(std::string_view name) const {
        if (name.size() > name_limit) refuse("a name of more than 4096 bytes");
    }

    void push_global(std::string_view module, std::string_view name) {
        check_length(module);
        check_length(name);
        push(Callable{.module = module, .name = name});
    }

    void push_named_on_stack() {
        auto const* const name = as<std::string_view>(pop());
        auto const* const module = as<std::string_view>(pop());
        if (name == nullptr || module == nullptr) refuse("damaged pickle: a name that is no text");
        push_global(*module, *name);
    }

    // --- instructions, by their codes in pickletools ---

    bool step(unsigned char code) {
        switch (code) {
            case 0x80:  // PROTO
                take(1);
                break;
            case 0x95:  // FRAME
                take(8);
                break;
            case '.':
                return false;
            case '(':
                marks_.push_back(stack_.size());
                break;
            case '0':
                static_cast<void>(pop());
                break;
            case '1':
                static_cast<void>(pop_to_mark());
                break;
            case '2':
                stack_.push_back(top());
                break;
            case 'N':
                push(Nothing{});
                break;
            case 0x88:
                push(true);
                break;
            case 0x89:
                push(false);
                break;
            case 'I':
                push(number_of_line(false));
                break;
            case 'L':
                push(number_of_line(true));
                break;
            case 'J':
                push(std::int64_t{static_cast<std::int32_t>(take_unsigned(4))});
                break;
            case 'K':
                push(static_cast<std::int64_t>(take_unsigned(1)));
                break;
            case 'M':
                push(static_cast<std::int64_t>(take_unsigned(2)));
                break;
            case 0x8a:
                push(long_of(take_unsigned(1)));
                break;
            case 0x8b:
                push(long_of(take_unsigned(4)));
                break;
            case 'F':
                take_line();
                push(Nothing{});
                break;
            case 'G':
                take(8);
                push(Nothing{});
                break;
            case 'V':
                push(take_line());
                break;
            case 'X':  // texts of Python 3, then byte strings, by the width of their length
            case 'T':
                push(take(take_unsigned(4)));
                break;
            case 0x8c:
            case 'U':
                push(take(take_unsigned(1)));
                break;
            case 0x8d:
                push(take(take_unsigned(8)));
                break;
            case 'C':
                take(take_unsigned(1));
                push(Nothing{});
                break;
            case 'B':
                take(take_unsigned(4));
                push(Nothing{});
                break;
            case 0x8e:
            case 0x96:
                take(take_unsigned(8));
                push(Nothing{});
                break;
            case ')':
            case ']':
                push(Sequence{});
                break;
            case 't':
            case 'l':
                push(Sequence{pop_to_mark()});
                break;
            case 0x85:
                push_last(1);
                break;
            case 0x86:
                push_last(2);
                break;
            case 0x87:
                push_last(3);
                break;
            case 'a':
                append({pop()});
                break;
            case 'e':
            case 0x90:
                append(pop_to_mark());
                break;
            case '}':
                push(Dictionary{});
                break;
            case 'd': {
                auto const items = pop_to_mark();
                push(Dictionary{});
                set_items(items);
                break;
            }
            case 's': {
                auto const value = pop();
                auto const key = pop();
                set_items({key, value});
                break;
            }
            case 'u':
                set_items(pop_to_mark());
                break;
            case 0x8f:  // a set, whose items nobody asks for
                push(Nothing{});
                break;
            case 0x91:
                static_cast<void>(pop_to_mark());
                push(Nothing{});
                break;
            case 'c': {
                auto const module = take_line();
                push_global(module, take_line());
                break;
            }
            case 0x93:
                push_named_on_stack();
                break;
            case 'R':
            case 0x81:
                call();
                break;
            case 0x92:  // keyword arguments
                static_cast<void>(pop());
                call();
                break;
            case 'b':  // the state of an object: attributes, which change no element
                static_cast<void>(pop());
                break;
            case 'p':
                keep(index_of_line());
                break;
            case 'q':
                keep(take_unsigned(1));
                break;
            case 'r':
                keep(take_unsigned(4));
                break;
            case 0x94:
                keep(memo_.size());
                break;
            case 'g':
                recall(index_of_line());
                break;
            case 'h':
                recall(take_unsigned(1));
                break;
            case 'j':
                recall(take_unsigned(4));
                break;
            case 'Q':
                push_persistent();
                break;
            default:
                refuse("pickle instruction " + std::to_string(code) + " is not understood");
        }
        return true;
    }

    std::uint64_t index_of_line() {
        auto const number = number_of_line(true);
        auto const* const index = std::get_if<std::int64_t>(&number);
        if (index == nullptr || *index < 0) refuse("damaged pickle: a number that is none");
        return static_cast<std::uint64_t>(*index);
    }

    void keep(std::uint64_t index) {
        memo_[index] = top();
        if (memo_.size() > value_limit) refuse("more than 3,000,000 values");
    }

    [[nodiscard]] PickledValue tensor_or_why_not(Id id) const {
        if (auto const* const call = as<Call>(id)) return result_of(*call);
        return NotPlain{"an object"};
    }

    [[nodiscard]] std::map<std::string, PickledValue> tensors_of(Id root) const {
        std::map<std::string, PickledValue> tensors;
        auto const* const dictionary = as<Dictionary>(root);
        if (dictionary == nullptr) {
            tensors.emplace("", tensor_or_why_not(root));
            return tensors;
        }
        for (auto const& [key, value] : dictionary->items) {
            auto const* const name = as<std::string_view>(key);
            if (name == nullptr) continue;
            check_length(*name);
            tensors.insert_or_assign(std::string{*name}, tensor_or_why_not(value));
            if (tensors.size() > tensor_limit) refuse("more than 200,000 tensors");
        }
        return tensors;
    }

    std::string_view text_;
    std::string where_;
    std::size_t position_ = 0;
    std::vector<Value> values_;
    std::vector<Id> stack_;
    std::vector<std::size_t> marks_;  ///< heights of the stack
    std::unordered_map<std::uint64_t, Id> memo_;
};

}  // namespace

std::map<std::string, PickledValue> read_pickled_tensors(std::string_view pickle,
                                                         std::string_view where) {
    return Machine{pickle, where}.run();
}

}  // namespace derate
