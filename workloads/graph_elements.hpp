#pragma once
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace derate {

/// Reads elements of an exported graph's JSON and knows where it is, so that every message names
/// file and JSON pointer.
///
/// Every reader throws InputError: member missing, wrong type, value out of range. `what` names the
/// element in the message.
class GraphElements {
  public:
    using array = simdjson::dom::array;
    using element = simdjson::dom::element;
    using object = simdjson::dom::object;

    explicit GraphElements(std::string_view where) : where_{where} {}

    /// What is read from here on stands at this JSON pointer.
    void go_to(std::string place) { place_ = std::move(place); }
    [[nodiscard]] std::string const& place() const { return place_; }

    /// \param parser  owns what is returned
    [[nodiscard]] element parse(simdjson::dom::parser& parser, std::string_view text) const;

    [[nodiscard]] element member(element parent, std::string_view key) const;
    [[nodiscard]] std::string_view text_of(element value, std::string_view what) const;
    /// Words that stand in descriptors without quotes.
    [[nodiscard]] std::string_view identifier_of(element value, std::string_view what) const;
    [[nodiscard]] std::int64_t integer_of(element value, std::string_view what) const;
    [[nodiscard]] double number_of(element value, std::string_view what) const;
    [[nodiscard]] bool flag_of(element value, std::string_view what) const;
    [[nodiscard]] array list_of(element value, std::string_view what) const;
    [[nodiscard]] object object_of(element value, std::string_view what) const;
    /// The one member of a union: {"as_int": 3} gives ("as_int", 3).
    [[nodiscard]] std::pair<std::string_view, element> only_member(element value,
                                                                   std::string_view what) const;

    template <class Read>
    [[nodiscard]] auto all_of(element value, std::string_view what, Read read) const {
        std::vector<decltype(read(value))> items;
        for (auto const item : list_of(value, what)) items.push_back(read(item));
        return items;
    }

    /// File and JSON pointer, as messages name them.
    [[nodiscard]] std::string location() const {
        return place_.empty() ? where_ : where_ + "#" + place_;
    }
    [[noreturn]] void refuse(std::string_view problem, std::string_view required) const;

  private:
    std::string where_;
    std::string place_;  ///< JSON pointer of what is being read
};

}  // namespace derate
