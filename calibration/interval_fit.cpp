#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "calibration/curve_fit.hpp"
#include "estimator/prepared_model.hpp"
#include "estimator/roofline.hpp"
#include "statistics/distributions.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

/// Of a type without a curve; what few types ask for beyond, a factor of 20 either way at 95 %,
/// says how few they are.
constexpr double most_fallback_variance = 2.25;
constexpr double prior_types = 1;  ///< a parent's fallback variance counts all types' as this many
constexpr double prior_families = 2;  ///< a type's variance counts its parent's as this many
// Of kernels' own errors where no residual model tells what they have in common.
constexpr double same_type_correlation = 0.4;
constexpr double cross_type_correlation = 0.15;
constexpr double factor_prior_deviation = 0.75;  ///< of the variance factor's logarithm about 0
constexpr double extrapolation_log_variance = 0.01;
constexpr double unseen_regime_log_variance = 1.0;
constexpr double foreign_partition_log_variance = 0.04;
constexpr std::size_t least_families = 4;
constexpr double normal_quantile_975 = 1.959963984540054;

/// A kernel of a held-out model as its fold's fit saw it.
struct OutOfFold {
    int model = 0;
    std::string family;
    std::string curve;              ///< that priced it
    bool by_parent = false;         ///< its type has no curve in the fold
    double log_error = 0;           ///< log(measured / median)
    double posterior_variance = 0;  ///< of the residual model, without noise
    double model_variance = 1;      ///< with noise
};

struct Fold {
    Calibration calibration;
    std::vector<int> models;
};

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
                              .family = evidence.models[static_cast<std::size_t>(m)].family,
                              .curve = curve.name,
                              .by_parent = curve.is_parent,
                              .log_error = std::log(seconds / predicted.median_seconds),
                              .posterior_variance = predicted.posterior_variance,
                              .model_variance = predicted.model_variance});
        }
    }
    return result;
}

/// What kernels of one curve err by beyond the residual model's own posterior variance, each model
/// weighted alike.
struct PooledVariance {
    double excess = 0;    ///< of log_error^2 over the posterior variance
    double variance = 0;  ///< of log_error^2
    double tail = 1;      ///< factor on the variance that these kernels' tails ask for
    double families = 0;
};

/// The least factor, 1 or more, on the variance with which a share 0.95 (F + 1) / F of the kernels
/// of F families, at most all, lies within 1.96 deviations, each family weighted alike. Kernels err
/// alike inside a family, so their distribution is no normal one: a variance that is right on the
/// average covers too few.
double tail_factor(std::vector<OutOfFold> const& kernels, auto const& wanted,
                   PooledVariance const& pooled) {
    std::map<std::string, double> count;
    for (auto const& kernel : kernels) {
        if (wanted(kernel)) count[kernel.family] += 1;
    }
    std::vector<std::pair<double, double>> squares;  // z^2, weight
    for (auto const& kernel : kernels) {
        if (!wanted(kernel)) continue;
        double const variance = kernel.posterior_variance > 0
                                    ? kernel.posterior_variance + pooled.excess
                                    : pooled.variance;
        if (!(variance > 0)) continue;
        squares.emplace_back(kernel.log_error * kernel.log_error / variance,
                             1 / count.at(kernel.family));
    }
    std::ranges::sort(squares);
    // One family more is to come; up to 19 families the worst kernel decides.
    auto const families = static_cast<double>(count.size());
    double const covered = std::min(0.95 * (families + 1), families);
    double sum = 0;
    double factor = 1;
    for (auto const& [square, weight] : squares) {
        factor = std::max(1.0, square / (normal_quantile_975 * normal_quantile_975));
        sum += weight;
        if (sum >= covered * (1 - 1e-9)) break;
    }
    return factor;
}

PooledVariance pooled(std::vector<OutOfFold> const& kernels, auto const& wanted) {
    struct Sums {
        double weight = 0, excess = 0, square = 0, count = 0;
    };
    std::map<int, Sums> of_model;
    std::set<std::string> families;
    for (auto const& kernel : kernels) {
        if (!wanted(kernel)) continue;
        auto& sums = of_model[kernel.model];
        double const square = kernel.log_error * kernel.log_error;
        // Where the posterior is wide it hides the excess: such kernels say little about it.
        double const weight = 1 / std::pow(kernel.model_variance, 2);
        sums.weight += weight;
        sums.excess += weight * (square - kernel.posterior_variance);
        sums.square += square;
        sums.count += 1;
        families.insert(kernel.family);
    }
    PooledVariance result;
    result.families = static_cast<double>(families.size());
    if (of_model.empty()) return result;
    double weight = 0;
    for (auto const& [model, sums] : of_model) {
        weight += sums.weight / sums.count;
        result.excess += sums.excess / sums.count;
        result.variance += sums.square / sums.count;
    }
    result.excess = std::max(0.0, result.excess / weight);
    result.variance /= static_cast<double>(of_model.size());
    result.tail = tail_factor(kernels, wanted, result);
    return result;
}

