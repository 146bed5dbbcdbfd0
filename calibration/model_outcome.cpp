#include "calibration/model_outcome.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "core/format_quantity.hpp"
#include "estimator/prepared_model.hpp"
#include "statistics/distributions.hpp"
#include "statistics/quantiles.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

template <class Property>
double mean_over(std::span<ModelOutcome const> outcomes, Property const& property) {
    double sum = 0;
    for (auto const& outcome : outcomes) sum += property(outcome);
    return sum / static_cast<double>(outcomes.size());
}

/// One model at one batch, timed several times: by launches of one campaign, or by campaigns.
struct RepeatedTotal {
    struct Time {
        int visit = 0;  ///< launch number, or index of the campaign; -1: not known
        double ms = 0;
    };
    std::string family;
    std::vector<Time> times;
};

/// Mean relative |difference| of all pairs.
double difference_of_pairs(std::span<double const> times) {
    double sum = 0;
    int pairs = 0;
    for (std::size_t i = 0; i < times.size(); ++i) {
        for (std::size_t j = i + 1; j < times.size(); ++j, ++pairs) {
            sum += 2 * std::abs(times[i] - times[j]) / (times[i] + times[j]);
        }
    }
    return sum / pairs;
}

double log_ratio_of_halves(std::vector<double> first, std::vector<double> second) {
    return std::abs(std::log(center_of(std::move(first)) / center_of(std::move(second))));
}

/// Mean |log ratio| over all ways to take two halves of equal size.
double difference_of_all_halves(std::span<double const> leasts) {
    auto const count = leasts.size();
    auto const half = static_cast<int>(count / 2);
    double sum = 0;
    int halvings = 0;
    for (unsigned chosen = 0; chosen < 1U << count; ++chosen) {
        if (std::popcount(chosen) != half) continue;
        std::vector<double> first;
        std::vector<double> others;
        for (std::size_t i = 0; i < count; ++i) {
            (chosen >> i & 1U ? first : others).push_back(leasts[i]);
        }
        bool const is_even = others.size() == first.size();
        for (std::size_t left_out = 0; left_out < (is_even ? 1 : others.size()); ++left_out) {
            auto second = others;
            if (!is_even) second.erase(second.begin() + static_cast<std::ptrdiff_t>(left_out));
            sum += log_ratio_of_halves(first, std::move(second));
            ++halvings;
        }
    }
    return sum / halvings;
}

/// The same over halves that are drawn: there are too many ways to take all.
double difference_of_drawn_halves(std::vector<double> leasts) {
    constexpr int draws = 500;
    constexpr std::uint64_t seed = 20260101;
    std::mt19937_64 random{seed};
    auto const half = leasts.size() / 2;
    double sum = 0;
    for (int draw = 0; draw < draws; ++draw) {
        for (std::size_t i = 0; i < 2 * half; ++i) {  // as far as it is needed, Fisher and Yates
            std::swap(leasts[i], leasts[i + random() % (leasts.size() - i)]);
        }
        auto const middle = leasts.begin() + static_cast<std::ptrdiff_t>(half);
        sum += log_ratio_of_halves({leasts.begin(), middle},
                                   {middle, middle + static_cast<std::ptrdiff_t>(half)});
    }
    return sum / draws;
}

double difference_of_halves(std::span<double const> leasts) {
    constexpr std::size_t most_to_enumerate = 10;
    return leasts.size() <= most_to_enumerate
               ? difference_of_all_halves(leasts)
               : difference_of_drawn_halves({leasts.begin(), leasts.end()});
}

/// Models with two times or more, and how they are compared.
struct RepeatedTotals {
    NoiseFloor::Basis basis = NoiseFloor::Basis::launches;
    std::vector<RepeatedTotal> models;
    double (*difference)(std::span<double const>) = difference_of_halves;

    [[nodiscard]] bool all_visits_known() const {
        return std::ranges::all_of(models, [](RepeatedTotal const& model) {
            return std::ranges::all_of(model.times, [](auto const& time) { return time.visit >= 0; });
        });
    }

    /// Mean difference over models, without a family or a visit; empty if nothing is left.
    [[nodiscard]] std::optional<double> floor(
        std::optional<std::string> const& without_family = {},
        std::optional<int> without_visit = {}) const {
        double sum = 0;
        int count = 0;
        for (auto const& model : models) {
            if (model.family == without_family) continue;
            std::vector<double> times;
            for (auto const& time : model.times) {
                if (time.visit != without_visit) times.push_back(time.ms);
            }
            if (times.size() < 2) continue;
            sum += difference(times);
            ++count;
        }
        if (count == 0) return std::nullopt;
        return sum / count;
    }
};

RepeatedTotals totals_of_campaigns(Evidence const& evidence) {
    std::map<std::pair<std::string, std::optional<int>>, RepeatedTotal> totals;
    for (auto const& model : evidence.models) {
        auto const total = model.whole_model ? std::optional{model.whole_model->center_ms}
                                             : sum_of_parts_ms(evidence, model);
        if (!total) continue;
        auto& repeated = totals[{model.name, model.batch}];
        repeated.family = model.family;
        repeated.times.push_back({.visit = model.campaign, .ms = *total});
    }
    RepeatedTotals result{.basis = NoiseFloor::Basis::repeated_campaigns,
                          .difference = difference_of_pairs};
    for (auto& [key, total] : totals) {
        if (total.times.size() > 1) result.models.push_back(std::move(total));
    }
    return result;
}

