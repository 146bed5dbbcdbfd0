#include "calibration/bins.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

#include "core/evidence.hpp"
#include "statistics/distributions.hpp"

namespace derate {
namespace {

constexpr double confidence_level = 0.95;
constexpr int min_kernels_for_prediction = 3;  // two give t on one degree of freedom: 12.7 sigma

double two_sided_t(double degrees_of_freedom) {
    return student_t_quantile(0.5 + confidence_level / 2, degrees_of_freedom);
}

// A total order on everything that enters a sum, so that sums do not depend on the order of input.
auto canonical_key(KernelEfficiency const& kernel) {
    return std::tie(kernel.work, kernel.efficiency, kernel.observations, kernel.efficiency_std,
                    kernel.source_subgraphs);
}

std::vector<KernelEfficiency> in_canonical_order(std::span<KernelEfficiency const> kernels) {
    std::vector<KernelEfficiency> sorted{kernels.begin(), kernels.end()};
    std::ranges::sort(sorted, [](KernelEfficiency const& a, KernelEfficiency const& b) {
        return canonical_key(a) < canonical_key(b);
    });
    return sorted;
}

struct WeightedMean {
    double weight = 0;
    double mean = 0;

    void add(double value, double value_weight) {
        weight += value_weight;
        mean += (value - mean) * value_weight / weight;
    }
};

std::optional<double> square_root(std::optional<double> variance) {
    if (!variance) return std::nullopt;
    return std::sqrt(*variance);
}

// The extreme over all repetitions is known only where every kernel's is.
template <class Better>
std::optional<double> extreme(std::span<KernelEfficiency const> kernels,
                              std::optional<double> KernelEfficiency::*field, Better better) {
    auto result = kernels.front().*field;
    for (auto const& kernel : kernels) {
        if (!(kernel.*field)) return std::nullopt;
        if (better(*(kernel.*field), *result)) result = kernel.*field;
    }
    return result;
}

std::optional<Interval> confidence_of_mean(std::span<KernelEfficiency const> kernels, double mean) {
    double weighted_error = 0;
    double weight = 0;
    int fewest_launches = kernels.front().launches;
    for (auto const& kernel : kernels) {
        if (!kernel.standard_error || kernel.launches < 2) return std::nullopt;
        auto const count = static_cast<double>(kernel.observations);
        weighted_error += count * *kernel.standard_error;
        weight += count;
        fewest_launches = std::min(fewest_launches, kernel.launches);
    }
    double const half_width = two_sided_t(fewest_launches - 1) * weighted_error / weight;
    return Interval{mean - half_width, mean + half_width};
}

std::optional<Interval> prediction(std::span<KernelEfficiency const> kernels) {
    if (kernels.size() < min_kernels_for_prediction) return std::nullopt;
    SampleSummary logs;
    for (auto const& kernel : kernels) {
        logs = merge(logs, {.count = 1, .mean = std::log(kernel.efficiency)});
    }
    auto const count = static_cast<double>(logs.count);
    double const half_width =
        two_sided_t(count - 1) * std::sqrt(logs.variance().value() * (1 + 1 / count));
    return Interval{std::exp(logs.mean - half_width), std::exp(logs.mean + half_width)};
}

DataPoint data_point_of(std::span<KernelEfficiency const> kernels) {
    auto const pooled = pool(kernels);
    double sum_of_logs = 0;
    std::set<std::string> sources;
    for (auto const& kernel : kernels) {
        sum_of_logs += std::log(kernel.work);
        sources.insert(kernel.source_subgraphs.begin(), kernel.source_subgraphs.end());
    }
    // Rounding of exp(mean of logs) must not move the centre past the only kernel's work.
    double const center = std::clamp(std::exp(sum_of_logs / static_cast<double>(kernels.size())),
                                     kernels.front().work, kernels.back().work);
    return {
        .work = center,
        .efficiency_mean = pooled.mean,
        .efficiency_std = square_root(pooled.variance),
        .efficiency_min = extreme(kernels, &KernelEfficiency::efficiency_min, std::less{}),
        .efficiency_max = extreme(kernels, &KernelEfficiency::efficiency_max, std::greater{}),
        .num_observations = pooled.observations,
        .source_subgraphs = {sources.begin(), sources.end()},
        .between_model_std = square_root(pooled.between_model_variance),
        .confidence_interval_of_mean = confidence_of_mean(kernels, pooled.mean),
        .prediction_interval = prediction(kernels),
    };
}

}  // namespace

WorkBin work_bin_of(double work) {
    if (!(work > 0) || !std::isfinite(work)) {
        throw std::invalid_argument{"work must be positive and finite"};
    }
    // log10 may round across an edge; the edges themselves decide.
    double decade = std::pow(10.0, std::floor(std::log10(work)));
    if (work < decade) decade /= 10;
    if (work >= 10 * decade) decade *= 10;
    return work < 3 * decade ? WorkBin{decade, 3 * decade} : WorkBin{3 * decade, 10 * decade};
}

std::string to_string(WorkBin const& bin) {
    constexpr std::array suffixes{"", "k", "M", "G", "T", "P"};
    auto const edge = [&](double value) {
        std::size_t step = 0;
        while (value >= 1000 && step + 1 < suffixes.size()) {
            value /= 1000;
            ++step;
        }
        return fmt::format("{:g}{}", value, suffixes[step]);
    };
    return edge(bin.lower) + " to " + edge(bin.upper);
}

PooledEfficiency pool(std::span<KernelEfficiency const> kernels) {
    if (kernels.empty()) throw std::invalid_argument{"nothing to pool"};
    WeightedMean all;
    std::map<std::string, WeightedMean> models;
    std::int64_t observations = 0;
    for (auto const& kernel : kernels) {
        auto const count = static_cast<double>(kernel.observations);
        observations += kernel.observations;
        all.add(kernel.efficiency, count);
        for (auto const& model : kernel.models) {
            models[model].add(kernel.efficiency, count / static_cast<double>(kernel.models.size()));
        }
    }
    PooledEfficiency pooled{.observations = observations,
                            .mean = all.mean,
                            .variance = std::nullopt,
                            .between_model_variance = std::nullopt,
                            .models = static_cast<int>(models.size())};
    if (observations < 2) return pooled;

    double const degrees_of_freedom = static_cast<double>(observations) - 1;
    double between = 0;
    for (auto const& [name, model] : models) {
        between += model.weight * (model.mean - all.mean) * (model.mean - all.mean);
    }
    pooled.between_model_variance = between / degrees_of_freedom;

    double squares = 0;
    for (auto const& kernel : kernels) {
        auto const count = static_cast<double>(kernel.observations);
        squares += count * (kernel.efficiency - all.mean) * (kernel.efficiency - all.mean);
        if (kernel.observations == 1) continue;
        if (!kernel.efficiency_std) return pooled;
        squares += (count - 1) * *kernel.efficiency_std * *kernel.efficiency_std;
    }
    pooled.variance = squares / degrees_of_freedom;
    return pooled;
}

std::vector<DataPoint> data_points_of(std::span<KernelEfficiency const> kernels) {
    auto const sorted = in_canonical_order(kernels);
    std::vector<DataPoint> points;
    for (auto begin = sorted.begin(); begin != sorted.end();) {
        auto const bin = work_bin_of(begin->work);
        auto const end = std::find_if(begin, sorted.end(), [&](KernelEfficiency const& kernel) {
            return kernel.work >= bin.upper;
        });
        points.push_back(data_point_of({begin, end}));
        begin = end;
    }
    return points;
}

std::vector<KernelEfficiency> kernel_efficiencies_of(Evidence const& evidence, OperationType type,
                                                     bool zero_flop, PeakRate const& peak) {
    struct Users {
        std::set<std::string> models;
        std::set<std::string> subgraphs;
    };
    std::vector<Users> users_of(evidence.cases.size());
    for (auto const& model : evidence.models) {
        if (model.role != ModelRole::calibration) continue;
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            auto& users = users_of.at(static_cast<std::size_t>(model.cases[i]));
            users.models.insert(model.name);
            users.subgraphs.insert(place_in(model, i));
        }
    }

