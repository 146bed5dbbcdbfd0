#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/device_kind.hpp"
#include "core/precision.hpp"
#include "core/quantity.hpp"

namespace derate {

/// What a hardware id may be: a folder's name, a word of a command line and a key.
inline constexpr std::string_view hardware_id_rule =
    "1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit";

/// \return empty for what breaks hardware_id_rule
[[nodiscard]] std::optional<std::string> parse_hardware_id(std::string_view text);

/// A peak rate and why to believe it. Efficiencies are fractions of it; predicted times do not
/// depend on it.
struct PeakRate {
    double per_second = 0;  ///< FLOP/s or bytes/s, > 0
    std::string source;     ///< "measured", "data_sheet", "as stated in ..."
    std::string
        method;  ///< how it was measured, e.g. "fma_avx512, best of 5 launches"; may be empty
    std::optional<double> relative_spread;  ///< std / mean over launches
    std::optional<double> clock_hz;         ///< clock it holds at, where known
};

struct ComputePeak {
    Precision precision = Precision::fp32;
    std::optional<int> threads = 1;  ///< empty for a GPU
    PeakRate rate;
};

struct BandwidthPeak {
    std::optional<int> threads = 1;  ///< empty for a GPU
    PeakRate rate;
};

/// What is known of one piece of hardware: content of hardware.json.
struct Hardware {
    std::string id;  ///< equals the registry folder's name
    DeviceKind kind = DeviceKind::cpu;
    std::string name;  ///< as its maker or the operating system calls it
    std::vector<ComputePeak> compute_peaks;
    std::vector<BandwidthPeak> bandwidth_peaks;
    std::optional<double> last_level_cache_bytes;
    std::optional<std::string> power_mode;

    /// The peak for this precision and thread count; without one, at any.
    [[nodiscard]] std::optional<PeakRate> compute_peak(Precision precision,
                                                       std::optional<int> threads = {}) const;
    [[nodiscard]] std::optional<PeakRate> bandwidth_peak(std::optional<int> threads = {}) const;
};

}  // namespace derate
