#include "core/hardware.hpp"

namespace derate {

std::optional<std::string> parse_hardware_id(std::string_view text) {
    constexpr std::string_view letters =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
    constexpr std::size_t longest = 128;
    if (text.empty() || text.size() > longest || text.front() == '.' || text.front() == '_' ||
        text.front() == '-' || text.find_first_not_of(letters) != text.npos) {
        return std::nullopt;
    }
    return std::string{text};
}

std::optional<PeakRate> Hardware::compute_peak(Precision precision,
                                               std::optional<int> threads) const {
    for (auto const& peak : compute_peaks) {
        if (peak.precision == precision && (!threads || peak.threads == threads)) {
            return peak.rate;
        }
    }
    return std::nullopt;
}

std::optional<PeakRate> Hardware::bandwidth_peak(std::optional<int> threads) const {
    for (auto const& peak : bandwidth_peaks) {
        if (!threads || peak.threads == threads) return peak.rate;
    }
    return std::nullopt;
}

}  // namespace derate
