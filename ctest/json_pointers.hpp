#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace derate {

/// Pointers to every value below a document's root, containers included, in the order of the file.
inline void all_pointers(nlohmann::json const& value, std::string const& pointer,
                         std::vector<std::string>& result) {
    if (!pointer.empty()) result.push_back(pointer);
    if (value.is_object()) {
        for (auto const& [key, member] : value.items()) {
            all_pointers(member, pointer + "/" + key, result);
        }
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            all_pointers(value[i], pointer + "/" + std::to_string(i), result);
        }
    }
}

}  // namespace derate
