#include "campaign/stop_rule.hpp"

#include <cmath>

#include "core/measurement.hpp"

namespace derate {
namespace {

constexpr int launches_that_show_the_spread = 10;

}  // namespace

std::string_view to_string(StopReason reason) {
    switch (reason) {
        case StopReason::precise:
            return "precise";
        case StopReason::noise_floor:
            return "noise_floor";
        case StopReason::launches:
            return "launches";
        case StopReason::budget:
            return "budget";
        case StopReason::failed:
            return "failed";
        case StopReason::exact:
            return "exact";
    }
    return {};
}

std::optional<double> relative_half_width(Repetitions const& repetitions) {
    auto const estimate = interval_of_center(launch_times(repetitions));
    if (!estimate) return std::nullopt;
    return estimate->relative_half_width();
}

std::optional<StopReason> stop_reason(Repetitions const& repetitions, CampaignRules const& rules) {
    auto const count = static_cast<int>(launch_times(repetitions).size());
    if (!rules.stop_early) {
        return count >= rules.max_launches ? std::optional{StopReason::exact} : std::nullopt;
    }
    if (count < rules.min_launches) return std::nullopt;
    auto const half_width = relative_half_width(repetitions);
    if (half_width && *half_width <= rules.target_half_width) return StopReason::precise;
    if (count >= rules.max_launches) return StopReason::launches;
    if (half_width && count >= launches_that_show_the_spread) {
        double const in_the_end =
            *half_width * std::sqrt(static_cast<double>(count) / rules.max_launches);
        if (in_the_end > 2 * rules.target_half_width) return StopReason::noise_floor;
    }
    return std::nullopt;
}

}  // namespace derate
