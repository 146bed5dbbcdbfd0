#pragma once
#include <string>

namespace derate::cli {

/// The date in UTC: "2026-11-28".
[[nodiscard]] std::string today();

}  // namespace derate::cli