    std::vector<KernelEfficiency> kernels;
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& kernel = evidence.cases[i];
        auto& users = users_of[i];
        if (users.models.empty() && kernel.probe) {
            users = {.models = {"probe"}, .subgraphs = {"probe/" + kernel.subgraph.descriptor}};
        }
        bool const has_no_flops = !(kernel.subgraph.work.value() > 0);
        if (users.models.empty() || !kernel.timing || kernel.subgraph.type != type ||
            has_no_flops != zero_flop) {
            continue;
        }
        double const work =
            zero_flop ? kernel.subgraph.traffic.total().value() : kernel.subgraph.work.value();
        if (!(work > 0)) continue;

        auto const& timing = *kernel.timing;
        auto const efficiency_at = [&](double ms) {
            return work / (ms / ms_per_second * peak.per_second);
        };
        auto const inverse = [&](std::optional<double> ms) -> std::optional<double> {
            if (!ms) return std::nullopt;
            return efficiency_at(*ms);
        };
        KernelEfficiency result{
            .work = work,
            .efficiency = efficiency_at(timing.center_ms),
            .observations = timing.samples,
            .efficiency_std = std::nullopt,
            .efficiency_min = inverse(timing.max_ms),
            .efficiency_max = inverse(timing.min_ms),
            .standard_error = std::nullopt,
            .launches = static_cast<int>(timing.launches.size()),
            .models = {users.models.begin(), users.models.end()},
            .source_subgraphs = {users.subgraphs.begin(), users.subgraphs.end()},
        };
        if (timing.std_ms) {
            result.efficiency_std = result.efficiency * *timing.std_ms / timing.mean_ms;
        }
        if (auto const center = interval_of_center(timing.launches)) {
            result.standard_error = result.efficiency * center->standard_error / center->mean;
        }
        kernels.push_back(std::move(result));
    }
    return kernels;
}

std::vector<DataPoint> data_points_of(Evidence const& evidence, OperationType type, bool zero_flop,
                                      PeakRate const& peak) {
    return data_points_of(kernel_efficiencies_of(evidence, type, zero_flop, peak));
}

}  // namespace derate
