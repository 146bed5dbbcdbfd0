#include "core/measurement.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "statistics/bootstrap.hpp"
#include "statistics/distributions.hpp"

namespace derate {

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

double center_of(std::vector<double> least_times) {
    if (least_times.empty()) throw std::invalid_argument{"a served time needs a launch"};
    std::ranges::sort(least_times);
    least_times.resize((least_times.size() + 1) / 2);
    return summarize(least_times).mean;
}

std::optional<MeanEstimate> interval_of_center(std::span<LaunchTimes const> launches,
                                               double confidence) {
    constexpr BootstrapPlan plan{.replicates = 1000};
    if (launches.size() < 2) return std::nullopt;
    auto leasts = least_times(launches);
    std::ranges::sort(leasts);  // launches have no order, and the draws are by position
    std::vector<int> each_alone(leasts.size());
    std::iota(each_alone.begin(), each_alone.end(), 0);
    auto const replicates = cluster_bootstrap(
        each_alone,
        [&](std::span<std::size_t const> drawn) {
            std::vector<double> times;
            for (auto const launch : drawn) times.push_back(leasts[launch]);
            return std::log(center_of(std::move(times)));
        },
        plan);
    auto const k = static_cast<double>(leasts.size());
    double const center = center_of(leasts);
    double const deviation =
        std::sqrt(summarize(replicates).variance().value_or(0) * k / (k - 1));
    double const factor =
        std::exp(student_t_quantile((1 + confidence) / 2, k - 1) * deviation);
    return MeanEstimate{.mean = center,
                        .standard_error = center * deviation,
                        .degrees_of_freedom = k - 1,
                        .interval = {.lower = center / factor, .upper = center * factor}};
}

Timing timing_of(std::vector<LaunchTimes> launches) {
    if (launches.empty()) throw std::invalid_argument{"a timing needs one launch or more"};
    Timing timing;
    std::vector<SampleSummary> summaries;
    timing.min_ms = launches.front().min_ms;
    timing.max_ms = launches.front().max_ms;
    for (auto const& launch : launches) {
        if (launch.times_ms.count < 1) throw std::invalid_argument{"a launch without repetitions"};
        summaries.push_back(launch.times_ms);
        timing.min_ms = std::min(*timing.min_ms, launch.min_ms);
        timing.max_ms = std::max(*timing.max_ms, launch.max_ms);
    }
    // Launches have no order: sums are rounded alike in any.
    std::ranges::sort(summaries, {}, [](SampleSummary const& one) {
        return std::tuple{one.mean, one.sum_squared_deviations, one.count};
    });
    SampleSummary all;
    for (auto const& summary : summaries) all = merge(all, summary);
    auto const leasts = least_times(launches);
    timing.min_ms = std::min(*timing.min_ms, std::ranges::min(leasts));
    timing.center_ms = center_of(leasts);
    timing.mean_ms = all.mean;
    if (auto const variance = all.variance()) timing.std_ms = std::sqrt(*variance);
    timing.samples = all.count;
    timing.launches = std::move(launches);
    return timing;
}

std::string model_label(std::string_view name, std::optional<int> batch) {
    return batch ? std::string{name} + "/b" + std::to_string(*batch) : std::string{name};
}

std::string batch_text(std::optional<int> batch) {
    return batch ? std::to_string(*batch) : "unknown";
}

std::string model_in_words(std::string const& name, std::optional<int> batch) {
    return batch.value_or(1) == 1 ? name : name + " (batch " + std::to_string(*batch) + ")";
}

}  // namespace derate
