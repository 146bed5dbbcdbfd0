#pragma once
#include <string>

namespace derate::cli {

/// Appends a report to the page of a GitHub Actions run, the file that GITHUB_STEP_SUMMARY names;
/// does nothing elsewhere.
void append_step_summary(std::string const& markdown);

}  // namespace derate::cli
