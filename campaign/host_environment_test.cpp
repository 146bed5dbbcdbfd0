#include "campaign/host_environment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include "core/hardware.hpp"
#include "ctest/temporary_folder.hpp"
#include "core/hardware.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

/// A root folder with the files a test writes into it.
class HostEnvironment : public testing::Test {
  protected:
    void put(std::string const& path, std::string const& text) {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream{root_ / path} << text;
    }

    TemporaryFolder temporary_{"derate_host_"};
    fs::path const root_ = temporary_.path();
};

TEST_F(HostEnvironment, NothingToReadIsUnknownNotAFault) {
    auto const environment = read_host_environment(root_);
    EXPECT_EQ(environment.cpu_name, std::nullopt);
    EXPECT_EQ(environment.governor, std::nullopt);
    EXPECT_EQ(environment.hypervisor, std::nullopt);
    EXPECT_EQ(hardware_id_of(environment), "unknown-cpu");
}

// A samples file may name any machine; its id is a folder's name.
TEST(HardwareIdOf, AnyHypervisorAndProcessorMakeAnId) {
    for (std::string const name : {"a|b`c", "../../x", "", "???", "KVM", "."}) {
        for (std::string const processor : {"../x", "", "A (R) 9`", "...", "Xeon"}) {
            Environment environment;
            environment.hypervisor = name;
            environment.cpu_name = processor;
            auto const id = hardware_id_of(environment);
            EXPECT_EQ(parse_hardware_id(id), id) << name << ' ' << processor;
        }
    }
}

