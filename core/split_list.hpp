#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace derate {

/// The parts between commas; empty ones are left out.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);

}  // namespace derate
