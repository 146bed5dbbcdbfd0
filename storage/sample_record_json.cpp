#include "storage/sample_record_json.hpp"

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "storage/environment_json.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;
using Line = nlohmann::ordered_json;  // kind and launch first: people read these lines

/// All fields of a line, in the order in which they are written: `field(name, value)` for each, and
/// `field.document(name, text)` for one that is JSON itself. What is no std::optional is required.
template <class Record, class Field>
void for_each_field(Record& record, Field& field) {
    field("kind", record.kind);
    field("launch", record.launch);
    field("sequence", record.sequence);
    field("time_ns", record.time_ns);
    field("case", record.case_key);
    field("model", record.model);
    field("batch", record.batch);
    field("subgraph", record.subgraph);
    field("iterations", record.iterations);
    field("time_ms", record.time_ms);
    field("fast_ms", record.fast_ms);
    field("subgraph_ms", record.subgraph_ms);
    field("steady", record.steady);
    field("warmup", record.warmup);
    field("probe", record.probe);
    field("per_second", record.per_second);
    field("unit", record.unit);
    field("clock_hz", record.clock_hz);
    field("reason", record.reason);
    field("wall_s", record.wall_s);
    field("loading_s", record.loading_s);
    field("environment", record.environment);
    field.document("settings", record.settings);
    field("rules", record.rules);
    field("allocator", record.allocator);
}

struct LineWriter {
    Line line{};

    void operator()(char const* name, SampleKind kind) { line[name] = to_string(kind); }
    void operator()(char const* name, std::integral auto number) { line[name] = number; }
    template <class Value>
    void operator()(char const* name, std::optional<Value> const& value) {
        if (value) line[name] = *value;
    }
    void operator()(char const* name, std::vector<double> const& numbers) {
        if (!numbers.empty()) line[name] = numbers;
    }
    void operator()(char const* name, std::optional<Environment> const& environment) {
        if (environment) line[name] = Line::parse(to_json_text(*environment));
    }
    void operator()(char const* name, std::optional<Allocator> const& allocator) {
        if (allocator) line[name] = to_string(*allocator);
    }
    void document(char const* name, std::optional<std::string> const& text) {
        if (text) line[name] = Line::parse(*text);
    }
};

struct DocumentReader {
    JsonFields fields;
    std::string_view where;  ///< names the line in messages

    void operator()(char const* name, SampleKind& kind) {
        kind = fields.word(name, parse_sample_kind, "a kind of docs/measuring.md");
    }
    template <std::integral Integer>
    void operator()(char const* name, Integer& number) {
        number = fields.integer<Integer>(name, std::numeric_limits<Integer>::min());
    }
    template <class Value>
    void operator()(char const* name, std::optional<Value>& value) {
        fields.read_into(value, name);
    }
    void operator()(char const* name, std::vector<double>& numbers) {
        if (fields.find(name)) numbers = fields.numbers(name);
    }
    void operator()(char const* name, std::optional<Environment>& environment) {
        if (auto const* given = fields.find(name)) {
            environment = environment_from_json(given->dump(), where);
        }
    }
    void operator()(char const* name, std::optional<Allocator>& allocator) {
        if (fields.find(name)) allocator = fields.word(name, parse_allocator, "pinned or default");
    }
    void document(char const* name, std::optional<std::string>& text) {
        if (auto const* given = fields.find(name)) text = given->dump();
    }
};

template <class Number>
concept WholeNumber = std::integral<Number> && !std::same_as<Number, bool>;

