#include "core/json/environment_json.hpp"

#include <nlohmann/json.hpp>
#include <type_traits>

#include "core/environment_fields.hpp"
#include "core/input_error.hpp"
#include "core/json/file.hpp"

namespace derate {
namespace {

using nlohmann::json;

template <class Optional>
json value_or_null(Optional const& value) {
    return value ? json(*value) : json(nullptr);
}

}  // namespace

std::string to_json_text(Environment const& environment) {
    json all = json::object();
    for_each_environment_field(
        [&](char const* name, auto member) { all[name] = value_or_null(environment.*member); });
    json libraries = json::array();
    for (auto const& library : environment.loaded_libraries) {
        libraries.push_back({{"name", library.name},
                             {"version", value_or_null(library.version)},
                             {"path", value_or_null(library.path)}});
    }
    all["loaded_libraries"] = libraries;
    return all.dump();  // nlohmann's objects are sorted by key
}

Environment environment_from_json(std::string_view text, std::string_view where) try {
    auto const all = json::parse(text);
    Environment environment;
    std::size_t seen = 0;
    for_each_environment_field([&](char const* name, auto member) {
        auto const found = all.find(name);
        if (found == all.end()) return;
        ++seen;
        using Value = typename std::remove_reference_t<decltype(environment.*member)>::value_type;
        if (!found->is_null()) environment.*member = found->template get<Value>();
    });
    if (auto const libraries = all.find("loaded_libraries"); libraries != all.end()) {
        ++seen;
        for (auto const& library : *libraries) {
            LoadedLibrary loaded{
                .name = library.at("name").get<std::string>(), .version = {}, .path = {}};
            if (auto const& version = library.at("version"); !version.is_null()) {
                loaded.version = version.get<std::string>();
            }
            if (auto const& path = library.at("path"); !path.is_null()) {
                loaded.path = path.get<std::string>();
            }
            environment.loaded_libraries.push_back(std::move(loaded));
        }
    }
    if (seen != all.size()) {
        throw InputError{where, "a field that is not on the list",
                         "the fields of docs/measuring.md"};
    }
    return environment;
} catch (json::exception const& error) {
    throw InputError{where, error.what(), "an environment block"};
}

std::string environment_hash(Environment const& environment) {
    return sha256_hex(to_json_text(without_volatile_fields(environment)));
}

}  // namespace derate
