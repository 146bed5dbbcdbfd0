#pragma once
#include <string>
#include <vector>

#include "reports/plot.hpp"

namespace derate {

/// The picture as a Vega-Lite 5 specification, JSON text; light and dark follow the page.
[[nodiscard]] std::string vega_lite_specification(Plot const& plot);

/// Part of a page: words, then pictures with their tables.
struct PageSection {
    std::string title;
    std::vector<std::string> paragraphs;  ///< plain text, escaped here
    std::vector<Plot> plots;
};

/// One self-contained HTML file: the Vega scripts are inlined, nothing is loaded from a network.
///
/// \throws EnvironmentRefused  this build has no Vega scripts (see vega_scripts_missing())
[[nodiscard]] std::string html_page(std::string const& title,
                                    std::vector<PageSection> const& sections);

/// Why this build cannot write HTML; empty if it can.
[[nodiscard]] std::string vega_scripts_missing();

}  // namespace derate
