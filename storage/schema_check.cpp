#include "storage/schema_check.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;

// The validator's regular expressions recurse once a character: a longer text would end the
// program, not the check.
constexpr std::size_t longest_text = 4000;
constexpr std::string_view did_you_mean = "did you mean \"";

/// JSON pointer of a member or element.
std::string below(std::string_view pointer, std::string_view token) {
    return std::string{pointer} + (json::json_pointer{} / std::string{token}).to_string();
}

std::string value_in_short(json const& value) {
    if (value.is_object()) return "got an object";
    if (value.is_array()) return "got an array";
    auto text = value.dump(-1, ' ', true);
    if (text.size() > 60) text = text.substr(0, 57).append("...");
    return std::string{"got "}.append(text);
}

json const& resolved(json const& schema_root, json const& node) {
    auto const reference = node.find("$ref");
    if (reference == node.end()) return node;
    auto const target = reference->get<std::string>().substr(1);  // "#/definitions/..."
    return resolved(schema_root, schema_root.at(json::json_pointer{target}));
}

std::string joined(std::vector<std::string> const& words, std::string_view last_separator) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? last_separator : std::string_view{", "};
        text += words[i];
    }
    return text;
}

std::string type_name(std::string const& type) {
    if (type == "integer" || type == "array" || type == "object")
        return std::string{"an "}.append(type);
    if (type == "string") return "a text";
    if (type == "boolean") return "true or false";
    return type == "null" ? type : std::string{"a "}.append(type);
}

/// What a value must be, in words: "a number above 0 or null".
std::string requirement(json const& node) {
    if (auto const constant = node.find("const"); constant != node.end()) return constant->dump();
    std::vector<std::string> words;
    if (auto const values = node.find("enum"); values != node.end()) {
        for (auto const& value : *values) words.push_back(value.dump());
        return joined(words, " or ");
    }
    auto const type = node.find("type");
    if (type == node.end()) return "what the schema says";
    if (type->is_string()) {
        words.push_back(type_name(*type));
    } else {
        for (auto const& name : *type) words.push_back(type_name(name));
    }
    std::string limits;
    auto const add = [&](char const* key, std::string_view relation) {
        if (auto const limit = node.find(key); limit != node.end()) {
            limits.append(limits.empty() ? " " : " and ").append(relation).append(limit->dump());
        }
    };
    add("exclusiveMinimum", "above ");
    add("minimum", "of at least ");
    add("maximum", "of at most ");
    add("minItems", "of at least ");
    add("maxItems", "of at most ");
    if (node.contains("minItems") || node.contains("maxItems")) limits += " items";
    if (auto const pattern = node.find("pattern"); pattern != node.end()) {
        limits.append(" matching ").append(pattern->get_ref<std::string const&>());
    } else if (node.contains("minLength")) {
        limits += ", not empty";
    }
    words.front() += limits;
    return joined(words, " or ");
}

/// Walks document and schema side by side: what valijson 1.0 leaves to be known. It names one
/// unknown key an object; here each is named, with the one that was meant. `nodes` collects the
/// schema of every place.
class Walk {
  public:
    explicit Walk(json const& schema_root) : root_{schema_root} {}

    void visit(json const& value, json const& unresolved, std::string const& pointer) {
        auto const& node = resolved(root_, unresolved);
        nodes.emplace(pointer, &node);
        if (value.is_string() && value.get_ref<std::string const&>().size() > longest_text) {
            too_long(pointer);
        } else if (value.is_object()) {
            visit_members(value, node, pointer);
        } else if (value.is_array() && node.contains("items")) {
            for (std::size_t i = 0; i < value.size(); ++i) {
                visit(value[i], node["items"], below(pointer, std::to_string(i)));
            }
        }
    }

    std::map<std::string, json const*, std::less<>> nodes;
    std::vector<Violation> violations;
    bool has_long_text = false;

  private:
    void too_long(std::string const& pointer) {
        has_long_text = true;
        violations.push_back(
            {pointer, "a text too long to be meant",
             std::string{"at most "}.append(std::to_string(longest_text)).append(" bytes")});
    }

