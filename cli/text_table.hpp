#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace derate::cli {

using TableRow = std::vector<std::string>;

/// Lines with columns as wide as their widest cell (in characters, not bytes), words to the left,
/// from column `first_number` on to the right; no blanks at the end of a line.
///
/// \param rows  one or more, the head first, all with as many cells
[[nodiscard]] std::string text_table(std::vector<TableRow> const& rows, std::size_t first_number);

}  // namespace derate::cli
