#include "calibration/diagnostics.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "statistics/interval_of_mean.hpp"
#include "statistics/mean_tests.hpp"
#include "statistics/moments.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

constexpr double outlier_sigmas = 3;

struct CaseUse {
    std::set<std::string> models;
    std::set<std::string> subgraphs;
    double time_ms = 0;  // over all models that contain the case
};

std::vector<CaseUse> uses_of(Evidence const& evidence) {
    std::vector<CaseUse> uses(evidence.cases.size());
    for (auto const& model : evidence.models) {
        if (model.role == ModelRole::held_out) continue;
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            auto const index = static_cast<std::size_t>(model.cases[i]);
            auto& use = uses.at(index);
            use.models.insert(model.name);
            use.subgraphs.insert(place_in(model, i));
            if (auto const& timing = evidence.cases[index].timing) use.time_ms += timing->center_ms;
        }
    }
    return uses;
}

std::vector<double> log_residuals(std::vector<KernelResidual> const& kernels) {
    std::vector<double> values;
    for (auto const& kernel : kernels) values.push_back(kernel.log_residual);
    return values;
}

/// One kernel, whatever the number of campaigns that timed it, with the mean of its residuals.
struct IndependentKernel {
    double log_residual = 0;
    std::set<std::string> models;
};

std::vector<IndependentKernel> independent_kernels(std::vector<KernelResidual> const& kernels) {
    std::map<std::pair<std::string, int>, std::pair<SampleSummary, std::set<std::string>>> by_kernel;
    for (auto const& kernel : kernels) {
        auto const case_index = kernel.descriptor.empty() ? kernel.case_index : -1;
        auto& [residuals, models] = by_kernel[{kernel.descriptor, case_index}];
        residuals = merge(residuals, {.count = 1, .mean = kernel.log_residual});
        models.insert(kernel.models.begin(), kernel.models.end());
    }
    std::vector<IndependentKernel> independent;
    for (auto& [key, kernel] : by_kernel) {
        independent.push_back({kernel.first.mean, std::move(kernel.second)});
    }
    return independent;
}

/// Residuals of the kernels that one model alone contains, by model: each kernel is in one group,
/// so that the groups are independent. What models share cannot tell them apart.
std::vector<SampleSummary> groups_of_models(std::vector<IndependentKernel> const& kernels) {
    std::map<std::string, SampleSummary> groups;
    for (auto const& kernel : kernels) {
        if (kernel.models.size() != 1) continue;
        auto& group = groups[*kernel.models.begin()];
        group = merge(group, {.count = 1, .mean = kernel.log_residual});
    }
    std::vector<SampleSummary> summaries;
    for (auto const& [model, group] : groups) summaries.push_back(group);
    return summaries;
}

ModelConsistency consistency_of(std::vector<KernelResidual> const& residuals) {
    ModelConsistency result;
    auto const kernels = independent_kernels(residuals);
    std::set<std::string> models;
    for (auto const& kernel : kernels) models.insert(kernel.models.begin(), kernel.models.end());
    std::vector<double> p_values;
    for (auto const& model : models) {
        std::vector<double> own;
        std::vector<double> others;
        for (auto const& kernel : kernels) {
            (kernel.models.contains(model) ? own : others).push_back(kernel.log_residual);
        }
        result.models.push_back({.model = model,
                                 .kernels = static_cast<int>(own.size()),
                                 .mean_log_residual = summarize(own).mean,
                                 .p_value = std::nullopt});
        if (auto const test = two_sample_t_test(own, others)) {
            result.models.back().p_value = test->p_value;
            p_values.push_back(test->p_value);
        }
    }
    auto const adjusted = holm_adjusted(p_values);
    std::size_t next = 0;
    for (auto& shift : result.models) {
        if (shift.p_value) shift.p_value = adjusted[next++];
    }
    if (auto const test = one_way_analysis_of_variance(groups_of_models(kernels))) result.p_value = test->p_value;
    std::ranges::sort(result.models, [](ModelShift const& a, ModelShift const& b) {
        return std::tuple{-std::abs(a.mean_log_residual), a.model} <
               std::tuple{-std::abs(b.mean_log_residual), b.model};
    });
    return result;
}