PooledVariance shrunk(PooledVariance const& own, PooledVariance const& prior) {
    double const weight = own.families + prior_families;
    return {.excess = (own.families * own.excess + prior_families * prior.excess) / weight,
            .variance = (own.families * own.variance + prior_families * prior.variance) / weight,
            .tail = (own.families * own.tail + prior_families * prior.tail) / weight,
            .families = own.families};
}

/// Mean square of log errors, split into that of the types' means and what kernels of a type scatter
/// by about theirs.
struct TypeError {
    double common = 0;
    double scatter = 0;
    [[nodiscard]] double total() const { return common + scatter; }
};

/// What a type without a curve of its own errs by: each type in turn is left out of the additive
/// rooflines and priced by its parent's, or by the device's where the parent knows no other type.
struct FallbackVariance {
    std::map<ParentType, TypeError> parents;
    TypeError device;
};

TypeError mean_of(std::vector<TypeError> const& values) {
    TypeError mean;
    for (auto const& value : values) {
        mean.common += value.common / static_cast<double>(values.size());
        mean.scatter += value.scatter / static_cast<double>(values.size());
    }
    return mean;
}

/// Both parts alike, so that together they are at most most_fallback_variance.
TypeError bounded(TypeError error) {
    double const factor = std::min(1.0, most_fallback_variance / error.total());
    return {.common = factor * error.common, .scatter = factor * error.scatter};
}

/// A variance that few types show is known badly: what Student's t asks for, in place of a normal
/// quantile.
double few_types_widen(double freedom) {
    return std::pow(student_t_quantile(0.975, freedom) / normal_quantile_975, 2);
}

/// As the served parent's curve has them.
TermLimits limits_of(std::span<RooflineRow const> rows, std::optional<ParentType> parent) {
    TermLimits limits{.flops = 0, .bytes = 0};
    for (auto const& row : rows) {
        if (parent && parent_of(row.type) != *parent) continue;
        limits.flops = std::max(limits.flops, row.terms.flops);
        limits.bytes = std::max(limits.bytes, row.terms.bytes);
    }
    constexpr double none = std::numeric_limits<double>::infinity();
    return {.flops = limits.flops > 0 ? limits.flops : none,
            .bytes = limits.bytes > 0 ? limits.bytes : none};
}

FallbackVariance fallback_variance(FitInput const& input, std::vector<int> const& cases,
                                   RooflineShape const& shape) {
    std::map<CurveKey, std::vector<RooflineRow>> rows_of;
    for (int const index : cases) {
        auto const& row = input.row(index);
        rows_of[{row.type, row.zero_flop}].push_back(row);
    }
    std::map<ParentType, std::vector<TypeError>> of_parent;
    std::vector<TypeError> all;
    std::vector<TypeError> of_device;
    for (auto const& [key, rows] : rows_of) {
        std::vector<RooflineRow> others;
        for (auto const& [other, other_rows] : rows_of) {
            if (other != key) others.insert(others.end(), other_rows.begin(), other_rows.end());
        }
        if (others.empty()) continue;
        auto const fits = fit_additive_rooflines(others, shape);
        auto const parent = fits.parents.find(parent_of(key.first));
        auto const error_by = [&](FittedCurve const& curve, TermLimits const& limits) {
            auto const& form = std::get<AdditiveRoofline>(curve.form);
            SampleSummary errors;
            for (auto const& row : rows) {
                double const priced = roofline_seconds(form, roofline_factors(form, row.terms, limits)).total();
                errors = merge(errors, {.count = 1, .mean = std::log(row.seconds / priced)});
            }
            // The square of the mean of n holds the n-th part of what they scatter.
            double const scatter = errors.variance().value_or(0);
            double const common = errors.mean * errors.mean - scatter / static_cast<double>(rows.size());
            return TypeError{.common = std::max(0.0, common), .scatter = scatter};
        };
        auto const by_device = error_by(fits.device, limits_of(others, std::nullopt));
        auto const error = parent != fits.parents.end()
                               ? error_by(parent->second, limits_of(others, parent->first))
                               : by_device;
        of_parent[parent_of(key.first)].push_back(error);
        all.push_back(error);
        of_device.push_back(by_device);
    }
    // One type alone tells nothing about another: a factor of 2 stands in.
    auto const prior = all.size() > 1
                           ? mean_of(all)
                           : TypeError{.common = std::pow(std::log(2.0), 2), .scatter = 0};
    FallbackVariance result;
    for (auto const& [parent, values] : of_parent) {
        auto const n = static_cast<double>(values.size());
        auto const own = mean_of(values);
        // Few types show their common error; their scatter, all of their kernels.
        double const widen = few_types_widen(std::max(2.0, n));
        result.parents[parent] = bounded(
            {.common = widen * (n * own.common + prior_types * prior.common) / (n + prior_types),
             .scatter = (n * own.scatter + prior_types * prior.scatter) / (n + prior_types)});
    }
    auto const device = mean_of(of_device);
    result.device = bounded(device.total() > prior.total() ? device : prior);
    return result;
}

