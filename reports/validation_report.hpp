#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "gate/validation.hpp"

namespace derate {

/// What `derate validate` prints: verdict, rules with their reasons, models, types,
/// recommendations.
[[nodiscard]] std::string validation_text(Validation const& validation);

/// The same with Markdown tables.
[[nodiscard]] std::string validation_markdown(Validation const& validation);

/// The same as data; field names as in docs/validation.md.
[[nodiscard]] nlohmann::json validation_json(Validation const& validation);

/// What to measure, why, and what it takes; one line.
[[nodiscard]] std::string recommendation_text(Recommendation const& recommendation);
[[nodiscard]] nlohmann::json recommendation_json(Recommendation const& recommendation);

/// JUnit XML: one test case a rule, named by the hardware; INCONCLUSIVE is an error, FAIL a
/// failure.
[[nodiscard]] std::string validation_junit(Validation const& validation);

}  // namespace derate
