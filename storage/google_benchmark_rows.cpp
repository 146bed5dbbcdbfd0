#include "storage/google_benchmark_rows.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;

double ms_per(std::string const& unit, std::string const& where) {
    if (unit == "ns") return 1e-6;
    if (unit == "us") return 1e-3;
    if (unit == "ms") return 1;
    if (unit == "s") return 1e3;
    throw InputError{where, "time_unit '" + unit + "'", "ns, us, ms or s"};
}

std::string with_null_for_not_finite(std::string_view text) {
    constexpr std::array<std::string_view, 8> words{"-Infinity", "Infinity", "-NaN", "NaN",
                                                    "-nan",      "nan",      "-inf", "inf"};
    std::string result;
    result.reserve(text.size());
    bool in_string = false;
    while (!text.empty()) {
        if (in_string && text.front() == '\\' && text.size() > 1) {
            result += text.substr(0, 2);
            text.remove_prefix(2);
            continue;
        }
        if (text.front() == '"') in_string = !in_string;
        auto const word = in_string ? words.end() : std::ranges::find_if(words, [&](auto one) {
            return text.starts_with(one);
        });
        if (word != words.end()) {
            result += "null";
            text.remove_prefix(word->size());
        } else {
            result += text.front();
            text.remove_prefix(1);
        }
    }
    return result;
}

}  // namespace

json parse_google_benchmark(std::string_view text, std::string_view where) {
    return parse_json(with_null_for_not_finite(text), where);
}

BenchmarkRow::BenchmarkRow(json const& row, std::string where, std::set<std::string> const& names)
    : row_{row}, where_{std::move(where)}, names_{names} {
    if (!row.is_object()) throw InputError{where_, "not an object", "a row of Google Benchmark"};
    name_ = text("name").value_or("");
    if (name_.empty()) throw InputError{where_, "no name", "a row of Google Benchmark"};
}

std::optional<std::string> BenchmarkRow::text(char const* key) const {
    auto const* const value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail(key, "a text");
    return value->get<std::string>();
}

std::optional<double> BenchmarkRow::number(char const* key) const {
    auto const* const value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) fail(key, "a number");
    return value->get<double>();
}

bool BenchmarkRow::flag(char const* key) const {
    auto const* const value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
}

std::optional<int> BenchmarkRow::count(char const* key) const {
    auto const value = number(key);
    if (!value) return std::nullopt;
    return *value >= 0 && *value <= 1e9 ? static_cast<int>(*value) : -1;
}

double BenchmarkRow::ms(double time) const {
    return time * ms_per(text("time_unit").value_or("ns"), where_);
}

std::string BenchmarkRow::aggregate() const {
    if (auto const run_type = text("run_type")) {
        return *run_type == "iteration" ? "" : text("aggregate_name").value_or("unknown");
    }
    for (std::string const one : {"mean", "median", "stddev", "BigO", "RMS", "cv"}) {
        if (!name_.ends_with("_" + one)) continue;
        bool const is_fit = one == "BigO" || one == "RMS";
        auto const base = name_.substr(0, name_.size() - one.size() - 1);
        // The repetitions themselves may be left out of the file, never the one without the other.
        bool const has_both = names_.contains(base + "_mean") && names_.contains(base + "_stddev");
        if (is_fit || has_both || names_.contains(base)) return one;
    }
    return "";
}

std::string BenchmarkRow::case_name() const {
    if (auto const run_name = text("run_name")) return *run_name;
    auto const kind = aggregate();
    return kind.empty() ? name_ : name_.substr(0, name_.size() - kind.size() - 1);
}

json const* BenchmarkRow::find(char const* key) const {
    auto const found = row_.find(key);
    return found == row_.end() || found->is_null() ? nullptr : &*found;
}

void BenchmarkRow::fail(char const* key, char const* required) const {
    throw InputError{where_ + "/" + key, "another type", required};
}

std::set<std::string> names_of_rows(json const& rows) {
    std::set<std::string> names;
    for (auto const& row : rows) {
        if (row.is_object() && row.contains("name") && row.at("name").is_string()) {
            names.insert(row.at("name"));
        }
    }
    return names;
}

}  // namespace derate