/// The form that all curves of a calibration share.
RooflineShape shape_of(Calibration const& calibration) {
    auto const& form = std::get<AdditiveRoofline>(calibration.curves.front().fitted_curve->form);
    return {.flop_exponent = form.flop_exponent,
            .byte_exponent = form.byte_exponent,
            .last_level_cache_bytes = form.last_level_cache_bytes > 0
                                          ? std::optional{form.last_level_cache_bytes}
                                          : std::nullopt,
            .joined_flops = form.joined_flop_coefficient > 0};
}

std::optional<ProcessHyperparameters> hyperparameters_of(Calibration const& calibration) {
    std::optional<ProcessHyperparameters> result;
    for (auto const& curve : calibration.curves) {
        if (!curve.residual_model) continue;
        auto const& model = *curve.residual_model;
        if (!result) {
            result = ProcessHyperparameters{.amplitude = model.amplitude,
                                            .length_scale = model.length_scale,
                                            .noise = model.noise,
                                            .by_batch = false};
        }
        if (std::ranges::count(model.features, items_feature) > 0) result->by_batch = true;
    }
    return result;
}

/// A curve's variance, from kernels that folds left out.
using CurveVariances = std::map<std::string, PooledVariance>;

CurveVariances curve_variances(std::vector<EfficiencyCurve> const& curves,
                               std::vector<OutOfFold> const& kernels) {
    auto const everything = pooled(kernels, [](auto const& kernel) { return !kernel.by_parent; });
    std::map<ParentType, PooledVariance> of_parent;
    CurveVariances of_curve;
    for (auto const& curve : curves) {
        auto const parent = parent_of(curve.type);
        if (of_parent.contains(parent)) continue;
        auto const own = pooled(kernels, [&](OutOfFold const& kernel) {
            auto const type = parse_operation_type(kernel.curve.substr(0, kernel.curve.find('|')));
            return !kernel.by_parent && type && parent_of(*type) == parent;
        });
        of_parent[parent] = shrunk(own, everything);
    }
    for (auto const& curve : curves) {
        auto const name = curve_key(curve);
        auto const own =
            pooled(kernels, [&](OutOfFold const& kernel) { return kernel.curve == name; });
        of_curve[name] = shrunk(own, of_parent.at(parent_of(curve.type)));
    }
    return of_curve;
}

/// Variance factors that are tried, ratios 2^(1/4): one of finitely many, whatever the processor
/// rounds.
constexpr int least_step = -24;
constexpr int most_step = 16;
double factor_at(int step) { return std::exp2(0.25 * step); }

/// A whole model as its fold predicted it.
struct ModelError {
    double square = 0;                  ///< of log(measured / predicted)
    std::vector<double> log_variances;  ///< with each of the factors
    double weight = 1;
};

/// The factor on kernels' variance that makes the models' errors likeliest.
///
///     min over f of sum_m w_m (log V_m(f) + e_m^2 / V_m(f)) + (log f / 0.75)^2
double variance_factor(std::vector<ModelError> const& errors) {
    double best_cost = std::numeric_limits<double>::infinity();
    double best = 1;
    for (int step = least_step; step <= most_step; ++step) {
        double const factor = factor_at(step);
        double const prior = std::log(factor) / factor_prior_deviation;
        double cost = prior * prior;
        for (auto const& error : errors) {
            double const variance =
                error.log_variances[static_cast<std::size_t>(step - least_step)];
            if (!(variance > 0)) continue;
            cost += error.weight * (std::log(variance) + error.square / variance);
        }
        if (cost < best_cost) {
            best_cost = cost;
            best = factor;
        }
    }
    return best;
}

}  // namespace

