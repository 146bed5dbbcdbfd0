#include "benchmarks/bench_program.hpp"

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "benchmarks/bench_flags.hpp"
#include "benchmarks/cpu_environment.hpp"
#include "benchmarks/libtorch_machine.hpp"
#include "benchmarks/samples_writer.hpp"
#include "benchmarks/standalone.hpp"
#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "storage/file.hpp"
#include "storage/plan_json.hpp"

namespace derate::benchmarks {
namespace {

enum ExitCode : int { exit_pass = 0, exit_bad_input = 2, exit_environment_refused = 4 };

void refuse_builds_that_are_not_release() {
    constexpr std::string_view build_type = DERATE_BUILD_TYPE;
    if (build_type != "Release" && build_type != "RelWithDebInfo") {
        throw EnvironmentRefused{"derate-bench", "this is a " + std::string{build_type} + " build",
                                 "a Release build; another's times mean nothing"};
    }
}

/// A parent that is killed takes this process with it. A parent that died before the request was
/// made left us to another one.
void die_with_parent() {
    auto const parent = ::getppid();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) std::raise(SIGKILL);
}

void set_affinity(std::vector<int> const& cpus) {
    if (cpus.empty()) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int const cpu : cpus) {
        if (cpu < 0 || cpu >= CPU_SETSIZE) {
            throw InputError{"cpus", "no CPU " + std::to_string(cpu), "numbers of online CPUs"};
        }
        CPU_SET(cpu, &set);
    }
    if (::sched_setaffinity(0, sizeof set, &set) != 0) {
        throw EnvironmentRefused{"cpus", std::strerror(errno), "CPUs that this process may use"};
    }
}

void set_threads(int threads) {
    if (threads < 1) throw InputError{"threads", "got " + std::to_string(threads), "1 or more"};
    at::set_num_threads(threads);
}

/// Settings of the environment are what people are advised to run with, but not the default.
void refuse_malloc_settings() {
    for (auto const* name :
         {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_",
          "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD"}) {
        auto const* value = std::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        throw EnvironmentRefused{"--allocator default",
                                 std::string{name} + " is set: this is another allocator",
                                 "an environment without it"};
    }
}

Allocator allocator_of(BenchFlags const& flags) {
    if (!flags.plan) return flags.allocator;
    auto const plan = plan_from_json(read_text(*flags.plan), flags.plan->string());
    return plan.execution.allocator.value_or(Allocator::pinned);
}

void run_plan(BenchFlags const& flags, MakeDevice const& make_device) {
    die_with_parent();
    refuse_builds_that_are_not_release();
    auto const plan = plan_from_json(read_text(*flags.plan), flags.plan->string());
    if (plan.value_rule != value_rule) {
        throw InputError{flags.plan->string(), "it is for value rule " + plan.value_rule,
                         "value rule " + std::string{value_rule} + " of this program"};
    }
    set_affinity(plan.execution.cpus);
    set_threads(plan.execution.threads.value_or(1));
    SamplesWriter const samples{*flags.samples};
    auto const device =
        make_device(plan.models.empty() ? Precision::fp32 : plan.models.front().precision);
    if (device->name() != torch_name(plan.execution.device)) {
        throw InputError{flags.plan->string(),
                         "it is for device " + std::string{torch_name(plan.execution.device)},
                         "device " + device->name() + " of this program"};
    }
    LibTorchMachine machine{plan, *device};
    ReportProgress report;
    if (flags.progress) {
        report = [](std::size_t done, std::size_t steps) {
            std::cerr << "progress " << done << ' ' << steps << '\n';
        };
    }
    run_launch(
        plan, machine, [&](SampleRecord const& record) { samples.append(record); }, report);
}

}  // namespace

int bench_program(int argc, char** argv, MakeDevice const& make_device) try {
    auto const flags = parse_bench_flags(argc, argv);
    // Before LibTorch makes its first tensor.
    if (allocator_of(flags) == Allocator::pinned) {
        pin_malloc_thresholds();
    } else {
        refuse_malloc_settings();
    }
    // Before it starts a thread, which takes the setting over.
    flush_denormals();
    if (flags.help) {
        std::cout << bench_help();
        return exit_pass;
    }
    if (flags.plan) {
        run_plan(flags, make_device);
        return exit_pass;
    }
    refuse_builds_that_are_not_release();
    set_affinity(flags.cpus);
    set_threads(flags.threads);
    auto const device = make_device(flags.precision.value_or(Precision::fp32));
    if (flags.peaks) {
        print_peaks(flags, *device);
        return exit_pass;
    }
    if (flags.environment) {
        print_environment(*device);
        return exit_pass;
    }
    return run_standalone(flags, *device) ? exit_pass : exit_bad_input;
} catch (EnvironmentRefused const& error) {
    std::cerr << error.what() << '\n';
    return exit_environment_refused;
} catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return exit_bad_input;
}

}  // namespace derate::benchmarks
