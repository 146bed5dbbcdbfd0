#include "cli/plot_file.hpp"

#include "core/input_error.hpp"
#include "reports/gnuplot.hpp"
#include "storage/file.hpp"

namespace derate::cli {

void check_plot_file(std::filesystem::path const& file, std::size_t targets) {
    auto const extension = file.extension();
    if (extension != ".html" && extension != ".svg") {
        throw InputError{"--output", "got '" + file.string() + "'",
                         "a page FILE.html or a picture FILE.svg"};
    }
    if (extension == ".svg" && targets > 1) {
        throw InputError{"--output", "a picture shows one piece of hardware",
                         "one --hardware, or a page FILE.html"};
    }
    auto const missing = extension == ".html" ? vega_scripts_missing() : std::string{};
    if (!missing.empty()) throw EnvironmentRefused{"--output", missing, "a build that has them"};
}

void write_plots(std::filesystem::path const& file, std::string const& title,
                 std::vector<PageSection> const& sections) {
    write_atomically(file, file.extension() == ".svg" ? draw_svg(sections.front().plots.front())
                                                      : html_page(title, sections));
}

}  // namespace derate::cli
