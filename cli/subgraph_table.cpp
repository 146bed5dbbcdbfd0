#include "cli/subgraph_table.hpp"

#include <algorithm>
#include <cstddef>

namespace derate::cli {
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
