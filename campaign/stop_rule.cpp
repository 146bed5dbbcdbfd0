#include "campaign/stop_rule.hpp"

#include <span>
#include <vector>

#include "core/statistics/interval_of_mean.hpp"

namespace derate {
namespace {

std::optional<double> half_width_of_first(std::vector<LaunchTimes> const& launches,
                                          std::size_t count) {
    auto const estimate =
        confidence_interval_of_mean(least_times(std::span{launches}.first(count)));
    if (!estimate) return std::nullopt;
    return estimate->relative_half_width();
}

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
    auto const launches = launch_times(repetitions);
    return half_width_of_first(launches, launches.size());
}

std::optional<StopReason> stop_reason(Repetitions const& repetitions, CampaignRules const& rules) {
    auto const launches = launch_times(repetitions);
    auto const count = static_cast<int>(launches.size());
    if (!rules.stop_early) {
        return count >= rules.max_launches ? std::optional{StopReason::exact} : std::nullopt;
    }
    if (count < rules.min_launches) return std::nullopt;
    auto const now = half_width_of_first(launches, launches.size());
    if (now && *now <= rules.target_half_width) return StopReason::precise;
    if (count >= 10) {
        auto const before = half_width_of_first(launches, launches.size() / 2);
        if (now && before && *now > 0.9 * *before) return StopReason::noise_floor;
    }
    if (count >= rules.max_launches) return StopReason::launches;
    return std::nullopt;
}

}  // namespace derate
