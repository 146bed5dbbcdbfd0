#include "storage/sample_record_json.hpp"

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "storage/environment_json.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "storage/plan_json.hpp"

namespace derate {
namespace {

using nlohmann::json;
using Line = nlohmann::ordered_json;  // kind and launch first: people read these lines

template <class Value, class Wanted>
concept Is = std::same_as<std::remove_const_t<Value>, Wanted>;

// The fields of each kind of line, in the order in which they are written: `field(name, value)` for
// each. What is neither std::optional nor a list is required.
void for_each_field(Is<CampaignLine> auto& line, auto& field) {
    field("reason", line.date);
    field("settings", line.settings);
    field("rules", line.rules);
}
void for_each_field(Is<EnvironmentLine> auto& line, auto& field) {
    field("environment", line.environment);
}
void for_each_field(Is<RepetitionTimes> auto& times, auto& field) {
    field("iterations", times.iterations);
    field("time_ms", times.time_ms);
    field("fast_ms", times.fast_ms);
    field("steady", times.steady);
    field("warmup", times.warmup);
}
void for_each_field(Is<IsolatedLine> auto& line, auto& field) {
    field("case", line.case_key);
    field("model", line.model);
    field("batch", line.batch);
    field("subgraph", line.subgraph);
    for_each_field(line.times, field);
}
void for_each_field(Is<InContextLine> auto& line, auto& field) {
    field("model", line.model);
    field("batch", line.batch);
    field("iterations", line.iterations);
    field("time_ms", line.time_ms);
    field("subgraph_ms", line.subgraph_ms);
    field("warmup", line.warmup);
}
void for_each_field(Is<WholeLine> auto& line, auto& field) {
    field("model", line.model);
    field("batch", line.batch);
    for_each_field(line.times, field);
}
void for_each_field(Is<DriftLine> auto& line, auto& field) {
    field("time_ms", line.time_ms);
    field("probe", line.probe);
}
void for_each_field(Is<PeakLine> auto& line, auto& field) {
    field("probe", line.probe);
    field("per_second", line.per_second);
    field("unit", line.unit);
    field("clock_hz", line.clock_hz);
}
void for_each_field(Is<StoppedLine> auto& line, auto& field) {
    field("case", line.case_key);
    field("model", line.model);
    field("batch", line.batch);
    field("reason", line.reason);
}
void for_each_field(Is<FailureLine> auto& line, auto& field) {
    field("case", line.case_key);
    field("model", line.model);
    field("batch", line.batch);
    field("subgraph", line.subgraph);
    field("probe", line.probe);
    field("reason", line.reason);
}
void for_each_field(Is<LaunchEndLine> auto& line, auto& field) {
    field("reason", line.reason);
    field("wall_s", line.wall_s);
    field("loading_s", line.loading_s);
}
void for_each_field(Is<FinishedLine> auto&, auto&) {}

void for_each_field(Is<SampleRecord> auto& record, auto& field) {
    field("launch", record.launch);
    field("sequence", record.sequence);
    field("time_ns", record.time_ns);
    std::visit([&field](auto& line) { for_each_field(line, field); }, record.content);
    field("allocator", record.allocator);
}

struct LineWriter {
    Line line{};

    void operator()(char const* name, auto const& value) { line[name] = value; }
    template <class Value>
    void operator()(char const* name, std::optional<Value> const& value) {
        if (value) line[name] = *value;
    }
    void operator()(char const* name, std::vector<double> const& numbers) {
        if (!numbers.empty()) line[name] = numbers;
    }
    void operator()(char const* name, std::optional<Allocator> const& allocator) {
        if (allocator) line[name] = to_string(*allocator);
    }
    void operator()(char const* name, Environment const& environment) {
        line[name] = Line::parse(to_json_text(environment));
    }
    void operator()(char const* name, Plan const& plan) {
        line[name] = Line::parse(to_json_text(plan));
    }
};

struct DocumentReader {
    JsonFields fields;
    std::string_view where;  ///< names the line in messages

