#include "measuring/control_groups.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "ctest/temporary_folder.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

/// What the kernel shows of a process's groups, and the limit it runs under.
struct Shown {
    char const* name;
    std::map<std::string, std::string> files;
    std::optional<double> cpus;
};

std::string const first = "/sys/fs/cgroup/cpu/";
std::string const second = "/sys/fs/cgroup/";

/// A line of mountinfo of a hierarchy of version 1, the controller of CPU time.
std::string mounted_v1(std::string const& shown, std::string const& place,
                       std::string const& controllers = "cpu,cpuacct") {
    return "32 31 0:29 " + shown + " " + place + " rw,relatime shared:9 - cgroup cgroup rw," +
           controllers + "\n";
}

std::string mounted_v2(std::string const& shown, std::string const& place) {
    return "29 23 0:26 " + shown + " " + place + " rw - cgroup2 cgroup2 rw,nsdelegate\n";
}

std::vector<Shown> const machines{
    {"nothing to read", {}, std::nullopt},
    {"no limit anywhere",
     {{"/proc/self/cgroup", "0::/a\n"},
      {second + "a/cpu.max", "max 100000\n"},
      {second + "cpu.max", "max 100000\n"}},
     std::nullopt},
    {"the root's, without a word of /proc", {{second + "cpu.max", "150000 100000\n"}}, 1.5},
    {"version 1 without a word of /proc",
     {{first + "cpu.cfs_quota_us", "50000\n"}, {first + "cpu.cfs_period_us", "100000\n"}},
     0.5},
    {"own group",
     {{"/proc/self/cgroup", "0::/app.scope\n"}, {second + "app.scope/cpu.max", "50000 100000\n"}},
     0.5},
    {"a group above",
     {{"/proc/self/cgroup", "0::/batch.slice/job.scope\n"},
      {second + "batch.slice/job.scope/cpu.max", "max 100000\n"},
      {second + "batch.slice/cpu.max", "50000 100000\n"}},
     0.5},
    {"the tightest of three",
     {{"/proc/self/cgroup", "0::/a/b/c\n"},
      {second + "a/cpu.max", "400000 100000\n"},
      {second + "a/b/cpu.max", "30000 20000\n"},
      {second + "a/b/c/cpu.max", "200000 100000\n"}},
     1.5},
    {"a neighbour's binds nobody",
     {{"/proc/self/cgroup", "0::/a/b\n"},
      {second + "a/c/cpu.max", "50000 100000\n"},
      {second + "b/cpu.max", "50000 100000\n"}},
     std::nullopt},
    {"a group whose name has a colon and a blank",
     {{"/proc/self/cgroup", "0::/a:b c\n"}, {second + "a:b c/cpu.max", "25000 100000\n"}},
     0.25},
    {"version 1, nested, the controllers in one hierarchy",
     {{"/proc/self/cgroup", "4:cpu,cpuacct:/batch/job\n1:name=systemd:/\n0::/\n"},
      {"/proc/self/mountinfo", mounted_v1("/", "/sys/fs/cgroup/cpu,cpuacct")},
      {"/sys/fs/cgroup/cpu,cpuacct/batch/job/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/batch/job/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_quota_us", "75000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_period_us", "50000\n"}},
     1.5},
    {"version 1 of which mountinfo says nothing",
     {{"/proc/self/cgroup", "4:cpu,cpuacct:/batch\n0::/\n"},
      {first + "batch/cpu.cfs_quota_us", "50000\n"},
      {first + "batch/cpu.cfs_period_us", "100000\n"}},
     0.5},
    {"cpuacct and cpuset alone are not the CPU controller",
     {{"/proc/self/cgroup", "3:cpuset:/x\n2:cpuacct:/x\n"},
      {first + "x/cpu.cfs_quota_us", "50000\n"},
      {first + "x/cpu.cfs_period_us", "100000\n"}},
     std::nullopt},
    {"hybrid: version 2 beside version 1, the limit in either",
     {{"/proc/self/cgroup", "1:cpu:/one\n0::/two\n"},
      {"/proc/self/mountinfo",
       mounted_v1("/", "/sys/fs/cgroup/cpu", "cpu") + mounted_v2("/", "/sys/fs/cgroup/unified")},
      {first + "one/cpu.cfs_quota_us", "300000\n"},
      {first + "one/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/unified/two/cpu.max", "200000 100000\n"}},
     2.0},
    {"mounted elsewhere, at a place with a blank",
     {{"/proc/self/cgroup", "0::/a\n"},
      {"/proc/self/mountinfo", mounted_v2("/", "/mnt/control\\040groups")},
      {"/mnt/control groups/a/cpu.max", "50000 100000\n"}},
     0.5},
    {"a container that sees only its own group, by the host's name",
     {{"/proc/self/cgroup", "4:cpu,cpuacct:/docker/1f3a/app\n"},
      {"/proc/self/mountinfo", mounted_v1("/docker/1f3a", "/sys/fs/cgroup/cpu")},
      {first + "cpu.cfs_quota_us", "100000\n"},
      {first + "cpu.cfs_period_us", "100000\n"},
      {first + "app/cpu.cfs_quota_us", "50000\n"},
      {first + "app/cpu.cfs_period_us", "100000\n"}},
     0.5},
    {"the container's own limit alone",
     {{"/proc/self/cgroup", "4:cpu,cpuacct:/docker/1f3a\n"},
      {"/proc/self/mountinfo", mounted_v1("/docker/1f3a", "/sys/fs/cgroup/cpu")},
      {first + "cpu.cfs_quota_us", "100000\n"},
      {first + "cpu.cfs_period_us", "100000\n"}},
     1.0},
    {"a mount made outside the namespace, the group's name inside it",
     {{"/proc/self/cgroup", "0::/../../pod/app\n"},
      {"/proc/self/mountinfo", mounted_v2("/../..", "/sys/fs/cgroup")},
      {second + "pod/app/cpu.max", "max 100000\n"},
      {second + "pod/cpu.max", "80000 100000\n"}},
     0.8},
    {"a mount made outside, the way down to the process unnamed",
     {{"/proc/self/cgroup", "0::/\n"},
      {"/proc/self/mountinfo", mounted_v2("/../..", "/sys/fs/cgroup")},
      {second + "cpu.max", "250000 100000\n"}},
     2.5},
    {"a process outside of what is mounted",
     {{"/proc/self/cgroup", "0::/../sibling\n"},
      {"/proc/self/mountinfo", mounted_v2("/", "/sys/fs/cgroup")},
      {"/sys/fs/sibling/cpu.max", "50000 100000\n"},
      {second + "cpu.max", "50000 100000\n"}},
     std::nullopt},
    {"words that are no limit",
     {{"/proc/self/cgroup", "0::/a/b/c/d\n:::\nnonsense\n"},
      {"/proc/self/mountinfo", "1 2 3\n" + mounted_v2("/", "/sys/fs/cgroup") + "- cgroup2\n"},
      {second + "a/cpu.max", "0 100000\n"},
      {second + "a/b/cpu.max", "50000 0\n"},
      {second + "a/b/c/cpu.max", ""},
      {second + "a/b/c/d/cpu.max", "many\n"}},
     std::nullopt},
};