void fit_intervals(Calibration& calibration, FitInput const& input, std::vector<char> const& models,
                   FitOptions const& options) {
    auto const& evidence = input.evidence();
    auto const hyperparameters = hyperparameters_of(calibration);
    std::vector<Fold> folds;
    std::vector<OutOfFold> kernels;
    auto const hold_out = [&](std::vector<std::vector<int>> const& groups) {
        for (auto const& group : groups) {
            auto rest = models;
            for (int const m : group) rest[static_cast<std::size_t>(m)] = 0;
            if (input.cases_of(rest).empty()) continue;
            folds.push_back({fit_curves(input, rest, options, hyperparameters), group});
        }
    };
    auto const families = folds_by_family(evidence, models);
    bool const has_families = families.size() >= least_families;
    hold_out(has_families ? families : folds_by_model(evidence, models));
    for (auto const& fold : folds) {
        auto const predicted = predictions_of(fold, input);
        kernels.insert(kernels.end(), predicted.begin(), predicted.end());
    }
    // Whole models are asked for from known families and from unknown ones: the variance factor
    // below sees both.
    if (has_families) hold_out(folds_across_families(evidence, models));

    auto const of_curve = curve_variances(calibration.curves, kernels);
    auto const fallback = fallback_variance(input, input.cases_of(models), shape_of(calibration));
    double const freedom =
        std::max(1.0, static_cast<double>(folds_by_model(evidence, models).size()) - 1);
    double const t_quantile = student_t_quantile(0.975, freedom);
    // A variance that few models show is known badly: widen it as Student's t of so few does.
    auto const small_sample = [&](PooledVariance const& variance) {
        double const own = std::max(2.0, variance.families - 1);
        return std::max(1.0, std::pow(student_t_quantile(0.975, own) / t_quantile, 2));
    };

    bool const has_residual = hyperparameters.has_value();
    auto const apply = [&](Calibration& target, CurveVariances const& variances) {
        for (auto& curve : target.curves) {
            auto const& variance = variances.at(curve_key(curve));
            double const factor = small_sample(variance);
            curve.log_variance = factor * variance.variance;
            if (!curve.residual_model) {
                *curve.log_variance *= variance.tail;
                continue;
            }
            curve.variance_scale = variance.tail;
            curve.residual_model->noise = std::sqrt(factor * variance.excess);
        }
        for (auto& [name, curve] : target.parent_curves) {
            auto error = fallback.device;
            for (auto const& [parent, own] : fallback.parents) {
                if (name == to_string(parent)) error = own;
            }
            curve.log_variance = error.total();
            curve.common_log_variance = error.common;
        }
        target.intervals = {.same_type_correlation = has_residual ? 0 : same_type_correlation,
                            .cross_type_correlation = has_residual ? 0 : cross_type_correlation,
                            .variance_factor = 1,
                            .model_log_variance = 0,
                            .degrees_of_freedom = freedom,
                            .t_quantile = t_quantile,
                            .extrapolation_log_variance = extrapolation_log_variance,
                            .unseen_regime_log_variance = unseen_regime_log_variance,
                            .foreign_partition_log_variance = foreign_partition_log_variance};
    };
    apply(calibration, of_curve);
    std::vector<ModelError> errors;
    // Most models are predicted twice, with their family left out and with siblings left.
    double const weight = has_families ? 0.5 : 1.0;
    for (auto& fold : folds) {
        // The variance that judges a model comes from kernels of the others.
        std::set<int> const held_out(fold.models.begin(), fold.models.end());
        std::vector<OutOfFold> others;
        for (auto const& kernel : kernels) {
            if (!held_out.contains(kernel.model)) others.push_back(kernel);
        }
        apply(fold.calibration,
              others.empty() ? of_curve : curve_variances(calibration.curves, others));
        CompiledCalibration compiled{fold.calibration};
        for (int const m : fold.models) {
            auto const& model = evidence.models[static_cast<std::size_t>(m)];
            auto const parts = sum_of_parts_ms(evidence, model);
            if (!parts && !model.whole_model) continue;
            auto const what =
                model.whole_model ? EstimateOf::whole_model : EstimateOf::sum_of_parts;
            double const measured = model.whole_model ? model.whole_model->center_ms : *parts;
            auto const prepared =
                prepare(compiled, subgraphs_of(evidence, model), evidence.condition.partition);
            auto const predicted = estimate(compiled, prepared, what);
            double const error = std::log(measured / predicted.latency_ms);
            ModelError& result =
                errors.emplace_back(ModelError{.square = error * error, .weight = weight});
            for (int step = least_step; step <= most_step; ++step) {
                compiled.set_variance_factor(factor_at(step));
                result.log_variances.push_back(estimate(compiled, prepared, what).log_variance);
            }
        }
    }
    calibration.intervals.variance_factor = variance_factor(errors);
}

}  // namespace derate
