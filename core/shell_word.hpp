#pragma once
#include <string>
#include <string_view>

namespace derate {

/// One word of a POSIX shell, whatever is in `text`: as it is where no letter has a meaning there,
/// else in single quotes.
[[nodiscard]] std::string shell_word(std::string_view text);

}  // namespace derate
