#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "calibration/curve_fit.hpp"
#include "core/statistics/distributions.hpp"
#include "estimator/prepared_model.hpp"

namespace derate {
namespace {

constexpr double prior_models = 2;  ///< a type's variance counts its parent's as this many
constexpr double same_type_correlation = 0.4;
constexpr double cross_type_correlation = 0.15;
constexpr double factor_prior_models = 4;  ///< the variance factor counts 1 as this many
constexpr double extrapolation_log_variance = 0.05;
constexpr double unseen_regime_log_variance = 1.0;
constexpr double foreign_partition_log_variance = 0.04;
constexpr std::size_t least_families = 4;

/// A kernel of a held-out model as its fold's fit saw it.
struct OutOfFold {
    int model = 0;
    std::string curve;       ///< that priced it
    bool by_parent = false;  ///< its type has no curve in the fold
    double log_error = 0;    ///< log(measured / median)
    double model_variance = 1;
    double measured_seconds = 0;
    double median_seconds = 0;
};

struct Fold {
    Calibration calibration;
    std::vector<int> models;
};

std::string curve_name(EfficiencyCurve const& curve) {
    return std::string{to_string(curve.type)} + (curve.zero_flop ? "|0" : "");
}

std::vector<Subgraph> subgraphs_of(Evidence const& evidence, EvidenceModel const& model) {
    std::vector<Subgraph> subgraphs;
    for (int const index : model.cases) {
        subgraphs.push_back(evidence.cases[static_cast<std::size_t>(index)].subgraph);
    }
    return subgraphs;
}

std::vector<OutOfFold> predictions_of(Fold const& fold, FitInput const& input) {
    auto const& evidence = input.evidence();
    CompiledCalibration const compiled{fold.calibration};
    std::vector<OutOfFold> result;
    for (int const m : fold.models) {
        for (int const index : evidence.models[static_cast<std::size_t>(m)].cases) {
            auto const& kernel = evidence.cases[static_cast<std::size_t>(index)];
            if (!kernel.timing) continue;
            auto const predicted = predict_kernel(compiled, kernel.subgraph);
            double const seconds = input.row(index).seconds;
            auto const& curve = compiled.curves()[static_cast<std::size_t>(predicted.curve)];
            result.push_back({.model = m,
                              .curve = curve.name,
                              .by_parent = curve.is_parent,
                              .log_error = std::log(seconds / predicted.median_seconds),
                              .model_variance = predicted.model_variance,
                              .measured_seconds = seconds,
                              .median_seconds = predicted.median_seconds});
        }
    }
    return result;
}

/// Mean square of standardised errors, each model weighted alike.
struct PooledVariance {
    double scale = 0;     ///< of log_error^2 / model_variance
    double variance = 0;  ///< of log_error^2
    double models = 0;
};

PooledVariance pooled(std::vector<OutOfFold> const& kernels, auto const& wanted) {
    std::map<int, std::array<double, 3>> sums;
    for (auto const& kernel : kernels) {
        if (!wanted(kernel)) continue;
        auto& sum = sums[kernel.model];
        double const square = kernel.log_error * kernel.log_error;
        sum[0] += square / kernel.model_variance;
        sum[1] += square;
        sum[2] += 1;
    }
    PooledVariance result;
    for (auto const& [model, sum] : sums) {
        result.scale += sum[0] / sum[2];
        result.variance += sum[1] / sum[2];
        result.models += 1;
    }
    if (result.models > 0) {
        result.scale /= result.models;
        result.variance /= result.models;
    }
    return result;
}

PooledVariance shrunk(PooledVariance const& own, PooledVariance const& prior) {
    double const weight = own.models + prior_models;
    return {.scale = (own.models * own.scale + prior_models * prior.scale) / weight,
            .variance = (own.models * own.variance + prior_models * prior.variance) / weight,
            .models = own.models};
}

}  // namespace

void fit_intervals(Calibration& calibration, FitInput const& input, std::vector<char> const& models,
                   FitOptions const& options) {
    auto const& evidence = input.evidence();
    auto groups = folds_by_family(evidence, models);
    if (groups.size() < least_families) groups = folds_by_model(evidence, models);
    std::optional<ProcessHyperparameters> hyperparameters;
    for (auto const& curve : calibration.curves) {
        if (curve.residual_model) {
            hyperparameters = {.amplitude = curve.residual_model->amplitude,
                               .length_scale = curve.residual_model->length_scale,
                               .noise = curve.residual_model->noise};
        }
    }
    std::vector<Fold> folds;
    std::vector<OutOfFold> kernels;
    for (auto const& group : groups) {
        auto rest = models;
        for (int const m : group) rest[static_cast<std::size_t>(m)] = 0;
        if (input.cases_of(rest).empty()) continue;
        folds.push_back({fit_curves(input, rest, options, hyperparameters), group});
        auto const predicted = predictions_of(folds.back(), input);
        kernels.insert(kernels.end(), predicted.begin(), predicted.end());
    }

    auto const everything = pooled(kernels, [](auto const&) { return true; });
    std::map<ParentType, PooledVariance> of_parent;
    std::map<std::string, PooledVariance> of_curve;
    for (auto const& curve : calibration.curves) {
        auto const parent = parent_of(curve.type);
        if (of_parent.contains(parent)) continue;
        of_parent[parent] =
            shrunk(pooled(kernels,
                          [&](OutOfFold const& kernel) {
                              auto const bare = kernel.curve.substr(0, kernel.curve.find('|'));
                              auto const type = parse_operation_type(bare);
                              return !kernel.by_parent && type && parent_of(*type) == parent;
                          }),
                   everything);
    }
    for (auto const& curve : calibration.curves) {
        auto const name = curve_name(curve);
        of_curve[name] =
            shrunk(pooled(kernels, [&](OutOfFold const& kernel) { return kernel.curve == name; }),
                   of_parent.at(parent_of(curve.type)));
    }
    auto const fallback = shrunk(
        pooled(kernels, [](OutOfFold const& kernel) { return kernel.by_parent; }), everything);

    auto const apply = [&](Calibration& target) {
        for (auto& curve : target.curves) {
            auto const found = of_curve.find(curve_name(curve));
            auto const& variance = found != of_curve.end() ? found->second : everything;
            curve.log_variance = variance.variance;
            if (curve.residual_model) curve.variance_scale = variance.scale;
        }
        for (auto& [name, curve] : target.parent_curves) curve.log_variance = fallback.variance;
        target.intervals = {.same_type_correlation = same_type_correlation,
                            .cross_type_correlation = cross_type_correlation,
                            .variance_factor = 1,
                            .model_log_variance = 0,
                            .degrees_of_freedom = 1,
                            .t_quantile = 0,
                            .extrapolation_log_variance = extrapolation_log_variance,
                            .unseen_regime_log_variance = unseen_regime_log_variance,
                            .foreign_partition_log_variance = foreign_partition_log_variance};
    };
    apply(calibration);
    double sum_squares = 0;
    double count = 0;
    for (auto& fold : folds) {
        apply(fold.calibration);
        CompiledCalibration const compiled{fold.calibration};
        for (int const m : fold.models) {
            auto const& model = evidence.models[static_cast<std::size_t>(m)];
            auto const parts = sum_of_parts_ms(evidence, model);
            if (!parts) continue;
            auto const what =
                model.whole_model ? EstimateOf::whole_model : EstimateOf::sum_of_parts;
            double const measured = model.whole_model ? model.whole_model->center_ms : *parts;
            auto const predicted = estimate(
                compiled, prepare(compiled, subgraphs_of(evidence, model), evidence.partition),
                what);
            double const error = std::log(measured / predicted.latency_ms);
            sum_squares += error * error / predicted.log_variance;
            count += 1;
        }
    }
    double const factor = (factor_prior_models + sum_squares) / (factor_prior_models + count);
    auto const model_count = static_cast<double>(folds_by_model(evidence, models).size());
    calibration.intervals.variance_factor = factor;
    calibration.intervals.degrees_of_freedom = std::max(1.0, model_count - 1);
    calibration.intervals.t_quantile =
        student_t_quantile(0.975, calibration.intervals.degrees_of_freedom);
}

}  // namespace derate