    template <std::integral Integer>
    void operator()(char const* name, Integer& number) {
        number = fields.integer<Integer>(name, std::numeric_limits<Integer>::min());
    }
    void operator()(char const* name, bool& flag) { flag = fields.flag(name); }
    void operator()(char const* name, double& number) { number = fields.number(name); }
    void operator()(char const* name, std::string& text) { text = fields.text(name); }
    template <class Value>
    void operator()(char const* name, std::optional<Value>& value) {
        fields.read_into(value, name);
    }
    void operator()(char const* name, std::vector<double>& numbers) {
        if (fields.find(name)) numbers = fields.numbers(name);
    }
    void operator()(char const* name, std::optional<Allocator>& allocator) {
        if (fields.find(name)) allocator = fields.word(name, parse_allocator, "pinned or default");
    }
    void operator()(char const* name, Environment& environment) {
        environment = environment_from_json(fields.at(name).dump(), where);
    }
    void operator()(char const* name, Plan& plan) {
        plan = plan_from_json(fields.at(name).dump(), where);
    }
};

template <class Number>
concept WholeNumber = std::integral<Number> && !std::same_as<Number, bool>;

// What a field takes of JSON; of another type, nothing. False: the value is none of the field's.
bool set(std::string& text, std::string& value) {
    text = std::move(value);
    return true;
}
bool set(bool& flag, bool& value) {
    flag = value;
    return true;
}
bool set(double& number, double& value) {
    number = value;
    return true;
}
bool set(double& number, std::int64_t& value) {
    number = static_cast<double>(value);
    return true;
}
bool set(WholeNumber auto& number, std::int64_t& value) {
    number = static_cast<std::remove_reference_t<decltype(number)>>(value);
    return number == value;
}
bool set(std::optional<Allocator>& allocator, std::string& word) {
    return (allocator = parse_allocator(word)).has_value();
}
template <class Field, class Value>
requires requires(Field& field, Value& value) { set(field, value); }
bool set(std::optional<Field>& field, Value& value) { return set(field.emplace(), value); }

/// Gives a value to the field of that name, and knows by a bit which field that was.
template <class Value>
struct FieldSetter {
    std::string_view name;
    Value& value;
    std::uint32_t set_bit = 0;  ///< 0: to none
    std::uint32_t bit = 1;

    template <class Field>
    void operator()(std::string_view field_name, Field& field) {
        if constexpr (requires { set(field, value); }) {
            if (field_name == name && set(field, value)) set_bit = bit;
        }
        bit <<= 1;
    }
};

/// The bits of those fields that a line cannot be without.
struct RequiredBits {
    std::uint32_t bits = 0;
    std::uint32_t bit = 1;

    void operator()(char const*, auto const&) {
        bits |= bit;
        bit <<= 1;
    }
    template <class Value>
    void operator()(char const*, std::optional<Value> const&) {
        bit <<= 1;
    }
    void operator()(char const*, std::vector<double> const&) { bit <<= 1; }
};

/// Reads a flat line, as nearly all are, without building a document: a file has millions of them.
/// Refuses (returns false) whatever it does not expect, as a kind that does not come first; the
/// document then says what is wrong.
class FlatLineReader : public json::json_sax_t {
  public:
    [[nodiscard]] std::optional<SampleRecord> read(std::string_view text) {
        if (!json::sax_parse(text, this) || !knows_kind_) return std::nullopt;
        RequiredBits required;
        for_each_field(record_, required);
        if ((required.bits & ~seen_) != 0) return std::nullopt;
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
    bool string(std::string& value) override {
        return key_ == "kind" ? take_kind(value) : take(value);
    }
    bool binary(json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return ++depth_ == 1; }
    bool key(std::string& name) override {
        key_.swap(name);
        return true;
    }
    bool end_object() override { return true; }
    bool start_array(std::size_t) override {
        auto* const in_context = std::get_if<InContextLine>(&record_.content);
        if (in_array_ || in_context == nullptr || key_ != "subgraph_ms") return false;
        in_array_ = true;
        in_context->subgraph_ms.clear();
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
        std::get<InContextLine>(record_.content).subgraph_ms.push_back(value);
        return true;
    }
    bool take_kind(std::string_view word) {
        auto content = content_of_kind(word);
        if (knows_kind_ || in_array_ || !content) return false;
        record_.content = std::move(*content);
        knows_kind_ = true;
        return true;
    }
    template <class Value>
    bool take(Value& value) {
        if (in_array_ || !knows_kind_) return false;
        FieldSetter<Value> setter{key_, value};
        for_each_field(record_, setter);
        seen_ |= setter.set_bit;
        return setter.set_bit != 0;
    }

    SampleRecord record_;
    std::string key_;
    std::uint32_t seen_ = 0;  ///< a bit a field, in the order of for_each_field()
    int depth_ = 0;
    bool in_array_ = false;
    bool knows_kind_ = false;
};

}  // namespace

std::string to_json_line(SampleRecord const& record) {
    LineWriter writer;
    writer("kind", kind_of(record.content));
    for_each_field(record, writer);
    // A reason may quote a library's message in any encoding; the line must stay readable.
    return writer.line.dump(-1, ' ', false, json::error_handler_t::replace);
}

SampleRecord sample_record_from_json(std::string_view text, std::string_view where) {
    if (auto record = FlatLineReader{}.read(text)) return std::move(*record);
    auto const line = parse_json(text, where);
    DocumentReader reader{.fields = JsonFields{line, file_root(where)}, .where = where};
    SampleRecord record;
    record.content = reader.fields.word("kind", content_of_kind, "a kind of docs/measuring.md");
    for_each_field(record, reader);
    return record;
}

}  // namespace derate
