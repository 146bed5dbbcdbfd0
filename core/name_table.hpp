#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace derate {

/// Values of an enumeration with the names that files and people use.
template <class Value, std::size_t count>
using NameTable = std::array<std::pair<Value, std::string_view>, count>;

/// Empty for a value that the table lacks.
template <class Value, std::size_t count>
[[nodiscard]] constexpr std::string_view name_of(Value value, NameTable<Value, count> const& table) {
    for (auto const& [known, name] : table) {
        if (known == value) return name;
    }
    return {};
}

template <class Value, std::size_t count>
[[nodiscard]] constexpr std::optional<Value> value_named(std::string_view text,
                                                         NameTable<Value, count> const& table) {
    for (auto const& [known, name] : table) {
        if (name == text) return known;
    }
    return std::nullopt;
}

}  // namespace derate
