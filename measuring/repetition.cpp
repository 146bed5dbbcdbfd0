#include "measuring/repetition.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace derate {
namespace {

constexpr std::size_t smallest_window_with_quartiles = 8;

double mean(std::span<double const> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Order statistic at `fraction` of the way, without interpolation: enough to compare two halves.
double order_statistic(std::vector<double>& values, double fraction) {
    auto const rank =
        static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size() - 1));
    std::ranges::nth_element(values, values.begin() + rank);
    return values[static_cast<std::size_t>(rank)];
}

struct Shape {
    double lower_quartile;
    double median;
    double upper_quartile;
    double median_absolute_deviation;
};

Shape shape_of(std::span<double const> times) {
    std::vector<double> values{times.begin(), times.end()};
    Shape shape{};
    shape.lower_quartile = order_statistic(values, 0.25);
    shape.median = order_statistic(values, 0.5);
    shape.upper_quartile = order_statistic(values, 0.75);
    for (auto& value : values) value = std::abs(value - shape.median);
    shape.median_absolute_deviation = order_statistic(values, 0.5);
    return shape;
}

/// What warms up gets faster; what was disturbed after it had warmed up does not.
bool got_faster(double before, double after, double tolerance) {
    return before > (1 + tolerance) * after;
}

}  // namespace

double Repetition::mean_ms() const { return mean(iteration_ms); }

double Repetition::fast_ms() const {
    auto times = iteration_ms;
    auto const half = (times.size() + 1) / 2;
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(half - 1));
    return mean(std::span{times}.first(half));
}

bool is_steady(std::span<double const> window_ms, double before) {
    if (window_ms.size() == 1)
        return std::abs(window_ms[0] - before) <= 0.10 * std::min(window_ms[0], before);
    auto const half = window_ms.size() / 2;
    auto const first = window_ms.first(half);
    auto const second = window_ms.last(window_ms.size() - half);
    if (window_ms.size() < smallest_window_with_quartiles) {
        return !got_faster(mean(first), mean(second), 0.10);
    }
    auto const a = shape_of(first);
    auto const b = shape_of(second);
    return !got_faster(a.lower_quartile, b.lower_quartile, 0.05) &&
           !got_faster(a.median, b.median, 0.05) &&
           !got_faster(a.upper_quartile, b.upper_quartile, 0.05) &&
           a.median_absolute_deviation - b.median_absolute_deviation <=
               0.10 * std::min(a.median, b.median);
}

Repetition take_repetition(RunIteration const& run_iteration, RepetitionPolicy const& policy) {
    if (policy.min_warmup_iterations < 1) {
        throw std::invalid_argument{
            "take_repetition: the first iteration of a repetition never counts"};
    }
    if (policy.min_iterations < 1 || policy.max_iterations < policy.min_iterations) {
        throw std::invalid_argument{"take_repetition: bad bounds on the number of iterations"};
    }
    Repetition repetition;
    double last_ms = 0;
    double warmup_ms = 0;
    for (; repetition.warmup < policy.min_warmup_iterations; ++repetition.warmup) {
        last_ms = run_iteration();
        warmup_ms += last_ms;
    }
    auto const window_size = [&policy](double typical_ms) {
        auto const wanted = std::ceil(policy.min_timed_ms / std::max(typical_ms, 1e-9));
        return static_cast<std::size_t>(std::clamp(wanted,
                                                   static_cast<double>(policy.min_iterations),
                                                   static_cast<double>(policy.max_iterations)));
    };
    auto& window = repetition.iteration_ms;
    double window_ms = 0;
    auto const fill_window = [&](std::size_t size) {
        window.reserve(size);
        while (window.size() < size) {
            window.push_back(run_iteration());
            window_ms += window.back();
        }
    };
    auto const typical_ms = [&] { return window_ms / static_cast<double>(window.size()); };
    fill_window(window_size(last_ms));
    while (true) {
        repetition.steady = is_steady(window, last_ms);
        if (repetition.steady) {
            // The call that sized the window may have been many times slower than the rest.
            auto const size = window_size(typical_ms());
            if (size <= window.size()) return repetition;
            fill_window(size);
            repetition.steady = is_steady(window, last_ms);
            if (repetition.steady) return repetition;
        }
        if (warmup_ms + window_ms > policy.max_warmup_ms) return repetition;
        auto const dropped = static_cast<std::ptrdiff_t>((window.size() + 1) / 2);
        last_ms = window[static_cast<std::size_t>(dropped - 1)];
        auto const dropped_ms = std::accumulate(window.begin(), window.begin() + dropped, 0.0);
        window.erase(window.begin(), window.begin() + dropped);
        repetition.warmup += static_cast<int>(dropped);
        warmup_ms += dropped_ms;
        window_ms -= dropped_ms;
        fill_window(window.empty() ? 1 : window_size(typical_ms()));
    }
}

}  // namespace derate
