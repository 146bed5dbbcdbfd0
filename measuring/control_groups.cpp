#include "measuring/control_groups.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <ranges>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace derate {
namespace {

namespace fs = std::filesystem;

/// A folder with the limits of a control group; it may be missing.
struct ControlGroup {
    fs::path folder;
    int version = 2;  ///< of the interface, which names its files otherwise
};

/// A mounted hierarchy: what of it is to be seen, and where.
struct Mount {
    int version = 2;
    fs::path shown_group;  ///< its path as /proc/self/cgroup names groups: "/", "/../..", "/docker"
    fs::path place;
};

/// Path of this process's group in a hierarchy, by the version of that.
struct Membership {
    int version = 2;
    std::string controllers;  ///< of version 1: "cpu,cpuacct"
    fs::path group;
};

bool names(std::string_view list, std::string_view word) {
    return std::ranges::any_of(std::views::split(list, ','), [word](auto const& part) {
        return std::string_view{part.begin(), part.end()} == word;
    });
}

/// "\040" is a blank in mountinfo.
std::string unescaped(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto const digit = [&](std::size_t at) {
            return at < text.size() && text[at] >= '0' && text[at] <= '7' ? text[at] - '0' : -1;
        };
        if (text[i] == '\\' && digit(i + 1) >= 0 && digit(i + 2) >= 0 && digit(i + 3) >= 0) {
            plain += static_cast<char>(64 * digit(i + 1) + 8 * digit(i + 2) + digit(i + 3));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

/// Of lines "31 23 0:28 /shown /place rw shared:1 - cgroup cgroup rw,cpu".
std::vector<Mount> mounts_of(std::string_view controller, fs::path const& root) {
    std::vector<Mount> mounts;
    std::ifstream file{root / "proc/self/mountinfo"};
    for (std::string line; std::getline(file, line);) {
        std::istringstream stream{line};
        std::vector<std::string> const words{std::istream_iterator<std::string>{stream}, {}};
        auto const dash = std::ranges::find(words, "-");
        if (dash - words.begin() < 6 || words.end() - dash < 4) continue;
        auto const& kind = dash[1];
        bool const second = kind == "cgroup2";
        if (!second && !(kind == "cgroup" && names(dash[3], controller))) continue;
        mounts.push_back({.version = second ? 2 : 1,
                          .shown_group = unescaped(words[3]),
                          .place = unescaped(words[4])});
    }
    return mounts;
}

/// Of lines "4:cpu,cpuacct:/group" (version 1) and "0::/group" (version 2).
std::vector<Membership> memberships_of(std::string_view controller, fs::path const& root) {
    std::vector<Membership> found;
    std::ifstream file{root / "proc/self/cgroup"};
    if (!file) return {{2, "", "/"}, {1, std::string{controller}, "/"}};
    for (std::string line; std::getline(file, line);) {
        auto const first = line.find(':');
        auto const second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        auto const controllers = line.substr(first + 1, second - first - 1);
        bool const unified = line.starts_with("0:") && controllers.empty();
        if (!unified && !names(controllers, controller)) continue;
        found.push_back({unified ? 2 : 1, controllers, line.substr(second + 1)});
    }
    return found;
}

/// Where systemd mounts a hierarchy, for a /proc that does not tell.
std::vector<Mount> usual_mounts(Membership const& membership, std::string_view controller) {
    fs::path const groups = "/sys/fs/cgroup";
    if (membership.version == 2) return {{2, "/", groups}, {2, "/", groups / "unified"}};
    return {{1, "/", groups / membership.controllers}, {1, "/", groups / controller}};
}

/// `group` as seen from the mount, "" for the mount's own; empty where it lies elsewhere.
std::optional<fs::path> below(fs::path const& group, fs::path const& shown_group) {
    // From inside a namespace a mount made outside begins at "/..": what leads from there to "/"
    // has no name here, but what is mounted lies above this process.
    auto const depth = std::distance(shown_group.begin(), shown_group.end());
    bool const above = std::ranges::count(shown_group, fs::path{".."}) == depth - 1;
    auto const relative = group.lexically_relative(shown_group);
    if (relative.empty()) return above ? std::optional<fs::path>{""} : std::nullopt;
    if (*relative.begin() == "..") return std::nullopt;
    return relative == "." ? fs::path{} : relative;
}

/// Those that this process is in, as far up as they are mounted.
///
/// \param controller  "cpu" or "memory"
std::vector<ControlGroup> control_groups(std::string_view controller, fs::path const& root) {
    auto const told = mounts_of(controller, root);
    std::vector<ControlGroup> groups;
    for (auto const& membership : memberships_of(controller, root)) {
        auto mounts = told;
        for (auto& usual : usual_mounts(membership, controller)) {
            if (std::ranges::count(told, usual.place, &Mount::place) == 0) {
                mounts.push_back(std::move(usual));
            }
        }
        for (auto const& mount : mounts) {
            if (mount.version != membership.version) continue;
            auto const own = below(membership.group, mount.shown_group);
            if (!own) continue;
            for (auto group = *own;; group = group.parent_path()) {
                auto folder = root / mount.place.relative_path();
                if (!group.empty()) folder /= group;
                groups.push_back({.folder = folder, .version = mount.version});
                if (group.empty()) break;
            }
        }
    }
    return groups;
}

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

/// The lesser of two, an empty one being none.
std::optional<double> least(std::optional<double> a, std::optional<double> b) {
    return a && b ? std::min(a, b) : a ? a : b;
}

std::optional<double> quota_of(ControlGroup const& group) {
    double quota_us = 0;
    double period_us = 0;
    if (group.version == 2) {
        std::ifstream file{group.folder / "cpu.max"};  // "50000 100000", or "max 100000": none
        file >> quota_us >> period_us;
    } else {
        quota_us = number_in(group.folder / "cpu.cfs_quota_us").value_or(0);  // -1: none
        period_us = number_in(group.folder / "cpu.cfs_period_us").value_or(0);
    }
    if (!(quota_us > 0) || !(period_us > 0)) return std::nullopt;
    return quota_us / period_us;
}

std::optional<double> free_memory_of(ControlGroup const& group) {
    bool const second = group.version == 2;
    auto const limit = second ? least(number_in(group.folder / "memory.max"),
                                      number_in(group.folder / "memory.high"))
                              // Without a limit version 1 shows a number near 2^63.
                              : number_in(group.folder / "memory.limit_in_bytes");
    auto const used =
        number_in(group.folder / (second ? "memory.current" : "memory.usage_in_bytes"));
    if (!limit || !used) return std::nullopt;
    double const kept = *used - value_of(group.folder / "memory.stat",
                                         second ? "inactive_file" : "total_inactive_file");
    return std::max(0.0, *limit - std::max(0.0, kept));
}

}  // namespace

std::optional<double> cpu_quota(fs::path const& root) {
    std::optional<double> tightest;
    for (auto const& group : control_groups("cpu", root)) {
        tightest = least(tightest, quota_of(group));
    }
    return tightest;
}

std::optional<double> free_group_memory_bytes(fs::path const& root) {
    std::optional<double> tightest;
    for (auto const& group : control_groups("memory", root)) {
        tightest = least(tightest, free_memory_of(group));
    }
    return tightest;
}

}  // namespace derate
