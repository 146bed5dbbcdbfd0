#pragma once
#include <string_view>

namespace derate {

/// Vega, Vega-Lite and vega-embed as one script; empty in a build that did not have them.
[[nodiscard]] std::string_view vega_scripts();

}  // namespace derate
