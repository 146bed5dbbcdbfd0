#include "benchmarks/cuda_device.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <string>
#include <utility>

#include "benchmarks/cpu_environment.hpp"
#include "benchmarks/nvml.hpp"
#include "benchmarks/scalar_types.hpp"
#include "core/input_error.hpp"
#include "measuring/cannot_time.hpp"

namespace derate::benchmarks {
namespace {

constexpr int repetitions = 7;
constexpr double shortest_ms = 1e-6;

void check(cudaError_t status, char const* what) {
    if (status != cudaSuccess) {
        throw CannotTime{std::string{what} + ": " + cudaGetErrorString(status)};
    }
}

class CudaDevice : public TimingDevice {
  public:
    explicit CudaDevice(Precision precision) : precision_{precision} {
        check(cudaGetDeviceProperties(&properties_, 0), "reading the GPU's properties");
        std::array<char, 32> bus_id{};
        check(cudaDeviceGetPCIBusId(bus_id.data(), bus_id.size(), 0), "reading the GPU's bus");
        pci_bus_id_ = bus_id.data();
        // Written whole, it leaves nothing else in the second-level cache.
        flush_ = at::empty({std::max(4LL * properties_.l2CacheSize, 64LL << 20)},
                           at::TensorOptions{}.dtype(at::kByte).device(at::kCUDA));
        raise_clocks();
    }

    [[nodiscard]] std::string name() const override { return "cuda"; }

    [[nodiscard]] double time_ms(std::function<void()> const& work) override {
        return time_laps_ms(1, [&](std::size_t) { work(); }).front();
    }

    [[nodiscard]] std::vector<double> time_laps_ms(
        std::size_t count, std::function<void(std::size_t)> const& work) override {
        while (events_.size() <= count) events_.emplace_back(cudaEventDefault);
        auto const stream = at::cuda::getCurrentCUDAStream();
        events_[0].record(stream);
        for (std::size_t i = 0; i < count; ++i) {
            work(i);
            events_[i + 1].record(stream);
        }
        events_[count].synchronize();
        std::vector<double> laps(count);
        for (std::size_t i = 0; i < count; ++i) {
            laps[i] = std::max<double>(events_[i].elapsed_time(events_[i + 1]), shortest_ms);
        }
        return laps;
    }

    void evict(std::span<MemoryRange const> ranges) override {
        // The GPU has no instruction for single lines: everything goes.
        if (!ranges.empty()) flush_.zero_();
    }

    void rouse() override {}

    // An error that the device cannot leave comes back from every call; lack of memory does not.
    [[nodiscard]] bool is_usable() override { return cudaDeviceSynchronize() == cudaSuccess; }

    [[nodiscard]] double time_drift_probe(std::size_t probe) override try {
        if (probe == bandwidth_drift_probe) {
            return time_ms([&] { flush_.zero_(); });
        }
        auto const& matrix = drift_matrix();
        return time_ms([&] { (void)at::mm(matrix, matrix); });
    } catch (c10::Error const& error) {
        throw CannotTime{std::string{"drift probe: "} + error.what_without_backtrace()};
    }

    [[nodiscard]] std::vector<PeakResult> measure_peaks() override {
        auto const options = at::TensorOptions{}.dtype(to_c10(precision_)).device(at::kCUDA);
        std::vector<PeakResult> peaks;
        // A probe that a small GPU has no memory for, or LibTorch no kernel, is left out.
        auto const try_probes = [](auto const& probes) {
            try {
                probes();
            } catch (c10::Error const&) {
            }
        };
        try_probes([&] {
            auto const image = at::randn({32, 256, 56, 56}, options);
            auto const kernel = at::randn({256, 256, 3, 3}, options);
            peaks.push_back(this->probe("conv2d", "flop", 2.0 * 32 * 256 * 256 * 9 * 56 * 56,
                                        [&] { (void)at::conv2d(image, kernel, {}, 1, 1); }));
        });
        try_probes([&] {
            auto const matrix = at::randn({8192, 8192}, options);
            peaks.push_back(this->probe("matmul", "flop", 2.0 * 8192 * 8192 * 8192,
                                        [&] { (void)at::mm(matrix, matrix); }));
        });
        try_probes([&] {
            auto const elements = std::int64_t{1} << 28;
            auto const bytes = at::TensorOptions{}.dtype(at::kFloat).device(at::kCUDA);
            auto a = at::empty({elements}, bytes).zero_();
            auto const b = at::empty({elements}, bytes).zero_();
            auto const moved = static_cast<double>(elements) * sizeof(float);
            peaks.push_back(this->probe("copy", "byte", 2 * moved, [&] { a.copy_(b); }));
            // a += 3 b reads two arrays and writes one, as triad does.
            peaks.push_back(this->probe("triad", "byte", 3 * moved, [&] { a.add_(b, 3); }));
        });
        return peaks;
    }

