#include "ctest/fuzz/json_mutation.hpp"

#include <array>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

namespace derate {
namespace {

using nlohmann::json;
using Random = std::minstd_rand;

std::size_t below(Random& random, std::size_t count) {
    return std::uniform_int_distribution<std::size_t>{0, count - 1}(random);
}

/// Containers and leaves in the order of a walk from the top.
void collect(json& value, std::vector<json*>& all) {
    all.push_back(&value);
    if (value.is_structured()) {
        for (auto& child : value) collect(child, all);
    }
}

json troublesome(Random& random, std::vector<json*> const& all) {
    static std::array const values{
        json(),
        json(true),
        json(0),
        json(-1),
        json(1),
        json(std::numeric_limits<std::int32_t>::max()),
        json(std::numeric_limits<std::int32_t>::min()),
        json(std::int64_t{std::numeric_limits<std::int32_t>::max()} + 1),
        json(std::numeric_limits<std::int64_t>::max()),
        json(std::numeric_limits<std::int64_t>::min()),
        json(std::numeric_limits<std::uint64_t>::max()),
        json(0.5),
        json(-0.0),
        json(1e308),
        json(5e-324),
        json(-1e308),
        json(""),
        json("|"),
        json("../x"),
        json(std::string(3000, 'a')),
        json::array(),
        json::object(),
    };
    auto const choice = below(random, values.size() + 2);
    if (choice < values.size()) return values[choice];
    if (choice == values.size()) return *all[below(random, all.size())];  // a value from elsewhere
    json nested = 1;
    for (int depth = 0; depth < 120; ++depth) nested = json::array({std::move(nested)});
    return nested;
}

void change_members(json& container, Random& random) {
    auto const place = std::next(
        container.begin(), static_cast<json::difference_type>(below(random, container.size())));
    auto const choice = below(random, 3);
    if (choice == 0) {
        container.erase(place);
    } else if (container.is_array()) {
        container.push_back(json(*place));
    } else {
        json const copy = *place;
        container[choice == 1 ? place.key() + "_" : "\xC3\xA9"] = copy;
    }
}

}  // namespace

std::optional<std::string> mutate_json(std::string_view text, std::uint32_t seed) {
    auto document = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded()) return std::nullopt;
    Random random{seed};
    std::vector<json*> all;
    collect(document, all);
    auto& chosen = *all[below(random, all.size())];
    if (chosen.is_structured() && !chosen.empty() && below(random, 2) == 0) {
        change_members(chosen, random);
    } else {
        chosen = troublesome(random, all);
    }
    return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace derate
