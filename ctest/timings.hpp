#pragma once
#include <optional>

#include "core/measurement.hpp"
#include "measuring/launch.hpp"

namespace derate {

/// A time as other projects publish them: a mean of `samples`, nothing else.
inline Timing imported_time(double ms, int samples) {
    return {.statistic = CenterStatistic::mean,
            .center_ms = ms,
            .mean_ms = ms,
            .std_ms = std::nullopt,
            .min_ms = std::nullopt,
            .max_ms = std::nullopt,
            .samples = samples,
            .launches = {}};
}

/// Two repetitions of the same time.
inline LaunchTimes launch_of(double ms, std::optional<int> number) {
    return {.times_ms = {.count = 2, .mean = ms},
            .lower_quartile_ms = ms,
            .median_ms = ms,
            .upper_quartile_ms = ms,
            .min_ms = ms,
            .max_ms = ms,
            .launch = number};
}

}  // namespace derate