// What a field takes of JSON; of another type, nothing. False: the value is none of the field's.
bool set(SampleKind& kind, std::string& word) {
    auto const parsed = parse_sample_kind(word);
    if (parsed) kind = *parsed;
    return parsed.has_value();
}
bool set(std::optional<Allocator>& allocator, std::string& word) {
    return (allocator = parse_allocator(word)).has_value();
}
bool set(std::optional<std::string>& text, std::string& value) {
    text = std::move(value);
    return true;
}
bool set(std::optional<bool>& flag, bool& value) {
    flag = value;
    return true;
}
bool set(std::optional<double>& number, double& value) {
    number = value;
    return true;
}
bool set(std::optional<double>& number, std::int64_t& value) {
    number = static_cast<double>(value);
    return true;
}
bool set(WholeNumber auto& number, std::int64_t& value) {
    number = static_cast<std::remove_reference_t<decltype(number)>>(value);
    return number == value;
}
template <WholeNumber Number>
bool set(std::optional<Number>& number, std::int64_t& value) {
    return set(number.emplace(), value);
}

/// Gives a value to the field of that name.
template <class Value>
struct FieldSetter {
    std::string_view name;
    Value& value;
    bool is_set = false;

    template <class Field>
    void operator()(std::string_view field_name, Field& field) {
        if constexpr (requires { set(field, value); }) {
            if (field_name == name) is_set = set(field, value);
        }
    }
    void document(std::string_view, std::optional<std::string>&) {}
};

/// Reads a flat line, as nearly all are, without building a document: a file has millions of them.
/// Refuses (returns false) whatever it does not expect; the document then says what is wrong.
class FlatLineReader : public json::json_sax_t {
  public:
    [[nodiscard]] std::optional<SampleRecord> read(std::string_view text) {
        if (!json::sax_parse(text, this)) return std::nullopt;
        if (!has_kind_ || !has_launch_ || !has_time_) return std::nullopt;
        return std::move(record_);
    }

    bool null() override { return depth_ == 1 && !in_array_; }
    bool boolean(bool value) override { return take(value); }
    bool number_integer(json::number_integer_t value) override {
        return in_array_ ? append(static_cast<double>(value)) : take(value);
    }
    bool number_unsigned(json::number_unsigned_t value) override {
        return std::in_range<std::int64_t>(value) &&
               number_integer(static_cast<json::number_integer_t>(value));
    }
    bool number_float(json::number_float_t value, std::string const&) override {
        return in_array_ ? append(value) : take(value);
    }
    bool string(std::string& value) override { return take(value); }
    bool binary(json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return ++depth_ == 1; }
    bool key(std::string& name) override {
        key_.swap(name);
        return true;
    }
    bool end_object() override { return true; }
    bool start_array(std::size_t) override {
        if (in_array_ || key_ != "subgraph_ms") return false;
        in_array_ = true;
        record_.subgraph_ms.clear();
        return true;
    }
    bool end_array() override {
        in_array_ = false;
        return true;
    }
    bool parse_error(std::size_t, std::string const&, nlohmann::detail::exception const&) override {
        return false;
    }

  private:
    bool append(double value) {
        record_.subgraph_ms.push_back(value);
        return true;
    }
    template <class Value>
    bool take(Value& value) {
        if (in_array_) return false;
        FieldSetter<Value> setter{key_, value};
        for_each_field(record_, setter);
        if (!setter.is_set) return false;
        has_kind_ = has_kind_ || key_ == "kind";
        has_launch_ = has_launch_ || key_ == "launch";
        has_time_ = has_time_ || key_ == "time_ns";
        return true;
    }

    SampleRecord record_;
    std::string key_;
    int depth_ = 0;
    bool in_array_ = false;
    bool has_kind_ = false;
    bool has_launch_ = false;
    bool has_time_ = false;
};

}  // namespace

std::string to_json_line(SampleRecord const& record) {
    LineWriter writer;
    for_each_field(record, writer);
    // A reason may quote a library's message in any encoding; the line must stay readable.
    return writer.line.dump(-1, ' ', false, json::error_handler_t::replace);
}

SampleRecord sample_record_from_json(std::string_view text, std::string_view where) {
    if (auto record = FlatLineReader{}.read(text)) return std::move(*record);
    auto const line = parse_json(text, where);
    DocumentReader reader{.fields = JsonFields{line, file_root(where)}, .where = where};
    SampleRecord record;
    for_each_field(record, reader);
    return record;
}

}  // namespace derate
