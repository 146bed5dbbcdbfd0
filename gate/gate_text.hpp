#pragma once
#include <string>

namespace derate {

/// printf into a string, for the sentences of verdicts.
[[gnu::format(printf, 1, 2)]] [[nodiscard]] std::string text(char const* format, ...);

}  // namespace derate
