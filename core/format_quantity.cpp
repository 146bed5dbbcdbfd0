#include "core/format_quantity.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace derate {
namespace {

constexpr std::array<std::string_view, 6> decimal_prefixes{"", "k", "M", "G", "T", "P"};
constexpr std::array<std::string_view, 6> binary_prefixes{"", "Ki", "Mi", "Gi", "Ti", "Pi"};

std::string fixed(double value, int decimals) { return fmt::format("{:.{}f}", value, decimals); }

/// `value` scaled below `base`, with the prefix that says by how much.
std::string with_prefix(double value, double base, std::array<std::string_view, 6> const& prefixes,
                        std::string_view unit) {
    std::size_t prefix = 0;
    // 999.7 would round to 1000 at three digits: it belongs to the next prefix.
    while (prefix + 1 < prefixes.size() && std::abs(value) >= base * 0.9995) {
        value /= base;
        ++prefix;
    }
    bool const whole_units = prefix == 0 && value == std::round(value);
    return fmt::format("{} {}{}", whole_units ? fixed(value, 0) : format_significant(value, 3),
                       prefixes[prefix], unit);
}

}  // namespace

std::string format_flops(Flops work) {
    return with_prefix(work.value(), 1000, decimal_prefixes, "FLOP");
}

std::string format_bytes(Bytes traffic) {
    return with_prefix(traffic.value(), 1024, binary_prefixes, "B");
}

std::string format_rate(FlopsPerSecond rate) {
    return with_prefix(rate.value(), 1000, decimal_prefixes, "FLOP/s");
}

std::string format_rate(BytesPerSecond rate) {
    return with_prefix(rate.value(), 1000, decimal_prefixes, "B/s");
}

std::string format_ms(double time_ms, std::optional<double> half_width_ms) {
    if (!half_width_ms || !(*half_width_ms > 0) || !std::isfinite(*half_width_ms)) {
        return format_significant(time_ms, 4) + " ms";
    }
    int const second_digit = 1 - static_cast<int>(std::floor(std::log10(*half_width_ms)));
    return fixed(time_ms, std::clamp(second_digit, 0, 9)) + " ms";
}

std::string format_significant(double value, int digits) {
    if (value == 0 || !std::isfinite(value)) return value == 0 ? "0" : std::to_string(value);
    int leading = static_cast<int>(std::floor(std::log10(std::abs(value))));
    // 0.9997 at three digits is 1.00, one decade up.
    if (std::abs(value) >= std::pow(10.0, leading + 1) * (1 - 0.5 * std::pow(10.0, -digits))) {
        ++leading;
    }
    if (leading < -4 || leading > 15) return fmt::format("{:.{}e}", value, digits - 1);
    return fixed(value, std::max(0, digits - 1 - leading));
}

}  // namespace derate
