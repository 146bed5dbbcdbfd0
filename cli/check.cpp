#include <CLI/App.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "core/input_error.hpp"
#include "reports/report_text.hpp"
#include "storage/file_check.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

/// The files asked for; a folder stands for the files in it.
std::vector<fs::path> files_of(std::vector<fs::path> const& given) {
    std::vector<fs::path> files;
    for (auto const& path : given) {
        std::error_code error;
        if (!fs::is_directory(path, error)) {
            files.push_back(path);
            continue;
        }
        auto const inside = checkable_files(path);
        if (inside.empty()) {
            throw InputError{path.string(), "holds no *.json file", "files of a registry"};
        }
        files.insert(files.end(), inside.begin(), inside.end());
    }
    return files;
}

nlohmann::json to_json(fs::path const& file, std::vector<Violation> const& violations) {
    nlohmann::json list = nlohmann::json::array();
    for (auto const& [pointer, problem, required] : violations) {
        list.push_back({{"pointer", pointer}, {"problem", problem}, {"required", required}});
    }
    return {{"file", file.string()}, {"valid", violations.empty()}, {"violations", list}};
}

ExitCode check(std::vector<fs::path> const& given, CommonFlags const& common) {
    nlohmann::json results = nlohmann::json::array();
    std::size_t violation_count = 0;
    auto const files = files_of(given);
    for (auto const& file : files) {
        auto const violations = check_file(file);
        violation_count += violations.size();
        if (common.json) {
            results.push_back(to_json(file, violations));
            continue;
        }
        if (violations.empty()) std::printf("%s: ok\n", file.c_str());
        for (auto const& [pointer, problem, required] : violations) {
            std::printf("%s%s%s: %s (%s)\n", file.c_str(), pointer.empty() ? "" : "#",
                        pointer.c_str(), problem.c_str(), required.c_str());
        }
    }
    if (common.json) {
        print_json("output_check_v1.json", std::move(results));
    } else if (!common.quiet) {
        std::fprintf(stderr, "%s, %s\n", count_of(files.size(), "file", "files").c_str(),
                     count_of(violation_count, "violation", "violations").c_str());
    }
    return violation_count == 0 ? exit_pass : exit_bad_input;
}

}  // namespace

Run add_check(CLI::App& command) {
    auto const files = std::make_shared<std::vector<fs::path>>();
    command.add_option("files", *files, "Files, or folders whose files are checked")->required();
    return [files](CommonFlags const& common) { return check(*files, common); };
}

}  // namespace derate::cli
