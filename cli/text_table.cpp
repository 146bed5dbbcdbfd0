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

namespace {

struct JoinedRows {
    std::vector<TableRow> rows;
    std::size_t represented = 0;  ///< rows of the whole table, without its head
};

JoinedRows joined(std::vector<TableRow> const& rows, std::size_t most) {
    JoinedRows result{.rows = {rows.front()}};
    for (std::size_t first = 1; first < rows.size() && result.rows.size() <= most;) {
        auto end = first + 1;
        while (end < rows.size() && std::equal(rows[end].begin() + 1, rows[end].end(),
                                               rows[first].begin() + 1, rows[first].end())) {
            ++end;
        }
        auto& row = result.rows.emplace_back(rows[first]);
        if (end - first > 1) row.front() += " (x " + std::to_string(end - first) + ")";
        result.represented += end - first;
        first = end;
    }
    return result;
}

}  // namespace

std::vector<TableRow> with_equal_rows_joined(std::vector<TableRow> const& rows) {
    return joined(rows, rows.size()).rows;
}

std::string slowest_table(std::vector<TableRow> const& rows, std::size_t first_number) {
    auto const shown = joined(rows, 10);
    return "The slowest " + std::to_string(shown.represented) + " of " +
           std::to_string(rows.size() - 1) + " subgraphs:\n" + text_table(shown.rows, first_number);
}

}  // namespace derate::cli
