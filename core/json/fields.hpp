#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace derate {

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
    /// \param where  "<file>#<pointer of this object>"
    /// \throws InputError  `json` is not an object
    JsonFields(nlohmann::json const& json, std::string where);

    [[nodiscard]] std::string const& where() const { return where_; }
    /// `where()` of a field, or of an element of an array field.
    [[nodiscard]] std::string where(std::string_view name) const;
    [[nodiscard]] std::string where(std::string_view name, std::size_t index) const;

    [[nodiscard]] nlohmann::json const& at(std::string_view name);
    [[nodiscard]] nlohmann::json const* find(
        std::string_view name);  ///< null for absent and JSON null

    [[nodiscard]] double number(std::string_view name);
    [[nodiscard]] double positive(std::string_view name);
    [[nodiscard]] double not_negative(std::string_view name);
    [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t least);
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

/// null for an empty optional.
template <class T>
[[nodiscard]] nlohmann::json json_or_null(std::optional<T> const& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

}  // namespace derate
