#include "campaign/trust_grade.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace derate {
namespace {

std::string percent(double fraction) { return fmt::format("{:.1f} %", 100 * fraction); }

/// Idle and clocks that were asked for slow nothing down.
bool is_slowed_down(std::string const& throttle_reasons) {
    for (auto const* reason : {"power_cap", "slowdown", "thermal", "power_brake"}) {
        if (throttle_reasons.find(reason) != std::string::npos) return true;
    }
    return false;
}

void judge_machine(Environment const& e, std::vector<TrustReason>& reasons) {
    bool const guest = e.hypervisor && *e.hypervisor != "none";
    if (guest && !e.governor) {
        reasons.push_back({TrustGrade::c,
                           "virtual machine (" + *e.hypervisor + ") whose clocks are unknown",
                           "measure on bare metal, or on a guest that shows cpufreq"});
    } else if (guest) {
        reasons.push_back(
            {TrustGrade::b, "virtual machine (" + *e.hypervisor + ")", "measure on bare metal"});
    } else if (!e.governor) {
        reasons.push_back({TrustGrade::b, "the clock's governor is unknown",
                           "a kernel with cpufreq for this processor"});
    }
    if (e.governor && *e.governor != "performance") {
        reasons.push_back({TrustGrade::b, "governor \"" + *e.governor + "\" changes clocks",
                           "cpupower frequency-set -g performance"});
    }
    if (!guest && !e.hypervisor) {
        reasons.push_back({TrustGrade::b, "whether this is a virtual machine is unknown",
                           "a kernel that tells (flags in /proc/cpuinfo)"});
    }
    if (!guest && !e.turbo) {
        reasons.push_back({TrustGrade::b, "whether turbo is on is unknown",
                           "a kernel with cpufreq for this processor"});
    }
    if (!e.load_average) {
        reasons.push_back({TrustGrade::b, "other load is unknown", "a mounted /proc"});
    }
    if (e.gpu_throttle_reasons && is_slowed_down(*e.gpu_throttle_reasons)) {
        reasons.push_back({TrustGrade::b, "the GPU was slowed down: " + *e.gpu_throttle_reasons,
                           "better cooling, a higher power limit"});
    }
    if (e.turbo.value_or(false)) {
        reasons.push_back({TrustGrade::b, "turbo is on: clocks depend on temperature and load",
                           "switch boost off (sys/devices/system/cpu/cpufreq/boost)"});
    }
    if (e.blas && *e.blas == "reference") {
        reasons.push_back({TrustGrade::d, "matrix products run on reference BLAS",
                           "install OpenBLAS or use LibTorch's own wheel"});
    }
    double const cpus = e.logical_cpus.value_or(1);
    // Our own earlier work is in the load average too; half a CPU of it is usual on an idle
    // machine.
    if (e.load_average && *e.load_average > 0.5 && *e.load_average > 0.25 * cpus) {
        reasons.push_back(
            {TrustGrade::d,
             fmt::format("other load: {:.2f} on average over the last minute", *e.load_average),
             "stop it, wait a minute, and measure again"});
    }
    if (auto reason = short_quota(e.cgroup_cpus, e.threads.value_or(1))) {
        reasons.push_back(std::move(*reason));
    }
    if (e.build_type && *e.build_type != "Release") {
        reasons.push_back(
            {TrustGrade::d, "derate-bench is a " + *e.build_type + " build", "the preset release"});
    }
}

void judge_measurement(MeasuredQuality const& quality, std::vector<TrustReason>& reasons) {
    if (quality.quick) {
        reasons.push_back({TrustGrade::c, "quick mode", "measure without --quick"});
    } else if (quality.launches < 5) {
        reasons.push_back({TrustGrade::b, std::to_string(quality.launches) + " launches",
                           "five or more (--launches, a larger --budget)"});
    }
    if (quality.precise_share < 0.5) {
        reasons.push_back(
            {TrustGrade::b,
             "intervals within 2 % for only " + percent(quality.precise_share) + " of the time",
             "more launches (a larger --budget), a quieter machine"});
    }
    for (auto const& probe : quality.drift) {
        if (!probe.drifted) continue;
        reasons.push_back({TrustGrade::d,
                           "the host drifted: " + probe.probe + " probe, trend " +
                               percent(probe.relative_trend) + ", range " +
                               percent(probe.relative_range),
                           "a machine without neighbours, or another time"});
    }
}

}  // namespace

std::string_view to_string(TrustGrade grade) {
    switch (grade) {
        case TrustGrade::a:
            return "A";
        case TrustGrade::b:
            return "B";
        case TrustGrade::c:
            return "C";
        case TrustGrade::d:
            return "D";
    }
    return {};
}

std::optional<TrustReason> short_quota(std::optional<double> granted_cpus, int threads) {
    if (!granted_cpus || *granted_cpus >= threads) return std::nullopt;
    return TrustReason{TrustGrade::d,
                       fmt::format("a control group grants {:.3g} CPUs to {} thread{}, stopped in "
                                   "every period",
                                   *granted_cpus, threads, threads == 1 ? "" : "s"),
                       "a quota of a CPU a thread or more (cpu.max, docker run --cpus)"};
}

Trust judge_trust(Environment const& environment, std::optional<MeasuredQuality> const& quality) {
    Trust trust;
    judge_machine(environment, trust.reasons);
    if (quality) judge_measurement(*quality, trust.reasons);
    std::ranges::stable_sort(trust.reasons, std::ranges::greater{}, &TrustReason::at_best);
    if (!trust.reasons.empty()) trust.grade = trust.reasons.front().at_best;
    return trust;
}

}  // namespace derate
