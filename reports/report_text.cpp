#include "reports/report_text.hpp"

#include <algorithm>

#include "core/format_quantity.hpp"

namespace derate {
namespace {

using Row = std::vector<std::string>;

}  // namespace

std::size_t letters(std::string const& text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

std::string markdown_cell(std::string_view text) {
    std::string cell;
    for (char const letter : text) {
        if (letter == '|' || letter == '\\') cell += '\\';
        cell += letter == '\n' || letter == '\r' ? ' ' : letter;
    }
    return cell;
}

std::string markdown_table(TextTable const& table) {
    auto const line = [](Row const& row) {
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

std::string plain_table(TextTable const& table) {
    std::vector<std::size_t> widths(table.header.size(), 0);
    auto const widen = [&](Row const& row) {
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], letters(row[i]));
    };
    widen(table.header);
    for (auto const& row : table.rows) widen(row);
    auto const line = [&](Row const& row) {
        std::string text;
        for (std::size_t i = 0; i < row.size(); ++i) {
            std::string const gap(widths[i] - letters(row[i]), ' ');
            if (i > 0) text += "  ";
            text += i >= table.first_number ? gap + row[i] : row[i] + gap;
        }
        text.erase(text.find_last_not_of(' ') + 1);
        return text + "\n";
    };
    std::string text = line(table.header);
    for (auto const& row : table.rows) text += line(row);
    return text + "\n";
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