void write(fs::path const& root, std::map<std::string, std::string> const& files) {
    for (auto const& [path, text] : files) {
        auto const file = root / fs::path{path}.relative_path();
        fs::create_directories(file.parent_path());
        std::ofstream{file} << text;
    }
}

TEST(CpuQuota, IsTheTightestOfTheProcessAndAllAboveIt) {
    for (auto const& machine : machines) {
        TemporaryFolder const folder{"derate_groups_"};
        write(folder.path(), machine.files);
        EXPECT_EQ(cpu_quota(folder.path()), machine.cpus) << machine.name;
    }
}

TEST(CpuQuota, NeverRisesWhenALimitIsAdded) {
    TemporaryFolder const folder{"derate_groups_"};
    write(folder.path(), {{"/proc/self/cgroup", "0::/a/b/c/d\n"}});
    double least = 1e9;
    for (auto const& [group, quota] :
         {std::pair{"a/b", 4}, {"", 6}, {"a/b/c/d", 3}, {"a", 5}, {"a/b/c", 1}}) {
        write(folder.path(),
              {{second + group + "/cpu.max", std::to_string(quota) + "00000 100000"}});
        auto const now = cpu_quota(folder.path());
        ASSERT_TRUE(now.has_value());
        EXPECT_EQ(*now, std::min<double>(least, quota));
        least = *now;
    }
}

TEST(FreeGroupMemory, IsSeenInGroupsOfBothVersions) {
    TemporaryFolder const folder{"derate_groups_"};
    write(folder.path(),
          {{"/proc/self/cgroup", "9:memory:/batch/job\n0::/\n"},
           {"/proc/self/mountinfo", mounted_v1("/", "/sys/fs/cgroup/memory", "memory")},
           {"/sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes", "9223372036854771712\n"},
           {"/sys/fs/cgroup/memory/batch/job/memory.usage_in_bytes", "1000\n"},
           {"/sys/fs/cgroup/memory/batch/memory.limit_in_bytes", "3000000000\n"},
           {"/sys/fs/cgroup/memory/batch/memory.usage_in_bytes", "1500000000\n"},
           {"/sys/fs/cgroup/memory/batch/memory.stat",
            "cache 7\ninactive_file 1\ntotal_inactive_file 500000000\n"}});
    EXPECT_EQ(free_group_memory_bytes(folder.path()), 2e9);
    // The kernel slows down what is above `high`, long before `max`.
    write(folder.path(), {{"/proc/self/cgroup", "0::/app\n"},
                          {second + "app/memory.max", "max\n"},
                          {second + "app/memory.high", "1000000000\n"},
                          {second + "app/memory.current", "400000000\n"}});
    EXPECT_EQ(free_group_memory_bytes(folder.path()), 0.6e9);
}

}  // namespace
}  // namespace derate