RepeatedTotals totals_of_launches(Evidence const& evidence) {
    RepeatedTotals result;
    for (auto const& model : evidence.models) {
        if (!model.whole_model || model.whole_model->launches.size() < 2) continue;
        RepeatedTotal total{.family = model.family};
        for (auto const& launch : model.whole_model->launches) {
            total.times.push_back({.visit = launch.launch.value_or(-1), .ms = launch.least()});
        }
        result.models.push_back(std::move(total));
    }
    return result;
}

/// A jackknife's variance of a logarithm and the units it left out.
struct JackknifeVariance {
    double variance = 0;
    int units = 0;
};

/// \param values  the statistic without each unit in turn
/// \return empty below two, or where one is not known or not positive
std::optional<JackknifeVariance> jackknife_of_log(std::vector<std::optional<double>> const& values) {
    SampleSummary logs;
    for (auto const& value : values) {
        if (!value || !(*value > 0)) return std::nullopt;
        logs = merge(logs, {.count = 1, .mean = std::log(*value)});
    }
    if (logs.count < 2) return std::nullopt;
    auto const n = static_cast<double>(logs.count);
    return JackknifeVariance{(n - 1) / n * logs.sum_squared_deviations,
                             static_cast<int>(values.size())};
}

std::optional<Interval> interval_of_floor(RepeatedTotals const& totals, double floor) {
    std::set<std::string> families;
    std::set<int> visits;
    for (auto const& model : totals.models) {
        families.insert(model.family);
        for (auto const& time : model.times) visits.insert(time.visit);
    }
    std::vector<std::optional<double>> without_family;
    for (auto const& family : families) without_family.push_back(totals.floor(family));
    std::vector<std::optional<double>> without_visit;
    if (totals.all_visits_known()) {
        for (int const visit : visits) without_visit.push_back(totals.floor({}, visit));
    }
    double variance = 0;
    int units = 0;
    for (auto const& part : {jackknife_of_log(without_family), jackknife_of_log(without_visit)}) {
        if (!part) continue;
        variance += part->variance;
        units = units == 0 ? part->units : std::min(units, part->units);
    }
    if (units == 0) return std::nullopt;
    double const factor = std::exp(student_t_quantile(0.975, units - 1) * std::sqrt(variance));
    return Interval{floor / factor, floor * factor};
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

std::optional<double> ModelOutcome::kernel_square() const {
    double weight = 0;
    double sum = 0;
    for (auto const& kernel : kernels) {
        if (!(kernel.log_variance > 0)) continue;
        double const e = kernel.log_error();
        weight += kernel.predicted_ms;
        sum += kernel.predicted_ms * e * e / kernel.log_variance;
    }
    if (!(weight > 0)) return std::nullopt;
    return sum / weight;
}

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

std::vector<ModelOutcome> outcomes_as_predicted(Calibration const& calibration,
                                                std::span<UntimedModel const> models) {
    CompiledCalibration const compiled{calibration};
    std::vector<ModelOutcome> outcomes;
    for (auto const& model : models) {
        auto const prepared = prepare(compiled, model.subgraphs, model.partition);
        auto const total = estimate(compiled, prepared);
        ModelOutcome outcome{.model = model.name,
                             .family = model.family,
                             .batch = model.batch,
                             .measured_ms = total.latency_ms,
                             .predicted_ms = total.latency_ms,
                             .interval = {total.ci_95_lower_ms, total.ci_95_upper_ms},
                             .log_variance = total.log_variance,
                             .independent_truth = false,
                             .kernels = {}};
        auto const parts = estimate_subgraphs(compiled, prepared);
        for (std::size_t i = 0; i < parts.size(); ++i) {
            outcome.kernels.push_back({.case_index = model.cases[i],
                                       .type = model.subgraphs[i].type,
                                       .measured_ms = parts[i].latency_ms,
                                       .predicted_ms = parts[i].latency_ms,
                                       .log_variance = parts[i].log_variance,
                                       .extrapolated = parts[i].extrapolated,
                                       .unseen_regime = parts[i].unseen_regime.has_value()});
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

bool is_known(Interval const& interval) {
    return interval.upper <= most_spread * most_spread * interval.lower;
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
    if (floor.approximate) basis += " that carry no numbers, so approximate";
    if (auto const& interval = floor.interval_percent) {
        basis += "; 95 % interval " + format_significant(interval->lower, 2) + " to " +
                 format_significant(interval->upper, 2) + " %";
    }
    return basis;
}

std::optional<NoiseFloor> noise_floor(Evidence const& evidence) {
    auto totals = totals_of_campaigns(evidence);
    if (totals.models.empty()) totals = totals_of_launches(evidence);
    auto const floor = totals.floor();
    if (!floor) return stated_noise_floor(evidence);
    return NoiseFloor{.percent = 100 * *floor,
                      .basis = totals.basis,
                      .models = static_cast<int>(totals.models.size()),
                      .interval_percent = interval_of_floor(totals, 100 * *floor),
                      .approximate = !totals.all_visits_known()};
}

}  // namespace derate
