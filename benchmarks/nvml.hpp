#pragma once
#include <optional>
#include <string>

namespace derate::benchmarks {

/// What the driver's management library says of one GPU now. Empty: it does not say.
struct GpuState {
    std::optional<double> clock_hz{};  ///< of the multiprocessors
    std::optional<double> clock_max_hz{};
    std::optional<double> memory_clock_hz{};
    std::optional<double> power_limit_w{};
    std::optional<bool> ecc{};
    std::optional<bool> mig{};
    std::optional<std::string> throttle_reasons{};  ///< "none", or names joined by commas
    std::optional<std::string> driver{};
};

/// Reads NVML, which is opened at run time (libnvidia-ml.so.1): programs start where it is absent.
/// All fields are empty where it is.
/// \param pci_bus_id  as CUDA names the GPU, "0000:65:00.0"
[[nodiscard]] GpuState gpu_state(std::string const& pci_bus_id);

}  // namespace derate::benchmarks
