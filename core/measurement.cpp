#include "core/measurement.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace derate {
namespace {

constexpr std::array<std::pair<CacheState, std::string_view>, 5> cache_state_names{{
    {CacheState::hot, "hot"},
    {CacheState::cold_activations, "cold_activations"},
    {CacheState::cold_all, "cold_all"},
    {CacheState::in_context, "in_context"},
    {CacheState::unknown, "unknown"},
}};

}  // namespace

std::string_view to_string(CacheState state) {
    for (auto const& [value, name] : cache_state_names) {
        if (value == state) return name;
    }
    return {};
}

std::optional<CacheState> parse_cache_state(std::string_view text) {
    for (auto const& [value, name] : cache_state_names) {
        if (name == text) return value;
    }
    return std::nullopt;
}

std::string_view to_string(CenterStatistic statistic) {
    switch (statistic) {
        case CenterStatistic::faster_launches:
            return "faster_launches";
        case CenterStatistic::least:
            return "least";
        case CenterStatistic::mean_of_launch_medians:
            return "mean_of_launch_medians";
        case CenterStatistic::mean:
            return "mean";
    }
    return {};
}

std::vector<double> least_times(std::span<LaunchTimes const> launches) {
    std::vector<double> times;
    for (auto const& launch : launches) times.push_back(launch.least());
    return times;
}

Timing timing_of(std::vector<LaunchTimes> launches) {
    if (launches.empty()) throw std::invalid_argument{"a timing needs one launch or more"};
    Timing timing;
    SampleSummary all;
    timing.min_ms = launches.front().min_ms;
    timing.max_ms = launches.front().max_ms;
    for (auto const& launch : launches) {
        if (launch.times_ms.count < 1) throw std::invalid_argument{"a launch without repetitions"};
        all = merge(all, launch.times_ms);
        timing.min_ms = std::min(*timing.min_ms, launch.min_ms);
        timing.max_ms = std::max(*timing.max_ms, launch.max_ms);
    }
    auto leasts = least_times(launches);
    std::ranges::sort(leasts);
    timing.min_ms = std::min(*timing.min_ms, leasts.front());
    leasts.resize((leasts.size() + 1) / 2);
    timing.center_ms = summarize(leasts).mean;
    timing.mean_ms = all.mean;
    if (auto const variance = all.variance()) timing.std_ms = std::sqrt(*variance);
    timing.samples = all.count;
    timing.launches = std::move(launches);
    return timing;
}

}  // namespace derate
