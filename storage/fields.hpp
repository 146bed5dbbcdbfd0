#pragma once
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace derate {

/// A whole number of JSON (1.0 is none) that `Integer` holds: every integer of a file comes through
/// here, as nlohmann's own get<int>() drops the bits that do not fit.
///
/// \throws InputError  naming `where`: another type, below `least`, beyond `Integer`
template <std::integral Integer>
[[nodiscard]] Integer integer_of(nlohmann::json const& value, std::string_view where,
                                 std::type_identity_t<Integer> least);

/// Where a file's whole document stands: "<file>#", also for a file whose name holds '#'.
[[nodiscard]] std::string file_root(std::string_view file);

/// Reads the fields of one JSON object and knows where it is, so that every message names file and
/// JSON pointer.
///
///     JsonFields fields{json, "a.json#/hardware"};
///     auto const id = fields.text("id");
///     auto const power = fields.optional_text("power_mode");  // absent or null
///     fields.reject_unknown();
///
/// Every reader throws InputError: field missing, wrong type, value out of range. Not-a-number
/// cannot occur: JSON has none.
class JsonFields {
  public:
    /// \param where  "<file>#<pointer of this object>"; without '#', the file alone
    /// \throws InputError  `json` is not an object
    JsonFields(nlohmann::json const& json, std::string where);

    [[nodiscard]] std::string const& where() const { return where_; }
    /// `where()` of a field, or of an element of an array field.
    [[nodiscard]] std::string where(std::string_view name) const;
    [[nodiscard]] std::string where(std::string_view name, std::size_t index) const;

    [[nodiscard]] nlohmann::json const& at(std::string_view name);
    [[nodiscard]] nlohmann::json const* find(
        std::string_view name);  ///< null for absent and JSON null

    /// The field is there, be it null: for fields whose absence says something else.
    [[nodiscard]] bool has(std::string_view name);

    [[nodiscard]] double number(std::string_view name);
    [[nodiscard]] double positive(std::string_view name);
    [[nodiscard]] double not_negative(std::string_view name);
    template <std::integral Integer = std::int64_t>
    [[nodiscard]] Integer integer(std::string_view name, std::type_identity_t<Integer> least) {
        return integer_of<Integer>(at(name), where(name), least);
    }
    [[nodiscard]] std::string text(std::string_view name);
    [[nodiscard]] bool flag(std::string_view name);
    [[nodiscard]] nlohmann::json const& array(std::string_view name);
    [[nodiscard]] std::vector<double> numbers(std::string_view name);
    [[nodiscard]] std::vector<std::string> texts(std::string_view name);
    [[nodiscard]] JsonFields object(std::string_view name);

    [[nodiscard]] std::optional<double> optional_number(std::string_view name);
    [[nodiscard]] std::optional<double> optional_positive(std::string_view name);
    [[nodiscard]] std::optional<std::string> optional_text(std::string_view name);
    [[nodiscard]] std::optional<JsonFields> optional_object(std::string_view name);

    /// Text, flag, number or integer of any sign, as `Value` says; left alone where absent or null.
    template <class Value>
    void read_into(std::optional<Value>& value, std::string_view name) {
        if (find(name) == nullptr) return;
        if constexpr (std::is_same_v<Value, std::string>) {
            value = text(name);
        } else if constexpr (std::is_same_v<Value, bool>) {
            value = flag(name);
        } else if constexpr (std::is_floating_point_v<Value>) {
            value = number(name);
        } else {
            value = integer<Value>(name, std::numeric_limits<Value>::min());
        }
    }

    /// A field that is written for people and computed again on reading.
    void ignore(std::string_view name);

    /// A word from a closed list.
    /// \param parse  std::optional<T>(std::string_view)
    template <class Parse>
    [[nodiscard]] auto word(std::string_view name, Parse parse, std::string_view required) {
        auto const given = text(name);
        auto const value = parse(std::string_view{given});
        if (!value) fail(name, "got \"" + given + "\"", required);
        return *value;
    }

    /// \throws InputError naming the first field that nothing asked for
    void reject_unknown() const;

    [[noreturn]] void fail(std::string_view name, std::string_view problem,
                           std::string_view required) const;

  private:
    nlohmann::json const* json_;
    std::string where_;
    std::vector<std::string_view> known_;
};

/// Checks `"format"` and `"version"` of a file.
/// \throws InputError  another format, or a version newer than `newest`
void require_format(JsonFields& fields, std::string_view format, int newest);

/// A model's field "batch": null where it is unknown.
[[nodiscard]] std::optional<int> optional_batch(JsonFields& fields);

/// null for an empty optional; what has a to_json() of ours is written by it.
template <class T>
[[nodiscard]] nlohmann::json json_or_null(std::optional<T> const& value) {
    if (!value) return nullptr;
    if constexpr (requires { to_json(*value); }) {
        return to_json(*value);
    } else {
        return nlohmann::json(*value);
    }
}

/// \throws InputError  always, with `value` shortened to what a line can show
[[noreturn]] void refuse_value(nlohmann::json const& value, std::string_view where,
                               std::string_view required);

template <std::integral Integer>
Integer integer_of(nlohmann::json const& value, std::string_view where,
                   std::type_identity_t<Integer> least) {
    if (!value.is_number_integer()) refuse_value(value, where, "an integer");
    bool const fits = value.is_number_unsigned()
                          ? std::in_range<Integer>(value.get<std::uint64_t>())
                          : std::in_range<Integer>(value.get<std::int64_t>());
    if (fits && value.get<Integer>() >= least) return value.get<Integer>();
    bool const is_negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    auto const limit = is_negative || fits ? std::to_string(least)
                                           : std::to_string(std::numeric_limits<Integer>::max());
    refuse_value(value, where, (is_negative || fits ? "at least " : "at most ") + limit);
}

}  // namespace derate
