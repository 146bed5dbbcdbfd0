#include "reports/report_text.hpp"

#include <algorithm>

#include "core/format_quantity.hpp"

namespace derate {
namespace {

/// Characters, not bytes, of UTF-8 text.
std::size_t letters(std::string const& text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

}  // namespace

std::string markdown_cell(std::string_view text) {
    std::string cell;
    for (char const letter : text) {
        if (letter == '|' || letter == '\\') cell += '\\';
        cell += letter == '\n' || letter == '\r' ? ' ' : letter;
    }
    return cell;
}

std::string markdown_table(TextTable const& table) {
    auto const line = [](TableRow const& row) {
        std::string text = "|";
        for (auto const& cell : row) text += " " + markdown_cell(cell) + " |";
        return text + "\n";
    };
    std::string text = line(table.header) + "|";
    for (std::size_t i = 0; i < table.header.size(); ++i) {
        text += i >= table.first_number ? "---:|" : "---|";
    }
    text += "\n";
    for (auto const& row : table.rows) text += line(row);
    return text + "\n";
}

std::string text_table(std::vector<TableRow> const& rows, std::size_t first_number) {
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (auto const& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], letters(row[i]));
        }
    }
    std::string table;
    for (auto const& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            std::string const gap(widths[i] - letters(row[i]), ' ');
            if (i > 0) line += "  ";
            line += i >= first_number ? gap + row[i] : row[i] + gap;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        table += line + "\n";
    }
    return table;
}

std::string markdown_section(ReportSection const& section, std::size_t level) {
    auto text = std::string(level, '#') + " " + section.title + "\n\n";
    if (!section.words.empty()) text += section.words + "\n\n";
    if (!section.table.rows.empty()) text += markdown_table(section.table);
    for (std::size_t i = 0; i < section.items.size(); ++i) {
        text += std::to_string(i + 1) + ". " + section.items[i] + "\n";
    }
    if (!section.items.empty()) text += "\n";
    return text;
}

std::string plain_section(ReportSection const& section, int columns) {
    auto text = underlined(section.title, '-');
    if (!section.words.empty()) text += wrapped(section.words, columns) + "\n";
    if (!section.table.rows.empty()) {
        auto rows = section.table.rows;
        rows.insert(rows.begin(), section.table.header);
        text += text_table(rows, section.table.first_number) + "\n";
    }
    for (std::size_t i = 0; i < section.items.size(); ++i) {
        text += wrapped(std::to_string(i + 1) + ". " + section.items[i], columns);
    }
    if (!section.items.empty()) text += "\n";
    return text;
}

std::string underlined(std::string const& title, char line) {
    return title + "\n" + std::string(letters(title), line) + "\n";
}

std::string wrapped(std::string const& words, int columns) {
    std::string text;
    std::size_t used = 0;
    for (std::size_t begin = 0; begin < words.size();) {
        auto const end = std::min(words.find(' ', begin), words.size());
        auto const word = words.substr(begin, end - begin);
        if (used > 0 && used + 1 + letters(word) > static_cast<std::size_t>(columns)) {
            text += "\n";
            used = 0;
        }
        if (used > 0) {
            text += " ";
            ++used;
        }
        text += word;
        used += letters(word);
        begin = end + 1;
    }
    return text + "\n";
}

std::string percent_of(double fraction, int digits) {
    return format_significant(100 * fraction, digits) + " %";
}

std::string count_of(std::size_t count, std::string const& one, std::string const& many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string listed(std::vector<std::string> const& names, std::size_t most) {
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), most); ++i) {
        if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
        text += names[i];
    }
    if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
    return text;
}

}  // namespace derate
