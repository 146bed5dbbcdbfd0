#include "storage/environment_json.hpp"

#include <nlohmann/json.hpp>

#include "measuring/environment_fields.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;

}  // namespace

std::string to_json_text(Environment const& environment) {
    json all = json::object();
    for_each_environment_field(
        [&](char const* name, auto member) { all[name] = json_or_null(environment.*member); });
    json libraries = json::array();
    for (auto const& library : environment.loaded_libraries) {
        libraries.push_back({{"name", library.name},
                             {"version", json_or_null(library.version)},
                             {"path", json_or_null(library.path)}});
    }
    all["loaded_libraries"] = libraries;
    return all.dump();  // nlohmann's objects are sorted by key
}

Environment environment_from_json(std::string_view text, std::string_view where) {
    auto const all = parse_json(text, where);
    JsonFields fields{all, file_root(where)};
    Environment environment;
    for_each_environment_field([&](char const* name, auto member) {
        fields.read_into(environment.*member, name);
    });
    if (fields.find("loaded_libraries")) {
        std::size_t index = 0;
        for (auto const& library : fields.array("loaded_libraries")) {
            JsonFields entry{library, fields.where("loaded_libraries", index++)};
            environment.loaded_libraries.push_back({.name = entry.text("name"),
                                                    .version = entry.optional_text("version"),
                                                    .path = entry.optional_text("path")});
        }
    }
    fields.reject_unknown();
    return environment;
}

std::string environment_hash(Environment const& environment) {
    return sha256_hex(to_json_text(without_volatile_fields(environment)));
}

}  // namespace derate
