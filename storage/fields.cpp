#include "storage/fields.hpp"

#include <algorithm>
#include <utility>

#include "core/input_error.hpp"

namespace derate {
namespace {

std::string given_text(nlohmann::json const& value) {
    auto text = "got " + value.dump();
    if (text.size() > 64) text = text.substr(0, 61).append("...");
    return text;
}

}  // namespace

void refuse_value(nlohmann::json const& value, std::string_view where, std::string_view required) {
    throw InputError{where, given_text(value), required};
}

std::string file_root(std::string_view file) { return std::string{file}.append("#"); }

JsonFields::JsonFields(nlohmann::json const& json, std::string where)
    : json_{&json}, where_{std::move(where)} {
    if (where_.find('#') == std::string::npos) where_.push_back('#');
    if (!json.is_object()) refuse_value(json, where_, "an object");
}

std::string JsonFields::where(std::string_view name) const {
    std::string result{where_};
    return result.append("/").append(name);
}

std::string JsonFields::where(std::string_view name, std::size_t index) const {
    return where(name).append("/").append(std::to_string(index));
}

void JsonFields::fail(std::string_view name, std::string_view problem,
                      std::string_view required) const {
    throw InputError{where(name), problem, required};
}

bool JsonFields::has(std::string_view name) {
    return find(name) != nullptr || json_->contains(name);
}

nlohmann::json const* JsonFields::find(std::string_view name) {
    auto const found = json_->find(name);
    if (found == json_->end()) return nullptr;
    known_.push_back(name);
    return found->is_null() ? nullptr : &*found;
}

nlohmann::json const& JsonFields::at(std::string_view name) {
    auto const found = json_->find(name);
    if (found == json_->end()) fail(name, "is missing", "every required field");
    known_.push_back(name);
    return *found;
}

double JsonFields::number(std::string_view name) {
    auto const& value = at(name);
    if (!value.is_number()) fail(name, given_text(value), "a number");
    return value.get<double>();
}

double JsonFields::positive(std::string_view name) {
    double const value = number(name);
    if (!(value > 0)) fail(name, given_text(at(name)), "must be positive");
    return value;
}

double JsonFields::not_negative(std::string_view name) {
    double const value = number(name);
    if (!(value >= 0)) fail(name, given_text(at(name)), "must not be negative");
    return value;
}

std::string JsonFields::text(std::string_view name) {
    auto const& value = at(name);
    if (!value.is_string()) fail(name, given_text(value), "a string");
    return value.get<std::string>();
}

bool JsonFields::flag(std::string_view name) {
    auto const& value = at(name);
    if (!value.is_boolean()) fail(name, given_text(value), "true or false");
    return value.get<bool>();
}

nlohmann::json const& JsonFields::array(std::string_view name) {
    auto const& value = at(name);
    if (!value.is_array()) fail(name, given_text(value), "an array");
    return value;
}

std::vector<double> JsonFields::numbers(std::string_view name) {
    std::vector<double> result;
    for (auto const& value : array(name)) {
        if (!value.is_number()) fail(name, given_text(value), "numbers");
        result.push_back(value.get<double>());
    }
    return result;
}

std::vector<std::string> JsonFields::texts(std::string_view name) {
    std::vector<std::string> result;
    for (auto const& value : array(name)) {
        if (!value.is_string()) fail(name, given_text(value), "strings");
        result.push_back(value.get<std::string>());
    }
    return result;
}

JsonFields JsonFields::object(std::string_view name) { return {at(name), where(name)}; }

std::optional<double> JsonFields::optional_number(std::string_view name) {
    return find(name) ? std::optional{number(name)} : std::nullopt;
}

std::optional<double> JsonFields::optional_positive(std::string_view name) {
    return find(name) ? std::optional{positive(name)} : std::nullopt;
}

std::optional<std::string> JsonFields::optional_text(std::string_view name) {
    return find(name) ? std::optional{text(name)} : std::nullopt;
}

std::optional<JsonFields> JsonFields::optional_object(std::string_view name) {
    return find(name) ? std::optional{object(name)} : std::nullopt;
}

void JsonFields::ignore(std::string_view name) { known_.push_back(name); }

void JsonFields::reject_unknown() const {
    for (auto const& [name, value] : json_->items()) {
        if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
            fail(name, "is not a known field", "only fields of the format");
        }
    }
}

void require_format(JsonFields& fields, std::string_view format, int newest) {
    auto const given = fields.text("format");
    if (given != format) {
        fields.fail("format", "got \"" + given + "\"", std::string{"\""}.append(format).append("\""));
    }
    auto const version = fields.integer("version", 1);
    if (version > newest) {
        fields.fail("version", "is " + std::to_string(version),
                    "this program reads up to version " + std::to_string(newest));
    }
}

std::optional<int> optional_batch(JsonFields& fields) {
    if (fields.find("batch") == nullptr) return std::nullopt;
    return static_cast<int>(fields.integer("batch", 1));
}

}  // namespace derate
