#include "benchmarks/cpu_device.hpp"

#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <limits>

#include "benchmarks/cpu_environment.hpp"
#include "benchmarks/cpu_probes.hpp"
#include "benchmarks/evict.hpp"

namespace derate::benchmarks {
namespace {

constexpr double ns_per_ms = 1e6;
// A call that is done between two ticks took some time all the same.
constexpr double shortest_ms = 1e-6;

double elapsed_ms(std::int64_t from, std::int64_t to, double clock_cost_ms) {
    return std::max(static_cast<double>(to - from) / ns_per_ms - clock_cost_ms, shortest_ms);
}

double cost_of_reading_the_clock_ms() {
    auto least = std::numeric_limits<std::int64_t>::max();
    for (int i = 0; i < 1000; ++i) {
        auto const first = monotonic_now_ns();
        least = std::min(least, monotonic_now_ns() - first);
    }
    return static_cast<double>(least) / ns_per_ms;
}

}  // namespace

std::int64_t monotonic_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

CpuDevice::CpuDevice(Precision precision)
    : precision_{precision}, clock_cost_ms_{cost_of_reading_the_clock_ms()} {}

double CpuDevice::time_ms(std::function<void()> const& work) {
    auto const start = monotonic_now_ns();
    work();
    return elapsed_ms(start, monotonic_now_ns(), clock_cost_ms_);
}

std::vector<double> CpuDevice::time_laps_ms(std::size_t count,
                                            std::function<void(std::size_t)> const& work) {
    std::vector<std::int64_t> readings(count + 1);
    readings[0] = monotonic_now_ns();
    for (std::size_t i = 0; i < count; ++i) {
        work(i);
        readings[i + 1] = monotonic_now_ns();
    }
    std::vector<double> laps(count);
    for (std::size_t i = 0; i < count; ++i) {
        laps[i] = elapsed_ms(readings[i], readings[i + 1], clock_cost_ms_);
    }
    return laps;
}

void CpuDevice::evict(std::span<MemoryRange const> ranges) {
    for (auto const& range : ranges) evict_from_caches(range.begin, range.bytes);
    finish_evictions();
}

void CpuDevice::rouse() {
    auto const threads = at::get_num_threads();
    // OpenMP's threads fall asleep while one thread evicts; inside a model they spin.
    if (threads > 1) at::parallel_for(0, threads, 1, [](std::int64_t, std::int64_t) {});
}

double CpuDevice::time_drift_probe(std::size_t probe) {
    return probe == compute_drift_probe ? compute_drift_ms() : bandwidth_drift_ms();
}

std::vector<PeakResult> CpuDevice::measure_peaks() { return cpu_peaks(precision_); }

Environment CpuDevice::describe() { return library_environment(); }

}  // namespace derate::benchmarks
