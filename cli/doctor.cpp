#include <CLI/App.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "campaign/child_process.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/trust_grade.hpp"
#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "cli/measuring.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "storage/environment_json.hpp"

namespace derate::cli {
namespace {

/// Where derate-bench lies, or why it cannot time anything.
struct BenchState {
    DeviceKind device = DeviceKind::cpu;
    std::string path;   ///< empty: not there
    std::string fault;  ///< empty: it is there
};

BenchState look_for_bench(DeviceKind device) {
    try {
        auto const path = find_bench_program(device);
        // A program that was built on another machine may find no GPU here.
        bool const answers = is_host(device) || ask_for_environment(path).has_value();
        return {.device = device,
                .path = path.string(),
                .fault = answers ? "" : "it finds no GPU, or no driver for it"};
    } catch (EnvironmentRefused const& error) {
        return {.device = device, .path = {}, .fault = error.what()};
    }
}

std::string shown(auto const& value) {
    if (!value) return "unknown";
    if constexpr (std::is_same_v<std::decay_t<decltype(*value)>, std::string>) {
        return *value;
    } else if constexpr (std::is_same_v<std::decay_t<decltype(*value)>, bool>) {
        return *value ? "yes" : "no";
    } else {
        return nlohmann::json(*value).dump();
    }
}

/// The most threads that can be timed: each needs a CPU of its own, one is timed even on a part.
int most_threads(Environment const& environment) {
    auto const allowed = std::max(1, static_cast<int>(usable_cpus().size()));
    if (!environment.cgroup_cpus) return allowed;
    return static_cast<int>(std::clamp<double>(*environment.cgroup_cpus, 1, allowed));
}

std::string bytes_text(std::optional<double> const& bytes) {
    if (!bytes) return "unknown";
    return format_bytes(Bytes{*bytes});
}

ExitCode examine(CommonFlags const& common) {
    BenchState const benches[]{look_for_bench(DeviceKind::cpu), look_for_bench(DeviceKind::gpu)};
    auto environment = machine_environment();
    if (benches[0].fault.empty()) {
        if (auto const libraries = ask_for_environment(benches[0].path)) {
            environment = merge(environment, *libraries);
        }
    }
    auto const trust = judge_trust(environment, std::nullopt);
    auto const id = hardware_id_of(environment);
    if (common.json) {
        nlohmann::json reasons = nlohmann::json::array();
        for (auto const& reason : trust.reasons) {
            reasons.push_back({{"at_best", to_string(reason.at_best)},
                               {"what", reason.what},
                               {"remedy", reason.remedy}});
        }
        nlohmann::json programs = nlohmann::json::array();
        for (auto const& bench : benches) {
            programs.push_back(
                {{"device", torch_name(bench.device)},
                 {"path", bench.path.empty() ? nlohmann::json() : nlohmann::json(bench.path)},
                 {"fault", bench.fault.empty() ? nlohmann::json() : nlohmann::json(bench.fault)}});
        }
        nlohmann::json all{{"hardware_id", id},
                                 {"best_trust_grade", to_string(trust.grade)},
                                 {"reasons", reasons},
                                 {"most_threads", most_threads(environment)},
                                 {"programs", programs},
                                 {"environment", nlohmann::json::parse(to_json_text(environment))},
                                 {"environment_hash", environment_hash(environment)}};
        print_json("output_doctor_v1.json", std::move(all));
        return exit_pass;
    }
    std::printf("%s\n", id.c_str());
    auto const row = [](char const* what, std::string const& value) {
        std::printf("  %-20s %s\n", what, value.c_str());
    };
    row("processor", shown(environment.cpu_name));
    row("microarchitecture",
        microarchitecture(environment).empty() ? "unknown" : microarchitecture(environment));
    row("CPUs, cores", shown(environment.logical_cpus) + ", " + shown(environment.physical_cores));
    row("may use",
        "CPUs " + shown(environment.affinity) +
            (environment.cgroup_cpus
                 ? ", of their time " + shown(environment.cgroup_cpus) + " CPUs (a control group)"
                 : "") +
            ": --threads " + std::to_string(most_threads(environment)) + " at most");
    row("caches L1d, L2, last", bytes_text(environment.l1d_cache_bytes) + ", " +
                                    bytes_text(environment.l2_cache_bytes) + ", " +
                                    bytes_text(environment.last_level_cache_bytes));
    row("memory", bytes_text(environment.memory_bytes));
    row("hypervisor", shown(environment.hypervisor));
    row("governor", shown(environment.governor));
    row("turbo", shown(environment.turbo));
    row("huge pages", shown(environment.transparent_huge_pages));
    row("kernel", shown(environment.kernel));
    row("load average", shown(environment.load_average));
    row("LibTorch, BLAS", shown(environment.libtorch) + ", " + shown(environment.blas));
    for (auto const& bench : benches) {
        row(("measures " + std::string{torch_name(bench.device)}).c_str(),
            bench.fault.empty() ? "yes" : "no: " + bench.fault);
    }
    std::printf("\nbest trust grade a measurement can reach here now: %s\n",
                std::string{to_string(trust.grade)}.c_str());
    for (auto const& reason : trust.reasons) {
        std::printf("  at best %s: %s\n      to raise it: %s\n",
                    std::string{to_string(reason.at_best)}.c_str(), reason.what.c_str(),
                    reason.remedy.c_str());
    }
    if (trust.reasons.empty()) std::printf("  nothing to raise\n");
    std::printf(
        "a measurement lowers it itself: --quick to C, fewer than five launches to B, drift to "
        "D\n");
    return exit_pass;
}

}  // namespace

Run add_doctor(CLI::App&) {
    return [](CommonFlags const& common) { return examine(common); };
}

}  // namespace derate::cli
