#include "cli/text_table.hpp"

#include <algorithm>

namespace derate::cli {
namespace {

// Code points: bytes that do not continue one in UTF-8.
std::size_t width_of(std::string const& text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

}  // namespace

std::string text_table(std::vector<TableRow> const& rows, std::size_t first_number) {
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (auto const& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width_of(row[i]));
        }
    }
    std::string table;
    for (auto const& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            std::string const gap(widths[i] - width_of(row[i]), ' ');
            if (i > 0) line += "  ";
            line += i >= first_number ? gap + row[i] : row[i] + gap;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        table += line + "\n";
    }
    return table;
}

}  // namespace derate::cli
