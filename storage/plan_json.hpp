#pragma once
#include <string>
#include <string_view>

#include "measuring/plan.hpp"

namespace derate {

/// The plan file that derate-bench reads.
[[nodiscard]] std::string to_json_text(Plan const& plan);

/// \param where  names the text in messages
/// \throws InputError  not JSON, a missing or unknown field, a step or case that points nowhere
[[nodiscard]] Plan plan_from_json(std::string_view text, std::string_view where);

}  // namespace derate
