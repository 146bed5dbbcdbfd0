#include "workloads/graph_elements.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

#include "core/input_error.hpp"

namespace derate {
namespace {

constexpr std::size_t nesting_limit = 100;

}  // namespace

GraphElements::element GraphElements::parse(simdjson::dom::parser& parser,
                                            std::string_view text) const {
    if (auto const error = parser.allocate(std::max(text.size(), std::size_t{64}), nesting_limit)) {
        refuse(simdjson::error_message(error), "a graph that fits the memory");
    }
    element root;
    if (auto const error = parser.parse(text.data(), text.size()).get(root)) {
        if (error == simdjson::DEPTH_ERROR) {
            refuse("nested deeper than " + std::to_string(nesting_limit) + " levels",
                   "the graph of an exported program");
        }
        refuse(std::string{"not JSON: "} + simdjson::error_message(error),
               "the graph of an exported program");
    }
    return root;
}

GraphElements::element GraphElements::member(element parent, std::string_view key) const {
    element child;
    if (parent[key].get(child) != simdjson::SUCCESS) {
        refuse("no member \"" + std::string{key} + "\"", "the graph of an exported program");
    }
    return child;
}

std::string_view GraphElements::text_of(element value, std::string_view what) const {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) {
        refuse(std::string{what} + " is not a string", "a string");
    }
    return text;
}

std::string_view GraphElements::identifier_of(element value, std::string_view what) const {
    auto const text = text_of(value, what);
    bool const is_plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.';
    });
    if (text.empty() || !is_plain) {
        refuse(std::string{what} + " \"" + std::string{text} + "\"", "letters, digits and '_'");
    }
    return text;
}

std::int64_t GraphElements::integer_of(element value, std::string_view what) const {
    std::int64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS) {
        refuse(std::string{what} + " is not an integer", "an integer of 64 bits");
    }
    return number;
}

double GraphElements::number_of(element value, std::string_view what) const {
    double number = 0;
    if (value.get(number) == simdjson::SUCCESS) return number;
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {  // JSON has no infinity: exports write a word
        constexpr double infinity = std::numeric_limits<double>::infinity();
        if (text == "Infinity" || text == "inf") return infinity;
        if (text == "-Infinity" || text == "-inf") return -infinity;
        if (text == "NaN" || text == "nan") return std::numeric_limits<double>::quiet_NaN();
    }
    refuse(std::string{what} + " is not a number", "a number");
}

bool GraphElements::flag_of(element value, std::string_view what) const {
    bool flag = false;
    if (value.get(flag) != simdjson::SUCCESS) {
        refuse(std::string{what} + " is neither true nor false", "true or false");
    }
    return flag;
}

GraphElements::array GraphElements::list_of(element value, std::string_view what) const {
    array list;
    if (value.get(list) != simdjson::SUCCESS) {
        refuse(std::string{what} + " is not a list", "a list");
    }
    return list;
}

GraphElements::object GraphElements::object_of(element value, std::string_view what) const {
    object members;
    if (value.get(members) != simdjson::SUCCESS) {
        refuse(std::string{what} + " is not an object", "an object");
    }
    return members;
}

std::pair<std::string_view, GraphElements::element> GraphElements::only_member(
    element value, std::string_view what) const {
    auto const members = object_of(value, what);
    auto const first = members.begin();
    if (first == members.end()) refuse(std::string{what} + " is empty", "one member");
    return {first.key(), first.value()};
}

void GraphElements::refuse(std::string_view problem, std::string_view required) const {
    throw InputError{location(), problem, required};
}

}  // namespace derate
