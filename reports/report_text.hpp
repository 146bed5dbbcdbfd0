#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace derate {

/// A table of words and numbers; every row has as many cells as the header.
struct TextTable {
    std::vector<std::string> header;
    std::vector<std::vector<std::string>> rows;
    std::size_t first_number = 1;  ///< columns from here on are numbers, to the right
};

/// Text as one cell of a Markdown table shows it: '|' and '\\' would end the cell or hide its end, a
/// new line would end the table.
[[nodiscard]] std::string markdown_cell(std::string_view text);

/// With an empty line behind it.
[[nodiscard]] std::string markdown_table(TextTable const& table);

/// Columns as wide as their widest cell, no blanks at the end of a line; an empty line behind it.
[[nodiscard]] std::string plain_table(TextTable const& table);

/// One part of a report, the same in Markdown and on a terminal.
struct ReportSection {
    std::string title;
    std::string words;                 ///< one paragraph; may be empty
    TextTable table;                   ///< left out where it has no rows
    std::vector<std::string> items{};  ///< a numbered list; may be empty
};

/// Lines of at most `columns` characters, broken at blanks; a newline at the end.
[[nodiscard]] std::string wrapped(std::string const& words, int columns);

/// Characters, not bytes, of UTF-8 text.
[[nodiscard]] std::size_t letters(std::string const& text);

/// "4.2 %" of a fraction, with so many significant digits.
[[nodiscard]] std::string percent_of(double fraction, int digits = 2);

/// "1 model", "3 models".
[[nodiscard]] std::string count_of(std::size_t count, std::string const& one,
                                   std::string const& many);

/// "a, b and c"; beyond `most` names "a, b, c, d, e and 4 more".
[[nodiscard]] std::string listed(std::vector<std::string> const& names, std::size_t most = 5);

}  // namespace derate
