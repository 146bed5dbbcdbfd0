#include "cli/step_summary.hpp"

#include <cstdlib>
#include <fstream>

namespace derate::cli {

void append_step_summary(std::string const& markdown) {
    auto const* page = std::getenv("GITHUB_STEP_SUMMARY");
    if (page == nullptr || *page == '\0') return;
    std::ofstream{page, std::ios::app} << markdown << '\n';
}

}  // namespace derate::cli
