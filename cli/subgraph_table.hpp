#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "reports/report_text.hpp"

namespace derate::cli {

/// Neighbours that differ in their first cell alone become one row, "34 (x 3)": the first of three.
[[nodiscard]] std::vector<TableRow> with_equal_rows_joined(std::vector<TableRow> const& rows);

/// "The slowest 10 of 55 subgraphs:" and the table of them, equal rows joined; ten rows at most.
///
/// \param rows  the head, then one a subgraph, slowest first
[[nodiscard]] std::string slowest_table(std::vector<TableRow> const& rows,
                                        std::size_t first_number);

}  // namespace derate::cli
