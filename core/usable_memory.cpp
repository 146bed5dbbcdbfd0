#include "core/usable_memory.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace derate {
namespace {

namespace fs = std::filesystem;

/// The number that a file begins with; empty for "max", or without the file.
std::optional<double> number_in(fs::path const& path) {
    std::ifstream file{path};
    double value = 0;
    if (!(file >> value)) return std::nullopt;
    return value;
}

/// Of a file of lines "name value"; 0 where it has none.
double value_of(fs::path const& path, std::string const& name) {
    std::ifstream file{path};
    std::string found;
    for (double value = 0; file >> found >> value;) {
        if (found == name) return value;
    }
    return 0;
}

/// Free bytes below a group's limit; empty without one.
std::optional<double> left_in_group(fs::path const& folder, char const* limit_name,
                                    char const* used_name, char const* droppable) {
    auto const limit = number_in(folder / limit_name);
    auto const used = number_in(folder / used_name);
    if (!limit || !used) return std::nullopt;
    double const kept = *used - value_of(folder / "memory.stat", droppable);
    return std::max(0.0, *limit - std::max(0.0, kept));
}

/// "/user.slice/job.scope" of the line "0::/user.slice/job.scope".
fs::path own_group(fs::path const& root) {
    std::ifstream file{root / "proc/self/cgroup"};
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("0::")) return fs::path{line.substr(3)}.relative_path();
    }
    return {};
}

}  // namespace

double usable_memory_bytes(fs::path const& root) {
    double free_bytes = 8e9;
    std::ifstream file{root / "proc/meminfo"};
    std::string name;
    double kibibytes = 0;
    for (std::string unit; file >> name >> kibibytes; std::getline(file, unit)) {
        if (name == "MemAvailable:") free_bytes = kibibytes * 1024;
    }
    auto const groups = root / "sys/fs/cgroup";
    for (auto group = own_group(root);; group = group.parent_path()) {
        auto const left =
            left_in_group(groups / group, "memory.max", "memory.current", "inactive_file");
        if (left) free_bytes = std::min(free_bytes, *left);
        if (group.empty()) break;
    }
    // Without a limit version 1 shows a number near 2^63.
    auto const left = left_in_group(groups / "memory", "memory.limit_in_bytes",
                                    "memory.usage_in_bytes", "total_inactive_file");
    if (left) free_bytes = std::min(free_bytes, *left);
    return free_bytes / 2;
}

}  // namespace derate
