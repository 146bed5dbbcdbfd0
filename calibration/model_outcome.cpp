#include "calibration/model_outcome.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <tuple>

#include "core/statistics/quantiles.hpp"

namespace derate {
namespace {

template <class Property>
double mean_over(std::span<ModelOutcome const> outcomes, Property const& property) {
    double sum = 0;
    for (auto const& outcome : outcomes) sum += property(outcome);
    return sum / static_cast<double>(outcomes.size());
}

double sum_of(std::vector<double> const& values) {
    double sum = 0;
    for (double const v : values) sum += v;
    return sum;
}

/// |difference| of every pair of campaigns that timed the same model, relative to their mean.
std::vector<double> differences_of_campaigns(Evidence const& evidence) {
    std::map<std::pair<std::string, int>, std::vector<double>> totals;
    for (auto const& model : evidence.models) {
        auto const total = model.whole_model ? std::optional{model.whole_model->center_ms}
                                             : sum_of_parts_ms(evidence, model);
        if (total) totals[{model.name, model.batch}].push_back(*total);
    }
    std::vector<double> differences;
    for (auto const& [key, times] : totals) {
        double pair_sum = 0;
        int pairs = 0;
        for (std::size_t i = 0; i < times.size(); ++i) {
            for (std::size_t j = i + 1; j < times.size(); ++j, ++pairs) {
                pair_sum += 2 * std::abs(times[i] - times[j]) / (times[i] + times[j]);
            }
        }
        if (pairs > 0) differences.push_back(pair_sum / pairs);
    }
    return differences;
}

/// Mean |log ratio| of the served time of one half of the launches to that of the other, over all
/// ways to halve them.
double difference_of_halves(std::vector<LaunchTimes> const& launches) {
    constexpr std::size_t most = 12;  // 924 halvings; more launches would change nothing
    auto const count = std::min(launches.size(), most);
    double sum = 0;
    int halvings = 0;
    for (unsigned chosen = 1; chosen + 1 < 1U << count; ++chosen) {
        if (static_cast<std::size_t>(std::popcount(chosen)) != count / 2) continue;
        std::array<std::vector<LaunchTimes>, 2> halves;
        for (std::size_t i = 0; i < count; ++i) halves[chosen >> i & 1U].push_back(launches[i]);
        sum += std::abs(std::log(timing_of(halves[0]).center_ms / timing_of(halves[1]).center_ms));
        ++halvings;
    }
    return sum / halvings;
}

/// The same for each model that two or more launches timed as a whole.
std::vector<double> differences_of_launches(Evidence const& evidence) {
    std::vector<double> differences;
    for (auto const& model : evidence.models) {
        if (!model.whole_model || model.whole_model->launches.size() < 2) continue;
        differences.push_back(difference_of_halves(model.whole_model->launches));
    }
    return differences;
}

std::optional<NoiseFloor> stated_noise_floor(Evidence const& evidence) {
    std::optional<NoiseFloor> floor;
    for (auto const& campaign : evidence.campaigns) {
        auto const& stated = campaign.noise_floor;
        if (!stated || (floor && stated->percent <= floor->percent)) continue;
        floor = NoiseFloor{.percent = stated->percent,
                           .basis = NoiseFloor::Basis::stated,
                           .source = stated->source};
    }
    return floor;
}

}  // namespace

double KernelOutcome::log_error() const { return std::log(measured_ms / predicted_ms); }

double ModelOutcome::log_error() const { return std::log(measured_ms / predicted_ms); }

double ModelOutcome::error_percent() const { return 100 * (predicted_ms / measured_ms - 1); }

double ModelOutcome::standardised() const { return log_error() / std::sqrt(log_variance); }

double ModelOutcome::half_width_percent() const {
    return 100 * (std::sqrt(interval.upper / interval.lower) - 1);
}

std::vector<ModelOutcome> outcomes_of(CrossValidation const& predicted, Evidence const& evidence) {
    std::vector<ModelOutcome> outcomes;
    for (auto const& model : predicted.models) {
        ModelOutcome outcome{
            .model = model.model,
            .family = model.family,
            .batch = model.batch,
            .measured_ms = model.measured_ms,
            .predicted_ms = model.predicted.latency_ms,
            .interval = {.lower = model.predicted.ci_95_lower_ms,
                         .upper = model.predicted.ci_95_upper_ms},
            .log_variance = model.predicted.log_variance,
            .independent_truth = model.independent_truth,
            .kernels = {},
        };
        for (auto const& kernel : model.kernels) {
            auto const& subgraph =
                evidence.cases.at(static_cast<std::size_t>(kernel.case_index)).subgraph;
            outcome.kernels.push_back({
                .case_index = kernel.case_index,
                .type = subgraph.type,
                .measured_ms = kernel.measured_ms,
                .predicted_ms = kernel.predicted_ms,
                .log_variance = kernel.log_variance,
                .extrapolated = kernel.extrapolated,
                .unseen_regime = kernel.unseen_regime,
            });
        }
        outcomes.push_back(std::move(outcome));
    }
    return outcomes;
}

double mape_percent(std::span<ModelOutcome const> outcomes) {
    return mean_over(outcomes, [](auto const& o) { return std::abs(o.error_percent()); });
}

double bias_percent(std::span<ModelOutcome const> outcomes) {
    return 100 * std::expm1(mean_over(outcomes, [](auto const& o) { return -o.log_error(); }));
}

std::optional<double> kernel_median_error_percent(std::span<ModelOutcome const> outcomes) {
    std::vector<double> errors;
    for (auto const& outcome : outcomes) {
        for (auto const& kernel : outcome.kernels) {
            errors.push_back(100 * std::abs(std::expm1(-kernel.log_error())));
        }
    }
    if (errors.empty()) return std::nullopt;
    return median(errors);
}

double coverage(std::span<ModelOutcome const> outcomes) {
    return mean_over(outcomes, [](auto const& o) { return o.inside_interval() ? 1.0 : 0.0; });
}

double median_half_width_percent(std::span<ModelOutcome const> outcomes) {
    std::vector<double> widths;
    for (auto const& outcome : outcomes) widths.push_back(outcome.half_width_percent());
    return median(widths);
}

std::string_view to_string(NoiseFloor::Basis basis) {
    switch (basis) {
        case NoiseFloor::Basis::repeated_campaigns:
            return "between campaigns";
        case NoiseFloor::Basis::launches:
            return "between halves of one campaign's launches";
        case NoiseFloor::Basis::stated:
            break;
    }
    return "as stated";
}

std::string basis_of(NoiseFloor const& floor) {
    std::string basis{to_string(floor.basis)};
    if (!floor.source.empty()) basis += ": " + floor.source;
    return basis;
}

std::optional<NoiseFloor> noise_floor(Evidence const& evidence) {
    auto basis = NoiseFloor::Basis::repeated_campaigns;
    auto differences = differences_of_campaigns(evidence);
    if (differences.empty()) {
        basis = NoiseFloor::Basis::launches;
        differences = differences_of_launches(evidence);
    }
    if (differences.empty()) return stated_noise_floor(evidence);
    auto const models = static_cast<double>(differences.size());
    return NoiseFloor{
        .percent = 100 * sum_of(differences) / models,
        .basis = basis,
        .models = static_cast<int>(differences.size()),
    };
}

}  // namespace derate
