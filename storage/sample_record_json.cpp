#include "storage/sample_record_json.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "storage/environment_json.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;
using Line = nlohmann::ordered_json;  // kind and launch first: people read these lines

template <class Value>
void put(Line& line, char const* name, std::optional<Value> const& value) {
    if (value) line[name] = *value;
}

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
    bool boolean(bool value) override {
        if (key_ == "steady") record_.steady = value;
        return !in_array_;
    }
    bool number_integer(json::number_integer_t value) override {
        return whole_number(value) || number(static_cast<double>(value));
    }
    bool number_unsigned(json::number_unsigned_t value) override {
        if (value > static_cast<json::number_unsigned_t>(INT64_MAX)) return false;
        return number_integer(static_cast<json::number_integer_t>(value));
    }
    bool number_float(json::number_float_t value, std::string const&) override {
        return number(value);
    }
    bool string(std::string& value) override {
        if (in_array_) return false;
        if (key_ == "kind") {
            auto const kind = parse_sample_kind(value);
            if (kind) record_.kind = *kind;
            return has_kind_ = kind.has_value();
        }
        if (key_ == "case")
            record_.case_key = std::move(value);
        else if (key_ == "model")
            record_.model = std::move(value);
        else if (key_ == "probe")
            record_.probe = std::move(value);
        else if (key_ == "unit")
            record_.unit = std::move(value);
        else if (key_ == "reason")
            record_.reason = std::move(value);
        else if (key_ == "rules")
            record_.rules = std::move(value);
        else if (key_ == "allocator")
            return (record_.allocator = parse_allocator(value)).has_value();
        else
            return false;
        return true;
    }
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
    bool whole_number(std::int64_t value) {
        if (in_array_) return false;
        auto const fits = value >= INT32_MIN && value <= INT32_MAX;
        auto const small = static_cast<int>(value);
        if (key_ == "time_ns") {
            record_.time_ns = value;
            return has_time_ = true;
        }
        if (key_ == "sequence") {
            record_.sequence = value;
            return true;
        }
        if (!fits) return false;
        if (key_ == "launch") {
            record_.launch = small;
            return has_launch_ = true;
        }
        if (key_ == "batch")
            record_.batch = small;
        else if (key_ == "subgraph")
            record_.subgraph = small;
        else if (key_ == "iterations")
            record_.iterations = small;
        else if (key_ == "warmup")
            record_.warmup = small;
        else
            return false;
        return true;
    }
    bool number(double value) {
        if (in_array_)
            record_.subgraph_ms.push_back(value);
        else if (key_ == "time_ms")
            record_.time_ms = value;
        else if (key_ == "fast_ms")
            record_.fast_ms = value;
        else if (key_ == "per_second")
            record_.per_second = value;
        else if (key_ == "clock_hz")
            record_.clock_hz = value;
        else if (key_ == "wall_s")
            record_.wall_s = value;
        else if (key_ == "loading_s")
            record_.loading_s = value;
        else
            return false;
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
    Line line;
    line["kind"] = to_string(record.kind);
    line["launch"] = record.launch;
    put(line, "sequence", record.sequence);
    line["time_ns"] = record.time_ns;
    put(line, "case", record.case_key);
    put(line, "model", record.model);
    put(line, "batch", record.batch);
    put(line, "subgraph", record.subgraph);
    put(line, "iterations", record.iterations);
    put(line, "time_ms", record.time_ms);
    put(line, "fast_ms", record.fast_ms);
    if (!record.subgraph_ms.empty()) line["subgraph_ms"] = record.subgraph_ms;
    put(line, "steady", record.steady);
    put(line, "warmup", record.warmup);
    put(line, "probe", record.probe);
    put(line, "per_second", record.per_second);
    put(line, "unit", record.unit);
    put(line, "clock_hz", record.clock_hz);
    put(line, "reason", record.reason);
    put(line, "wall_s", record.wall_s);
    put(line, "loading_s", record.loading_s);
    if (record.environment) line["environment"] = Line::parse(to_json_text(*record.environment));
    if (record.settings) line["settings"] = Line::parse(*record.settings);
    put(line, "rules", record.rules);
    if (record.allocator) line["allocator"] = to_string(*record.allocator);
    // A reason may quote a library's message in any encoding; the line must stay readable.
    return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

SampleRecord sample_record_from_json(std::string_view text, std::string_view where) {
    if (auto record = FlatLineReader{}.read(text)) return std::move(*record);
    auto const line = parse_json(text, where);
    JsonFields fields{line, file_root(where)};
    SampleRecord record;
    record.kind = fields.word("kind", parse_sample_kind, "a kind of docs/measuring.md");
    record.launch = fields.integer<int>("launch", std::numeric_limits<int>::min());
    record.time_ns = fields.integer("time_ns", std::numeric_limits<std::int64_t>::min());
    fields.read_into(record.sequence, "sequence");
    fields.read_into(record.case_key, "case");
    fields.read_into(record.model, "model");
    fields.read_into(record.batch, "batch");
    fields.read_into(record.subgraph, "subgraph");
    fields.read_into(record.iterations, "iterations");
    fields.read_into(record.time_ms, "time_ms");
    fields.read_into(record.fast_ms, "fast_ms");
    if (fields.find("subgraph_ms")) record.subgraph_ms = fields.numbers("subgraph_ms");
    fields.read_into(record.steady, "steady");
    fields.read_into(record.warmup, "warmup");
    fields.read_into(record.probe, "probe");
    fields.read_into(record.per_second, "per_second");
    fields.read_into(record.unit, "unit");
    fields.read_into(record.clock_hz, "clock_hz");
    fields.read_into(record.reason, "reason");
    fields.read_into(record.wall_s, "wall_s");
    fields.read_into(record.loading_s, "loading_s");
    if (auto const* environment = fields.find("environment")) {
        record.environment = environment_from_json(environment->dump(), where);
    }
    if (auto const* settings = fields.find("settings")) record.settings = settings->dump();
    fields.read_into(record.rules, "rules");
    if (fields.find("allocator")) {
        record.allocator = fields.word("allocator", parse_allocator, "pinned or default");
    }
    return record;
}

}  // namespace derate
