#pragma once
#include <filesystem>
#include <optional>

namespace derate {

// What the control groups of this process grant: the tightest of its own and those above it, as far
// up as they are mounted, in both versions of the interface, because a limit of either binds. Which
// these are stands in /proc/self/cgroup and /proc/self/mountinfo; where the latter tells of no
// mount, the places that systemd mounts at are looked into. What a container's namespace hides
// stays unknown.
//
// `root` is "/" in earnest; a folder with recorded files in tests.
// Source: cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5).

/// CPU time in CPUs: 1.5 is one and a half of them. Empty without a limit, or where none can be
/// read.
[[nodiscard]] std::optional<double> cpu_quota(std::filesystem::path const& root = "/");

/// Bytes below the limit, those included that the kernel can drop. Empty as above.
[[nodiscard]] std::optional<double> free_group_memory_bytes(
    std::filesystem::path const& root = "/");

}  // namespace derate
