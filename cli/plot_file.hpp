#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "reports/html_page.hpp"

namespace derate::cli {

/// Before anything is priced: a page or a picture can be written there.
///
/// \param targets  pieces of hardware, each a picture
/// \throws InputError  naming --output. \throws EnvironmentRefused  this build draws no page
void check_plot_file(std::filesystem::path const& file, std::size_t targets);

/// A page of all sections, or the picture of the first.
void write_plots(std::filesystem::path const& file, std::string const& title,
                 std::vector<PageSection> const& sections);

}  // namespace derate::cli
