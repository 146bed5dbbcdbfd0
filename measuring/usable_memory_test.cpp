#include "measuring/usable_memory.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "ctest/temporary_folder.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

class UsableMemory : public testing::Test {
  protected:
    UsableMemory() { put("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n"); }

    void put(fs::path const& path, std::string const& text) const {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream{root_ / path} << text;
    }

    TemporaryFolder temporary_{"derate_memory_"};
    fs::path const root_ = temporary_.path();
};

constexpr double half_of_machine = 8000000 * 1024.0 / 2;

TEST_F(UsableMemory, IsHalfOfWhatIsFree) { EXPECT_EQ(usable_memory_bytes(root_), half_of_machine); }

TEST_F(UsableMemory, GroupWithoutALimitChangesNothing) {
    put("sys/fs/cgroup/memory.max", "max\n");
    put("sys/fs/cgroup/memory.current", "1000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n");
    EXPECT_EQ(usable_memory_bytes(root_), half_of_machine);
}

TEST_F(UsableMemory, TightestGroupAboveTheProcessIsTheLimit) {
    put("proc/self/cgroup", "0::/batch.slice/job.scope\n");
    put("sys/fs/cgroup/batch.slice/memory.max", "3000000000\n");
    put("sys/fs/cgroup/batch.slice/memory.current", "1000000000\n");
    put("sys/fs/cgroup/batch.slice/job.scope/memory.max", "max\n");
    put("sys/fs/cgroup/batch.slice/job.scope/memory.current", "10\n");
    EXPECT_EQ(usable_memory_bytes(root_), 1e9);
    put("sys/fs/cgroup/batch.slice/memory.stat", "anon 400000000\ninactive_file 600000000\n");
    EXPECT_EQ(usable_memory_bytes(root_), 1.3e9) << "the kernel can drop what it has cached";
}

TEST_F(UsableMemory, LimitOfAnOldControlGroupCounts) {
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "500000000\n");
    EXPECT_EQ(usable_memory_bytes(root_), 0.75e9);
}

}  // namespace
}  // namespace derate
