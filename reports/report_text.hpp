#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace derate {

using TableRow = std::vector<std::string>;

/// A table of words and numbers; every row has as many cells as the header.
struct TextTable {
    TableRow header;
    std::vector<TableRow> rows;
    std::size_t first_number = 1;  ///< columns from here on are numbers, to the right
};

/// Text as one cell of a Markdown table shows it: '|' and '\\' would end the cell or hide its end,
/// a new line would end the table.
[[nodiscard]] std::string markdown_cell(std::string_view text);

/// With an empty line behind it.
[[nodiscard]] std::string markdown_table(TextTable const& table);

/// Lines with columns as wide as their widest cell (in characters, not bytes), words to the left,
/// from column `first_number` on to the right; no blanks at the end of a line.
///
/// \param rows  one or more, the head first, all with as many cells
[[nodiscard]] std::string text_table(std::vector<TableRow> const& rows, std::size_t first_number);

/// One part of a report, the same in Markdown and on a terminal.
struct ReportSection {
    std::string title;
    std::string words;                 ///< one paragraph; may be empty
    TextTable table;                   ///< left out where it has no rows
    std::vector<std::string> items{};  ///< a numbered list; may be empty
};

/// \param level  of its heading, as many '#'
[[nodiscard]] std::string markdown_section(ReportSection const& section, std::size_t level);

/// For a terminal of `columns` letters.
[[nodiscard]] std::string plain_section(ReportSection const& section, int columns);

/// A heading for a terminal, underlined with `line`.
[[nodiscard]] std::string underlined(std::string const& title, char line);

/// Lines of at most `columns` characters, broken at blanks; a newline at the end.
[[nodiscard]] std::string wrapped(std::string const& words, int columns);

/// "4.2 %" of a fraction, with so many significant digits.
[[nodiscard]] std::string percent_of(double fraction, int digits = 2);

/// "1 model", "3 models".
[[nodiscard]] std::string count_of(std::size_t count, std::string const& one,
                                   std::string const& many);

/// "a, b and c"; beyond `most` names "a, b, c, d, e and 4 more".
[[nodiscard]] std::string listed(std::vector<std::string> const& names, std::size_t most = 5);

}  // namespace derate
