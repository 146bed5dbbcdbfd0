#pragma once
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace derate {

/// One broken rule, for a person who is to mend the file.
struct Violation {
    std::string pointer;   ///< JSON pointer (RFC 6901) to the place; empty: the whole file
    std::string problem;   ///< e.g. "got -1"
    std::string required;  ///< e.g. "a number above 0"

    friend bool operator==(Violation const&, Violation const&) = default;
};

/// The formats that have a JSON Schema, under hardware_registry/schema/. The schemas are compiled
/// into the program, so that a file is always judged by the rules of the program that reads it.
enum class SchemaName { efficiency_calibration, hardware, measurement };

/// "efficiency_calibration_v1.json", ...
[[nodiscard]] std::string_view to_string(SchemaName name);

/// Text of the schema file.
[[nodiscard]] std::string_view schema_text(SchemaName name);

/// Every place where `json` departs from the schema (draft 7), in the file's order; empty if none.
/// An unknown key comes with the known key that was probably meant.
[[nodiscard]] std::vector<Violation> check_schema(nlohmann::json const& json, SchemaName name);

/// The same by the text of a schema, whose references all begin with "#".
[[nodiscard]] std::vector<Violation> check_schema(nlohmann::json const& json,
                                                  nlohmann::json const& schema);

}  // namespace derate