    [[nodiscard]] Environment describe() override {
        auto environment = library_environment();
        auto const state = gpu_state(pci_bus_id_);
        environment.gpu_name = properties_.name;
        environment.gpu_memory_bytes = static_cast<double>(properties_.totalGlobalMem);
        environment.gpu_tf32 = at::globalContext().allowTF32CuDNN();
        environment.gpu_driver = state.driver;
        int runtime = 0;
        if (cudaRuntimeGetVersion(&runtime) == cudaSuccess) {
            environment.cuda =
                std::to_string(runtime / 1000) + "." + std::to_string(runtime % 1000 / 10);
        }
        environment.gpu_clock_max_hz = state.clock_max_hz;
        environment.gpu_clock_hz = state.clock_hz;
        environment.gpu_memory_clock_hz = state.memory_clock_hz;
        environment.gpu_power_limit_w = state.power_limit_w;
        environment.gpu_ecc = state.ecc;
        environment.gpu_mig = state.mig;
        environment.gpu_throttle_reasons = state.throttle_reasons;
        return environment;
    }

  private:
    PeakResult probe(std::string name, std::string unit, double amount,
                     std::function<void()> const& work) {
        PeakResult result{.probe = std::move(name), .unit = std::move(unit)};
        (void)time_ms(work);
        for (int i = 0; i < repetitions; ++i) {
            result.per_second.push_back(amount / (time_ms(work) / 1e3));
        }
        result.clock_hz = gpu_state(pci_bus_id_).clock_hz;
        return result;
    }

    at::Tensor const& drift_matrix() {
        if (!drift_matrix_.defined()) {
            drift_matrix_ =
                at::randn({2048, 2048}, at::TensorOptions{}.dtype(at::kFloat).device(at::kCUDA));
        }
        return drift_matrix_;
    }

    /// An idle GPU runs slowly; works until a fixed computation stops getting faster (bounded).
    void raise_clocks() {
        double before = time_drift_probe(compute_drift_probe);
        int agreeing = 0;
        for (int i = 0; i < 2000 && agreeing < 20; ++i) {
            double const now = time_drift_probe(compute_drift_probe);
            agreeing = std::abs(now - before) <= 0.02 * before ? agreeing + 1 : 0;
            before = now;
        }
    }

    Precision precision_;
    cudaDeviceProp properties_{};
    std::string pci_bus_id_;
    at::Tensor flush_;
    at::Tensor drift_matrix_;
    std::deque<at::cuda::CUDAEvent> events_;
};

}  // namespace

std::unique_ptr<TimingDevice> make_cuda_device(Precision precision) {
    if (c10::cuda::device_count() < 1) {
        throw EnvironmentRefused{"derate-bench-cuda", "no NVIDIA GPU, or no driver for it",
                                 "a GPU; --device cpu measures the processor"};
    }
    try {
        return std::make_unique<CudaDevice>(precision);
    } catch (c10::Error const& error) {
        throw EnvironmentRefused{"derate-bench-cuda", error.what_without_backtrace(),
                                 "a GPU that this LibTorch supports"};
    } catch (CannotTime const& error) {
        throw EnvironmentRefused{"derate-bench-cuda", error.what(), "a GPU that answers"};
    }
}

}  // namespace derate::benchmarks