    void visit_members(json const& value, json const& node, std::string const& pointer) {
        auto const properties = node.find("properties");
        auto const additional = node.find("additionalProperties");
        for (auto const& [key, member] : value.items()) {
            if (key.size() > longest_text) {
                too_long(pointer);
                continue;
            }
            auto const place = below(pointer, key);
            if (properties != node.end() && properties->contains(key)) {
                visit(member, (*properties)[key], place);
            } else if (additional != node.end() && additional->is_object()) {
                visit(member, *additional, place);
            } else if (additional != node.end() && *additional == false) {
                refuse_key(key, *properties, value, place);
            }
        }
    }

    void refuse_key(std::string const& key, json const& properties, json const& value,
                    std::string const& place) {
        std::vector<std::string> absent;
        std::vector<std::string> all;
        for (auto const& [name, schema] : properties.items()) {
            all.push_back(name);
            if (!value.contains(name)) absent.push_back(name);
        }
        if (auto const meant = nearest_name(key, absent); !meant.empty()) {
            violations.push_back(
                {place, "unknown key", std::string{did_you_mean}.append(meant).append("\"?")});
        } else {
            violations.push_back(
                {place, "unknown key", std::string{"one of "}.append(joined(all, ", "))});
        }
    }

    json const& root_;
};

/// valijson's context is {"<root>", "[key]", "[0]", ...}.
std::string pointer_of(std::vector<std::string> const& context) {
    std::string pointer;
    for (std::size_t i = 1; i < context.size(); ++i) {
        pointer = below(pointer, std::string_view{context[i]}.substr(1, context[i].size() - 2));
    }
    return pointer;
}

bool repeats_an_inner_fault(std::string_view description) {
    return description.starts_with("Failed to validate") ||
           description.starts_with("Object contains a property that could not");  // Walk names it
}

Violation violation_of(valijson::ValidationResults::Error const& error, json const& document,
                       Walk const& walk) {
    auto const pointer = pointer_of(error.context);
    std::string_view const description{error.description};
    constexpr std::string_view missing = "Missing required property '";
    if (description.starts_with(missing)) {
        auto const name =
            description.substr(missing.size(), description.size() - missing.size() - 2);
        return {below(pointer, name), "is missing", "every required field"};
    }
    if (description.starts_with("Object should have no more than")) {
        return {pointer, "has a field too many", "only the parameters of its type"};
    }
    auto const node = walk.nodes.find(pointer);
    return {pointer, value_in_short(document.at(json::json_pointer{pointer})),
            node == walk.nodes.end() ? std::string{description} : requirement(*node->second)};
}

}  // namespace

std::string_view to_string(SchemaName name) {
    switch (name) {
        case SchemaName::efficiency_calibration:
            return "efficiency_calibration_v1.json";
        case SchemaName::hardware:
            return "hardware_v1.json";
        case SchemaName::measurement:
            return "measurement_v1.json";
    }
    return {};
}

std::vector<Violation> check_schema(json const& document, SchemaName name) {
    return check_schema(document, parse_json(schema_text(name), to_string(name)));
}

std::vector<Violation> check_schema(json const& document, json const& schema_document) {
    Walk walk{schema_document};
    walk.visit(document, schema_document, "");
    auto violations = std::move(walk.violations);
    if (walk.has_long_text) return violations;

    valijson::Schema schema;
    valijson::SchemaParser{}.populateSchema(
        valijson::adapters::NlohmannJsonAdapter{schema_document}, schema);
    valijson::ValidationResults results;
    valijson::Validator{}.validate(schema, valijson::adapters::NlohmannJsonAdapter{document},
                                   &results);
    // A misspelt key is one fault, though its absence under the right name is another to a schema.
    std::set<std::string> meant;
    for (auto const& violation : violations) {
        if (violation.required.starts_with(did_you_mean)) {
            auto const key = violation.required.substr(
                did_you_mean.size(), violation.required.size() - did_you_mean.size() - 2);
            auto const object = violation.pointer.substr(0, violation.pointer.rfind('/'));
            meant.insert(below(object, key));
        }
    }
    valijson::ValidationResults::Error error;
    while (results.popError(error)) {
        if (repeats_an_inner_fault(error.description)) continue;
        auto violation = violation_of(error, document, walk);
        if (violation.problem == "is missing" && meant.contains(violation.pointer)) continue;
        if (std::find(violations.begin(), violations.end(), violation) == violations.end()) {
            violations.push_back(std::move(violation));
        }
    }
    return violations;
}

}  // namespace derate
