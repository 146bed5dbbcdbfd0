#include "benchmarks/nvml.hpp"

#include <dlfcn.h>

#include <array>
#include <string_view>
#include <utility>

namespace derate::benchmarks {
namespace {

// The part of NVML's stable C interface that is used (NVML API Reference, "Device Queries"): every
// function returns 0 for success, a device is an opaque pointer.
using Device = void*;
constexpr int success = 0;
constexpr int clock_sm = 1;
constexpr int clock_memory = 2;

class Library {
  public:
    Library() : handle_{::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)} {
        auto const init = find<int (*)()>("nvmlInit_v2");
        ready_ = init != nullptr && init() == success;
    }

    [[nodiscard]] bool is_ready() const { return ready_; }

    template <class Function>
    [[nodiscard]] Function find(char const* name) const {
        return handle_ == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(handle_, name));
    }

    /// Calls `name(arguments..., &value)`; empty unless it succeeds.
    template <class Value, class... Arguments>
    [[nodiscard]] std::optional<Value> get(char const* name, Arguments... arguments) const {
        auto const function = find<int (*)(Arguments..., Value*)>(name);
        Value value{};
        if (function == nullptr || function(arguments..., &value) != success) return std::nullopt;
        return value;
    }

  private:
    void* handle_;
    bool ready_ = false;
};

std::string names_of(unsigned long long reasons) {
    static constexpr std::array<std::pair<unsigned long long, std::string_view>, 9> known{{
        {0x1, "idle"},
        {0x2, "application_clocks"},
        {0x4, "power_cap"},
        {0x8, "hardware_slowdown"},
        {0x10, "sync_boost"},
        {0x20, "software_thermal"},
        {0x40, "hardware_thermal"},
        {0x80, "power_brake"},
        {0x100, "display_clocks"},
    }};
    std::string names;
    for (auto const& [bit, name] : known) {
        if ((reasons & bit) == 0) continue;
        if (!names.empty()) names += ',';
        names += name;
    }
    return names.empty() ? "none" : names;
}

std::optional<double> hz(std::optional<unsigned> mhz) {
    if (!mhz) return std::nullopt;
    return *mhz * 1e6;
}

}  // namespace

GpuState gpu_state(std::string const& pci_bus_id) {
    static Library const nvml;
    GpuState state;
    if (!nvml.is_ready()) return state;
    std::array<char, 96> version{};
    using GetVersion = int (*)(char*, unsigned);
    if (auto const get = nvml.find<GetVersion>("nvmlSystemGetDriverVersion");
        get != nullptr && get(version.data(), version.size()) == success) {
        state.driver = version.data();
    }
    auto const device =
        nvml.get<Device, char const*>("nvmlDeviceGetHandleByPciBusId_v2", pci_bus_id.c_str());
    if (!device) return state;
    state.clock_hz =
        hz(nvml.get<unsigned, Device, int>("nvmlDeviceGetClockInfo", *device, clock_sm));
    state.clock_max_hz =
        hz(nvml.get<unsigned, Device, int>("nvmlDeviceGetMaxClockInfo", *device, clock_sm));
    state.memory_clock_hz =
        hz(nvml.get<unsigned, Device, int>("nvmlDeviceGetClockInfo", *device, clock_memory));
    if (auto const mw = nvml.get<unsigned, Device>("nvmlDeviceGetEnforcedPowerLimit", *device)) {
        state.power_limit_w = *mw / 1e3;
    }
    if (auto const reasons = nvml.get<unsigned long long, Device>(
            "nvmlDeviceGetCurrentClocksThrottleReasons", *device)) {
        state.throttle_reasons = names_of(*reasons);
    }
    // These two return the present mode and the one after the next restart.
    using GetModes = int (*)(Device, unsigned*, unsigned*);
    auto const mode = [&](char const* name) -> std::optional<bool> {
        unsigned now = 0;
        unsigned pending = 0;
        auto const get = nvml.find<GetModes>(name);
        if (get == nullptr || get(*device, &now, &pending) != success) return std::nullopt;
        return now != 0;
    };
    state.ecc = mode("nvmlDeviceGetEccMode");
    state.mig = mode("nvmlDeviceGetMigMode");
    return state;
}

}  // namespace derate::benchmarks
