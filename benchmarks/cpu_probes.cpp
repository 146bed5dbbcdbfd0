#include "benchmarks/cpu_probes.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/util/Exception.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "benchmarks/fma_loops.hpp"
#include "benchmarks/scalar_types.hpp"
#include "benchmarks/timing_device.hpp"
#include "measuring/usable_memory.hpp"

namespace derate::benchmarks {
namespace {

constexpr int repetitions = 7;
constexpr double ns_per_second = 1e9;

double seconds(std::function<void()> const& work) {
    auto const start = monotonic_now_ns();
    work();
    return static_cast<double>(monotonic_now_ns() - start) / ns_per_second;
}

/// A first call this long says all: a precision without instructions of its own would take minutes.
constexpr double long_call_s = 1;

/// As cpufreq tells it; empty where a virtual machine hides it.
std::optional<double> clock_of_this_cpu_hz() {
    std::ifstream file{"/sys/devices/system/cpu/cpu" + std::to_string(::sched_getcpu()) +
                       "/cpufreq/scaling_cur_freq"};
    double kilohertz = 0;
    if (!(file >> kilohertz) || !(kilohertz > 0)) return std::nullopt;
    return kilohertz * 1e3;
}

/// Rates of `work`, which does `amount` each time; the first call warms up.
PeakResult probe(std::string name, std::string unit, double amount,
                 std::function<void()> const& work) {
    PeakResult result{.probe = std::move(name), .unit = std::move(unit)};
    double const first_s = seconds(work);
    if (first_s > long_call_s) {
        result.per_second.push_back(amount / first_s);
        return result;
    }
    for (int i = 0; i < repetitions; ++i) result.per_second.push_back(amount / seconds(work));
    result.clock_hz = clock_of_this_cpu_hz();
    return result;
}

/// Runs `work` once on each of LibTorch's threads.
void on_all_threads(std::function<void(std::int64_t)> const& work) {
    at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t begin, std::int64_t end) {
        for (auto thread = begin; thread < end; ++thread) work(thread);
    });
}

float volatile sink;

PeakResult fma_peak(FmaLoop const& loop) {
    // Long enough that starting the threads does not show: some 10 ms.
    constexpr std::int64_t rounds = 4'000'000;
    return probe(std::string{loop.name}, "flop",
                 loop.flops_per_round * static_cast<double>(rounds) * at::get_num_threads(),
                 [&] { on_all_threads([&](std::int64_t) { sink = loop.run(rounds); }); });
}

/// Memory of the bandwidth probes, every page touched.
struct Streams {
    std::size_t elements;  ///< of each array
    std::unique_ptr<float[]> a{new float[elements]};
    std::unique_ptr<float[]> b{new float[elements]};
    std::unique_ptr<float[]> c{new float[elements]};

    explicit Streams(std::size_t count) : elements{count} {
        split([this](std::size_t begin, std::size_t end) {
            std::fill(&a[begin], &a[end], 1.0F);
            std::fill(&b[begin], &b[end], 2.0F);
            std::fill(&c[begin], &c[end], 3.0F);
        });
    }

    template <class Work>
    void split(Work const& work) const {
        auto const threads = static_cast<std::size_t>(at::get_num_threads());
        on_all_threads([&](std::int64_t thread) {
            auto const share = elements / threads;
            auto const begin = static_cast<std::size_t>(thread) * share;
            work(begin, begin + share);
        });
    }
};

/// Elements of an array of the peaks' probes: 128 MiB, or the size of the last-level cache where
/// that is larger, so that three of them are well beyond it; all of them take an eighth of the free
/// memory at most.
std::size_t elements_of_peak_streams() {
    constexpr long least_bytes = 128L << 20;
    long const cache_bytes = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
    auto const most_bytes = std::max(least_bytes, static_cast<long>(usable_memory_bytes() / 4 / 3));
    auto const bytes = std::clamp(cache_bytes, least_bytes, most_bytes);
    return static_cast<std::size_t>(bytes) / sizeof(float);
}

/// A drift probe is for comparing with itself and has to be short: 64 MiB an array.
Streams const& drift_streams() {
    static Streams const made{std::size_t{16} << 20};
    return made;
}

// The compiler's vectors and stores, as a program that is not tuned for one machine has them.
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) void copy_elements(
    float* to, float const* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
}

__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) void triad_elements(
    float* to, float const* b, float const* c, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = b[i] + 3.0F * c[i];
}

}  // namespace

std::vector<PeakResult> cpu_peaks(Precision precision) {
    std::vector<PeakResult> peaks;
    for (auto const& loop : fma_loops()) {
        if (loop.precision == precision) peaks.push_back(fma_peak(loop));
    }
    auto const options = at::TensorOptions{}.dtype(to_c10(precision));
    try {
        auto const image = at::randn({1, 256, 56, 56}, at::kFloat).to(options);
        auto const kernel = at::randn({256, 256, 3, 3}, at::kFloat).to(options);
        peaks.push_back(probe("conv2d", "flop", 2.0 * 256 * 256 * 9 * 56 * 56,
                              [&] { (void)at::conv2d(image, kernel, {}, 1, 1); }));
        auto const matrix = at::randn({2048, 2048}, at::kFloat).to(options);
        peaks.push_back(probe("matmul", "flop", 2.0 * 2048 * 2048 * 2048,
                              [&] { (void)at::mm(matrix, matrix); }));
    } catch (c10::Error const&) {
        // LibTorch has no kernel of this precision; the multiply-add loops stand alone.
    }
    Streams const s{elements_of_peak_streams()};
    auto const bytes = static_cast<double>(s.elements * sizeof(float));
    peaks.push_back(probe("copy", "byte", 2 * bytes, [&] {
        s.split([&](std::size_t begin, std::size_t end) {
            copy_elements(&s.a[begin], &s.b[begin], end - begin);
        });
    }));
    peaks.push_back(probe("triad", "byte", 3 * bytes, [&] {
        s.split([&](std::size_t begin, std::size_t end) {
            triad_elements(&s.a[begin], &s.b[begin], &s.c[begin], end - begin);
        });
    }));
    return peaks;
}

double compute_drift_ms() {
    constexpr std::int64_t rounds = 1'000'000;
    auto const loops = fma_loops();
    auto const& loop = loops[std::min<std::size_t>(1, loops.size() - 1)];
    return 1e3 * seconds([&] { sink = loop.run(rounds); });
}

double bandwidth_drift_ms() {
    auto const& s = drift_streams();
    return 1e3 * seconds([&] {
               s.split([&](std::size_t begin, std::size_t end) {
                   triad_elements(&s.a[begin], &s.b[begin], &s.c[begin], end - begin);
               });
           });
}

}  // namespace derate::benchmarks
