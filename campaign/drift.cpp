#include "campaign/drift.hpp"

#include <algorithm>
#include <cmath>

#include "statistics/quantiles.hpp"

namespace derate {
namespace {

/// Pairs grow with the square; beyond this the series is thinned evenly.
constexpr std::size_t most_points = 400;

/// A restart of the machine sets the monotonic clock back: from there on times go on where the last
/// launch ended.
void begin_again_after_restarts(std::vector<DriftSample>& samples) {
    std::int64_t shift = 0;
    for (std::size_t i = 1; i < samples.size(); ++i) {
        auto const here = samples[i].time_ns + shift;
        if (here < samples[i - 1].time_ns) shift = samples[i - 1].time_ns - samples[i].time_ns;
        samples[i].time_ns += shift;
    }
}

double theil_sen_slope(std::span<DriftSample const> samples) {
    std::size_t const stride = (samples.size() + most_points - 1) / most_points;
    std::vector<double> slopes;
    for (std::size_t i = 0; i < samples.size(); i += stride) {
        for (std::size_t j = i + stride; j < samples.size(); j += stride) {
            auto const elapsed = static_cast<double>(samples[j].time_ns - samples[i].time_ns);
            if (!(elapsed > 0)) continue;
            slopes.push_back((samples[j].time_ms - samples[i].time_ms) / elapsed);
        }
    }
    return slopes.empty() ? 0 : median(slopes);
}

}  // namespace

std::vector<DriftOfProbe> analyse_drift(
    std::map<std::string, std::vector<DriftSample>> const& series) {
    std::vector<DriftOfProbe> result;
    for (auto const& [probe, unsorted] : series) {
        if (unsorted.size() < 4) continue;
        auto samples = unsorted;
        std::ranges::stable_sort(samples, {}, &DriftSample::launch);  // else in the file's order
        begin_again_after_restarts(samples);
        std::vector<double> times;
        for (auto const& sample : samples) times.push_back(sample.time_ms);
        double const center = median(times);
        auto const length = static_cast<double>(samples.back().time_ns - samples.front().time_ns);
        DriftOfProbe drift{
            .probe = probe,
            .samples = static_cast<int>(samples.size()),
            .median_ms = center,
            .relative_trend = theil_sen_slope(samples) * length / center,
            .relative_range = (quantile(times, 0.95) - quantile(times, 0.05)) / center};
        drift.drifted = std::abs(drift.relative_trend) > drift_trend_limit ||
                        drift.relative_range > drift_range_limit;
        result.push_back(std::move(drift));
    }
    return result;
}

}  // namespace derate