struct Mean {
    double sum = 0;
    int count = 0;
    void add(std::optional<double> value) {
        if (!value) return;
        sum += *value;
        ++count;
    }
    [[nodiscard]] std::optional<double> value() const {
        if (count == 0) return std::nullopt;
        return sum / count;
    }
};

/// Relative variances of one kernel's timing: of a repetition, of a launch, of the served centre.
struct TimingNoise {
    std::optional<double> within;
    std::optional<double> between;
    std::optional<double> of_mean;
};

TimingNoise noise_of(Timing const& timing) {
    TimingNoise noise;
    double const squared_mean = timing.mean_ms * timing.mean_ms;
    if (timing.launches.empty()) {  // imported: one run, whose repetitions are all that is known
        if (timing.std_ms) noise.within = *timing.std_ms * *timing.std_ms / squared_mean;
        return noise;
    }
    double squares = 0;
    double freedom = 0;
    SampleSummary medians;
    for (auto const& launch : timing.launches) {
        squares += launch.times_ms.sum_squared_deviations;
        freedom += static_cast<double>(launch.times_ms.count - 1);
        medians = merge(medians, {.count = 1, .mean = launch.median_ms});
    }
    if (freedom > 0) noise.within = squares / freedom / squared_mean;
    if (auto const variance = medians.variance()) {
        noise.between = *variance / squared_mean;
    }
    if (auto const center = interval_of_center(timing.launches)) {
        double const relative = center->standard_error / center->mean;
        noise.of_mean = relative * relative;
    }
    return noise;
}

VarianceBudget budget_of(Evidence const& evidence, std::vector<KernelResidual> const& kernels) {
    VarianceBudget budget;
    Mean within;
    Mean between;
    Mean of_mean;
    for (auto const& kernel : kernels) {
        budget.total += kernel.log_residual * kernel.log_residual;
        auto const noise =
            noise_of(*evidence.cases[static_cast<std::size_t>(kernel.case_index)].timing);
        within.add(noise.within);
        between.add(noise.between);
        of_mean.add(noise.of_mean);
    }
    if (!kernels.empty()) budget.total /= static_cast<double>(kernels.size());
    budget.within_launch = within.value();
    budget.between_launches = between.value();
    budget.noise_of_mean = of_mean.value();

    if (auto const split = split_variance(groups_of_models(independent_kernels(kernels)))) {
        budget.between_models = split->between;
        budget.lack_of_fit = std::max(0.0, split->within - budget.noise_of_mean.value_or(0));
    }
    return budget;
}

CurveDiagnostics diagnose_curve(Evidence const& evidence, OperationType type, bool zero_flop,
                                std::vector<KernelResidual> kernels) {
    std::ranges::sort(kernels, [](KernelResidual const& a, KernelResidual const& b) {
        return std::tuple{a.work, a.case_index} < std::tuple{b.work, b.case_index};
    });
    CurveDiagnostics curve{.type = type, .zero_flop = zero_flop, .kernels = std::move(kernels)};
    auto const residuals = log_residuals(curve.kernels);
    auto const summary = summarize(residuals);
    curve.mean_log_residual = summary.mean;
    curve.log_residual_std = std::sqrt(summary.variance().value_or(0));

    std::vector<double> efficiencies;
    std::vector<double> log_work;
    auto const standard_scores = standardised(residuals);
    for (std::size_t i = 0; i < curve.kernels.size(); ++i) {
        auto& kernel = curve.kernels[i];
        kernel.standardised = standard_scores[i];
        if (kernel.efficiency) efficiencies.push_back(*kernel.efficiency);
        log_work.push_back(std::log10(kernel.work));
        if (std::abs(kernel.standardised) > outlier_sigmas) curve.outliers.push_back(i);
    }
    std::ranges::sort(curve.outliers, [&](std::size_t a, std::size_t b) {
        return std::abs(curve.kernels[a].standardised) > std::abs(curve.kernels[b].standardised);
    });
    if (!efficiencies.empty()) curve.efficiency = diagnose_distribution(efficiencies);
    curve.residual = diagnose_distribution(standard_scores);
    std::vector<double> centred;
    for (double const residual : residuals) centred.push_back(residual - summary.mean);
    curve.heteroscedasticity = breusch_pagan(centred, log_work);
    curve.consistency = consistency_of(curve.kernels);
    curve.variance = budget_of(evidence, curve.kernels);
    return curve;
}

}  // namespace