TEST_F(HostEnvironment, GuestHidesItsClocks) {
    put("proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"
        "model name\t: AMD EPYC\nstepping\t: 1\nflags\t\t: fpu hypervisor avx512f\n\n"
        "processor\t: 1\nvendor_id\t: AuthenticAMD\n");
    put("sys/devices/system/clocksource/clocksource0/available_clocksource", "kvm-clock tsc\n");
    put("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
    put("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
    put("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n");
    put("sys/devices/system/cpu/cpu0/cache/index3/level", "3\n");
    put("sys/devices/system/cpu/cpu0/cache/index3/type", "Unified\n");
    put("sys/devices/system/cpu/cpu0/cache/index3/size", "32768K\n");
    auto const environment = read_host_environment(root_);
    EXPECT_EQ(environment.hypervisor, "KVM");
    EXPECT_EQ(environment.logical_cpus, 2);
    EXPECT_EQ(environment.l1d_cache_bytes, 32 * 1024.0);
    EXPECT_EQ(environment.last_level_cache_bytes, 32 * 1024 * 1024.0);
    EXPECT_EQ(environment.governor, std::nullopt);
    EXPECT_EQ(environment.turbo, std::nullopt);
    EXPECT_EQ(hardware_id_of(environment), "kvm-amd-epyc-zen4-2c");
}

TEST_F(HostEnvironment, BareMetalIsNamedByItsProcessor) {
    put("proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 97\n"
        "model name\t: AMD Ryzen 9 7950X 16-Core Processor\nflags\t\t: fpu avx512f\n");
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
    put("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "5759000\n");
    put("sys/devices/system/cpu/cpufreq/boost", "1\n");
    put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("sys/fs/cgroup/cpu.max", "150000 100000\n");
    auto const environment = read_host_environment(root_);
    EXPECT_EQ(environment.hypervisor, "none");
    EXPECT_EQ(environment.governor, "performance");
    EXPECT_EQ(environment.clock_max_hz, 5.759e9);
    EXPECT_EQ(environment.turbo, true);
    EXPECT_EQ(environment.transparent_huge_pages, "madvise");
    EXPECT_EQ(environment.cgroup_cpus, 1.5);
    EXPECT_EQ(hardware_id_of(environment), "amd-ryzen-9-7950x");
}

TEST_F(HostEnvironment, CountsCpusAndCoresHoweverMany) {
    for (int const count : {1, 2, 96}) {
        TemporaryFolder const machine{"derate_cpus_"};
        std::string cpuinfo;
        std::vector<int> allowed;
        for (int cpu = 0; cpu < count; ++cpu) {
            cpuinfo += "processor\t: " + std::to_string(cpu) +
                       "\nmodel name\t: Some CPU\nflags\t\t: fpu hypervisor\n\n";
            auto const topology = machine.path() / "sys/devices/system/cpu" /
                                  ("cpu" + std::to_string(cpu)) / "topology";
            fs::create_directories(topology);
            std::ofstream{topology / "core_id"} << cpu % 48 << '\n';
            std::ofstream{topology / "physical_package_id"} << 0 << '\n';
            allowed.push_back(cpu);
        }
        fs::create_directories(machine.path() / "proc");
        std::ofstream{machine.path() / "proc/cpuinfo"} << cpuinfo;
        auto const environment = read_host_environment(machine.path());
        EXPECT_EQ(environment.logical_cpus, count);
        EXPECT_EQ(environment.physical_cores, std::min(count, 48));
        EXPECT_EQ(hardware_id_of(environment), "vm-some-" + std::to_string(count) + "c");
        EXPECT_EQ(choose_cpus(allowed, 1, machine.path()), std::vector{count - 1});
    }
}

TEST_F(HostEnvironment, CpusThatAreOfflineAreSkippedNotCounted) {
    // The second threads of both cores are switched off: their topology cannot be read.
    put("proc/cpuinfo", "processor\t: 0\n\nprocessor\t: 2\n");
    for (int const cpu : {0, 2}) {
        auto const topology = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
        put(topology + "core_id", std::to_string(cpu / 2) + "\n");
        put(topology + "physical_package_id", "0\n");
    }
    auto const environment = read_host_environment(root_);
    EXPECT_EQ(environment.logical_cpus, 2);
    EXPECT_EQ(environment.physical_cores, 2);
}

TEST_F(HostEnvironment, QuotaOfAGroupAboveTheProcessIsSeen) {
    put("proc/self/cgroup", "0::/batch.slice/job.scope\n");
    put("sys/fs/cgroup/batch.slice/job.scope/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/batch.slice/cpu.max", "50000 100000\n");
    EXPECT_EQ(read_host_environment(root_).cgroup_cpus, 0.5);
}

TEST(HardwareId, DropsMarksAndFrequencies) {
    Environment environment;
    environment.hypervisor = "none";
    environment.cpu_name = "12th Gen Intel(R) Core(TM) i7-12700K";
    EXPECT_EQ(hardware_id_of(environment), "intel-core-i7-12700k");
    environment.cpu_name = "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz";
    EXPECT_EQ(hardware_id_of(environment), "intel-xeon-e5-2680-v4");
    environment.cpu_name = "AMD Ryzen 7 8840U w/ Radeon 780M Graphics";
    EXPECT_EQ(hardware_id_of(environment), "amd-ryzen-7-8840u");
}

TEST_F(HostEnvironment, GraphicsProcessorNamesTheHardwareThatWasTimed) {
    Environment environment;
    environment.cpu_name = "AMD Ryzen 9 7950X 16-Core Processor";
    environment.gpu_name = "NVIDIA GeForce RTX 4090";
    EXPECT_EQ(hardware_id_of(environment), "nvidia-geforce-rtx-4090");
}

TEST_F(HostEnvironment, TimesOnLargeCoresOneThreadOfEachTheLastFirst) {
    // A hybrid processor: cores 0 and 1 with two threads each (CPUs 0 to 3), small cores 2 and 3.
    for (int cpu = 0; cpu < 6; ++cpu) {
        auto const folder = "sys/devices/system/cpu/cpu" + std::to_string(cpu);
        auto const first = cpu < 4 ? cpu / 2 * 2 : cpu;
        put(folder + "/topology/thread_siblings_list",
            std::to_string(first) + (cpu < 4 ? "-" + std::to_string(first + 1) : "") + "\n");
        put(folder + "/cpufreq/cpuinfo_max_freq", cpu < 4 ? "4900000\n" : "3600000\n");
    }
    std::vector<int> const allowed{0, 1, 2, 3, 4, 5};
    EXPECT_EQ(choose_cpus(allowed, 1, root_), std::vector{3});
    EXPECT_EQ(choose_cpus(allowed, 2, root_), (std::vector{1, 3}));
    EXPECT_EQ(choose_cpus(allowed, 3, root_), (std::vector{1, 2, 3}));
    EXPECT_EQ(choose_cpus(allowed, 5, root_), (std::vector{0, 1, 2, 3, 5}));
}

TEST_F(HostEnvironment, WhereNothingIsKnownTheLastCpusAreTimedOn) {
    EXPECT_EQ(choose_cpus(std::vector{0, 1, 2, 3}, 2, root_), (std::vector{2, 3}));
}

TEST_F(HostEnvironment, GovernorIsThatOfTheCpusTimedOn) {
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance\n");
    put("sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq", "4900000\n");
    auto const environment = read_host_environment(root_, std::array{1, 3});
    EXPECT_EQ(environment.governor, "performance");
    EXPECT_EQ(environment.clock_max_hz, 4.9e9);
    EXPECT_EQ(read_host_environment(root_).governor, "powersave");
}

}  // namespace
}  // namespace derate