DistributionDiagnostics diagnose_distribution(std::vector<double> const& values) {
    auto const [least, most] = std::ranges::minmax(values);
    return {.summary = summarize(values),
            .median = median(values),
            .min = least,
            .max = most,
            .skewness = skewness(values),
            .excess_kurtosis = excess_kurtosis(values),
            .shapiro_wilk = shapiro_wilk(values),
            .anderson_darling = anderson_darling_normal(values),
            .fits = fit_distributions(values)};
}

CalibrationDiagnostics diagnose(Evidence const& evidence, Calibration const& calibration,
                                CrossValidation const& predictions) {
    std::map<int, CrossValidatedKernel> predicted;  // each case once: its prediction is its own
    for (auto const& model : predictions.models) {
        auto const& role = evidence.models.at(static_cast<std::size_t>(model.model_index)).role;
        if (role == ModelRole::held_out) continue;  // no curve was fitted on what it alone holds
        for (auto const& kernel : model.kernels) predicted.emplace(kernel.case_index, kernel);
    }
    auto const uses = uses_of(evidence);

    std::map<std::pair<OperationType, bool>, std::vector<KernelResidual>> groups;
    std::map<std::pair<OperationType, bool>, double> time_ms;
    std::vector<KernelResidual> all;
    double all_time_ms = 0;
    std::set<std::string> models;
    for (auto const& [index, kernel] : predicted) {
        auto const& subgraph = evidence.cases.at(static_cast<std::size_t>(index)).subgraph;
        bool const zero_flop = !(subgraph.work.value() > 0);
        double const work = zero_flop ? subgraph.traffic.total().value() : subgraph.work.value();
        if (!(work > 0) || !(kernel.measured_ms > 0) || !(kernel.predicted_ms > 0)) continue;

        auto const& use = uses[static_cast<std::size_t>(index)];
        KernelResidual residual{.case_index = index,
                                .work = work,
                                .measured_ms = kernel.measured_ms,
                                .predicted_ms = kernel.predicted_ms,
                                .efficiency = std::nullopt,
                                .log_residual = std::log(kernel.measured_ms / kernel.predicted_ms),
                                .standardised = 0,
                                .descriptor = subgraph.descriptor,
                                .models = {use.models.begin(), use.models.end()},
                                .source_subgraphs = {use.subgraphs.begin(), use.subgraphs.end()}};
        auto const& peak = zero_flop ? calibration.peak_bandwidth : calibration.peak_flops;
        if (peak) {
            residual.efficiency = work / (kernel.measured_ms / ms_per_second * peak->per_second);
        }
        auto const key = std::pair{subgraph.type, zero_flop};
        groups[key].push_back(residual);
        time_ms[key] += use.time_ms;
        all_time_ms += use.time_ms;
        models.insert(use.models.begin(), use.models.end());
        all.push_back(std::move(residual));
    }

    CalibrationDiagnostics result{.above_peak = rates_above_peak(calibration, evidence)};
    result.kernels = static_cast<int>(all.size());
    result.models = static_cast<int>(models.size());
    for (auto& [key, kernels] : groups) {
        result.curves.push_back(
            diagnose_curve(evidence, key.first, key.second, std::move(kernels)));
        result.curves.back().time_share = all_time_ms > 0 ? time_ms[key] / all_time_ms : 0;
    }
    std::ranges::stable_sort(result.curves, std::greater{}, &CurveDiagnostics::time_share);
    result.variance = budget_of(evidence, all);
    result.consistency = consistency_of(all);
    return result;
}

}  // namespace derate
