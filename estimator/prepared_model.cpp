#include "estimator/prepared_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "core/quantity.hpp"
#include "estimator/distinct_kernels.hpp"
#include "estimator/kernel_vector.hpp"
#include "estimator/widest_vectors.hpp"

namespace derate {
namespace {

struct PricedKernel {
    RooflineSeconds terms;
    double residual = 0;
    double mean_seconds = 0;
    double variance = 0;         ///< of log(measured / median)
    double shared_variance = 0;  ///< its part from the residual model's posterior
};

PricedKernel price(CompiledCurve const& curve, PreparedModel const& model, std::size_t j) {
    PricedKernel result;
    result.terms = roofline_seconds(curve.roofline, model.factors(j));
    if (curve.points > 0) {
        auto const known = known_of_points(curve, model.vectors.data() + model.vector_begin[j],
                                           model.whitened.data() + model.vector_begin[j]);
        result.residual = known.residual;
        result.shared_variance =
            curve.variance_scale * std::max(0.0, curve.amplitude_squared - known.explained);
        result.variance = result.shared_variance + curve.variance_scale * curve.noise_squared;
    } else {
        result.variance = curve.log_variance;
    }
    result.variance += model.added_variance[j];
    result.mean_seconds =
        std::max(least_seconds, result.terms.total() * std::exp(result.residual)) *
        curve.mean_correction;
    return result;
}

ContextFactor context_of(CompiledCalibration const& calibration, EstimateOf what) {
    return what == EstimateOf::whole_model ? calibration.context() : ContextFactor{};
}

std::optional<Bound> bound_of(CompiledCalibration const& calibration, double flops, double bytes,
                              bool overhead_dominates) {
    if (overhead_dominates) return Bound::overhead;
    if (!(flops > 0)) return Bound::memory;
    if (!calibration.peak_flops() || !calibration.peak_bandwidth()) return std::nullopt;
    return flops / *calibration.peak_flops() > bytes / *calibration.peak_bandwidth()
               ? Bound::compute
               : Bound::memory;
}

/// What makes two subgraphs of one model the same kernel to the estimator.
auto key_of(KernelTerms const& kernel) {
    auto const& terms = kernel.terms;
    return std::tie(kernel.type, kernel.curve, terms.kernels, terms.flops, terms.joined_flops,
                    terms.bytes, terms.activation_bytes, kernel.regime, kernel.unseen,
                    kernel.features);
}

/// Of one distinct kernel with all its occurrences: seconds, and the standard deviations that its log
/// variance is split into (docs/uncertainty.md, section 3).
struct Deviations {
    double own = 0;
    double shared = 0;
    double unlearnt = 0;
};

Deviations deviations_of(CompiledCurve const& curve, PricedKernel const& kernel, double count,
                         double added_variance) {
    double const mean = kernel.mean_seconds * count;
    double const unit =
        mean * mean * std::expm1(kernel.variance) / std::max(kernel.variance, 1e-300);
    double const shared = curve.points > 0 ? kernel.shared_variance : curve.common_log_variance;
    return {.own = std::sqrt(unit * std::max(0.0, kernel.variance - shared - added_variance)),
            .shared = std::sqrt(unit * shared),
            .unlearnt = std::sqrt(unit * added_variance)};
}

/// Each distinct kernel's covariance with the model's time, learnt and not; together they are the
/// variance that estimate() forms (seconds squared).
struct Covariance {
    double learnt = 0;
    double unlearnt = 0;
};

std::vector<Covariance> covariances_with_total(CompiledCalibration const& calibration,
                                               PreparedModel const& model,
                                               std::span<Deviations const> deviations) {
    double all = 0;
    std::vector<double> of_type(model.runs.size(), 0);  // own deviations of the run's whole type
    for (std::size_t first = 0, r = 0; r < model.runs.size(); ++r) {
        auto const& run = model.runs[r];
        if (!calibration.curves()[static_cast<std::size_t>(run.curve)].is_parent) {
            for (int j = run.begin; j < run.end; ++j) {
                of_type[first] += deviations[static_cast<std::size_t>(j)].own;
            }
        }
        if (!run.ends_type) continue;
        all += of_type[first];
        std::fill(of_type.begin() + static_cast<std::ptrdiff_t>(first),
                  of_type.begin() + static_cast<std::ptrdiff_t>(r) + 1, of_type[first]);
        first = r + 1;
    }
    auto const& intervals = calibration.intervals();
    std::vector<Covariance> result(deviations.size());
    for (std::size_t r = 0; r < model.runs.size(); ++r) {
        auto const& run = model.runs[r];
        bool const is_parent =
            calibration.curves()[static_cast<std::size_t>(run.curve)].is_parent;
        Deviations sum;
        for (int j = run.begin; j < run.end; ++j) {
            sum.shared += deviations[static_cast<std::size_t>(j)].shared;
            sum.unlearnt += deviations[static_cast<std::size_t>(j)].unlearnt;
        }
        for (int j = run.begin; j < run.end; ++j) {
            auto const& [own, shared, unlearnt] = deviations[static_cast<std::size_t>(j)];
            auto& covariance = result[static_cast<std::size_t>(j)];
            covariance.unlearnt = unlearnt * sum.unlearnt;
            if (is_parent) {
                covariance.unlearnt += shared * sum.shared + own * own;
                continue;
            }
            covariance.learnt =
                shared * (shared + run.shared_correlation * (sum.shared - shared)) +
                own * (own + intervals.same_type_correlation * (of_type[r] - own) +
                       intervals.cross_type_correlation * (all - of_type[r]));
        }
    }
    return result;
}

}  // namespace

void DistinctKernels::set(std::span<KernelTerms const> kernels, std::span<int const> counts) {
    if (order_.size() != kernels.size()) {
        order_.resize(kernels.size());
        std::iota(order_.begin(), order_.end(), 0);
    }
    auto const of = [&](int i) -> KernelTerms const& {
        return kernels[static_cast<std::size_t>(i)];
    };
    // Equal ones in the order in which they come, so that the first stands for all.
    auto const precedes = [&](int a, int b) {
        auto const order = key_of(of(a)) <=> key_of(of(b));
        return order < 0 || (order == 0 && a < b);
    };
    // Mostly it is the order of the sizes before.
    if (!std::is_sorted(order_.begin(), order_.end(), precedes)) {
        std::sort(order_.begin(), order_.end(), precedes);
    }
    kernels_.clear();
    numbers_.clear();
    counts_.clear();
    position_.resize(kernels.size());
    for (int const i : order_) {
        if (kernels_.empty() || key_of(*kernels_.back()) != key_of(of(i))) {
            kernels_.push_back(&of(i));
            numbers_.push_back(i);
            counts_.push_back(0);
        }
        counts_.back() += counts.empty() ? 1 : counts[static_cast<std::size_t>(i)];
        position_[static_cast<std::size_t>(i)] = static_cast<int>(kernels_.size()) - 1;
    }
}

void DistinctKernels::fill(PreparedModel& model, CompiledCalibration const& calibration) {
    auto const count = kernels_.size();
    for (auto* array : {&model.kernels, &model.flop_power, &model.joined_power, &model.byte_power,
                        &model.cache_excess, &model.added_variance}) {
        array->resize(count);
    }
    model.count = counts_;
    model.vector_begin.resize(count);
    model.runs.clear();
    int vectors = 0;
    for (std::size_t j = 0; j < count; ++j) {
        auto const& kernel = *kernels_[j];
        auto const& curve = calibration.curves()[static_cast<std::size_t>(kernel.curve)];
        auto const factors = roofline_factors(curve.roofline, kernel.terms, curve.limits);
        model.kernels[j] = factors.kernels;
        model.flop_power[j] = factors.flops;
        model.joined_power[j] = factors.joined_flops;
        model.byte_power[j] = factors.bytes;
        model.cache_excess[j] = factors.cache_excess;
        model.added_variance[j] = kernel.added_variance;
        // Zeros up to a whole number of lanes, so that sums over points have no tail.
        model.vector_begin[j] = vectors;
        vectors += padded_points(curve.points);
        bool const same_type = j > 0 && kernels_[j - 1]->type == kernel.type;
        if (j == 0 || !same_type || model.runs.back().curve != kernel.curve) {
            if (j > 0) model.runs.back().ends_type = !same_type;
            model.runs.push_back({.curve = kernel.curve,
                                  .begin = static_cast<int>(j),
                                  .end = static_cast<int>(j),
                                  .ends_type = false});
        }
        model.runs.back().end = static_cast<int>(j) + 1;
    }
    if (!model.runs.empty()) model.runs.back().ends_type = true;
    model.vectors.resize(static_cast<std::size_t>(vectors));
    model.whitened.resize(model.vectors.size());
    point_covariances_.start(position_.size());
    correlations_.resize(std::max(correlations_.size(), model.runs.size()));
    for (std::size_t r = 0; r < model.runs.size(); ++r) {
        fill_run(model, calibration, r);
    }
}

/// Vectors of a run's kernels, and what they have in common.
void DistinctKernels::fill_run(PreparedModel& model, CompiledCalibration const& calibration,
                               std::size_t r) {
    auto& run = model.runs[r];
    auto const& curve = calibration.curves()[static_cast<std::size_t>(run.curve)];
    if (curve.points == 0) return;
    auto const first = static_cast<std::size_t>(run.begin);
    auto const count = static_cast<std::size_t>(run.end) - first;
    auto const padded = static_cast<std::size_t>(padded_points(curve.points));
    auto const begin = static_cast<std::size_t>(model.vector_begin[first]);
    auto const vectors = std::span{model.vectors}.subspan(begin, count * padded);
    for (std::size_t k = 0; k < count; ++k) {
        auto const number = static_cast<std::size_t>(numbers_[first + k]);
        point_covariances_.write(number, curve, *kernels_[first + k],
                                 vectors.subspan(k * padded, padded));
    }
    whiten(curve, vectors, std::span{model.whitened}.subspan(begin, count * padded));
    if (count < 2) return;
    correlations_[r].set(curve, std::span{kernels_}.subspan(first, count));
    run.shared_correlation = shared_correlation(curve, model, run, correlations_[r], memory_);
}

PreparedModel prepare(CompiledCalibration const& calibration, std::span<Subgraph const> subgraphs,
                      std::string_view partition) {
    PreparedModel model;
    model.foreign_partition = partition != calibration.partition();
    std::vector<KernelTerms> kernels;
    kernels.reserve(subgraphs.size());
    for (auto const& subgraph : subgraphs) {
        auto const& kernel = kernels.emplace_back(kernel_terms(calibration, traits_of(subgraph)));
        add_to_totals(model, kernel);
        model.subgraph_id.push_back(subgraph.id);
        model.flops.push_back(kernel.terms.flops);
        model.bytes.push_back(kernel.terms.bytes);
        model.extrapolated.push_back(kernel.extrapolated ? 1 : 0);
        model.unseen.push_back(kernel.unseen);
        model.unseen_share.push_back(kernel.unseen_share);
    }
    DistinctKernels distinct;
    distinct.set(kernels, {});
    distinct.fill(model, calibration);
    model.distinct.assign(distinct.positions().begin(), distinct.positions().end());
    return model;
}

std::vector<SubgraphEstimate> estimate_subgraphs(CompiledCalibration const& calibration,
                                                 PreparedModel const& model, EstimateOf what) {
    std::vector<int> curve_of(model.count.size());
    for (auto const& run : model.runs) {
        std::fill(curve_of.begin() + run.begin, curve_of.begin() + run.end, run.curve);
    }
    auto const context = context_of(calibration, what);
    auto const& intervals = calibration.intervals();
    std::vector<PricedKernel> priced;
    std::vector<Deviations> deviations;
    for (std::size_t j = 0; j < model.count.size(); ++j) {
        auto const& curve = calibration.curves()[static_cast<std::size_t>(curve_of[j])];
        priced.push_back(price(curve, model, j));
        deviations.push_back(
            deviations_of(curve, priced[j], model.count[j], model.added_variance[j]));
    }
    auto const covariances = covariances_with_total(calibration, model, deviations);
    Covariance sum;
    for (auto const& [learnt, unlearnt] : covariances) {
        sum.learnt += learnt;
        sum.unlearnt += unlearnt;
    }
    double const operator_seconds = operator_seconds_in(context, model.total_bytes);
    auto const total = estimate(calibration, model, what);
    double const of_whole_models = model_wide_variance(calibration, model, what);
    double const seconds = total.latency_ms / ms_per_second / context.factor;
    // As estimate() does: the factor says how the learnt part of many errors adds up.
    double const kernels_variance = std::expm1(total.log_variance - of_whole_models);
    double const learnt_factor =
        sum.learnt > 0
            ? std::max(0.0, kernels_variance * seconds * seconds - sum.unlearnt) / sum.learnt
            : 1;
    std::vector<SubgraphEstimate> result;
    for (std::size_t i = 0; i < model.distinct.size(); ++i) {
        auto const j = static_cast<std::size_t>(model.distinct[i]);
        auto const& curve = calibration.curves()[static_cast<std::size_t>(curve_of[j])];
        auto const& kernel = priced[j];
        SubgraphEstimate part;
        part.subgraph_id = model.subgraph_id[i];
        part.latency_ms = context.factor *
                          (kernel.mean_seconds + operator_seconds * model.kernels[j]) *
                          ms_per_second;
        part.log_variance = kernel.variance;
        part.latency_std_ms = part.latency_ms * std::sqrt(std::expm1(kernel.variance));
        // What each operator costs inside a model has no error of its own.
        double const uncertain = context.factor * kernel.mean_seconds * ms_per_second / part.latency_ms;
        part.spread = std::exp(
            intervals.t_quantile *
            std::sqrt(std::log1p(uncertain * uncertain * std::expm1(kernel.variance)) +
                      of_whole_models));
        double const variance =
            learnt_factor * covariances[j].learnt + covariances[j].unlearnt;
        double const all = learnt_factor * sum.learnt + sum.unlearnt;
        part.variance_share = all > 0 ? variance / all / model.count[j] *
                                            (1 - of_whole_models / total.log_variance)
                                      : 0;
        part.roofline_ms = kernel.terms.total() * ms_per_second;
        part.residual_factor = std::exp(kernel.residual);
        auto const peak =
            model.flops[i] > 0 ? calibration.peak_flops() : calibration.peak_bandwidth();
        double const work = model.flops[i] > 0 ? model.flops[i] : model.bytes[i];
        if (peak && work > 0) {
            part.efficiency_used = work / (part.latency_ms / ms_per_second * *peak);
            part.efficiency_std = *part.efficiency_used * std::sqrt(std::expm1(kernel.variance));
        }
        part.source = curve.source;
        part.curve = curve.name;
        double const operators = operator_seconds * model.kernels[j];
        part.bound = bound_of(
            calibration, model.flops[i], model.bytes[i],
            kernel.terms.overhead + operators > kernel.terms.compute + kernel.terms.memory);
        part.extrapolated = model.extrapolated[i] != 0;
        part.by_parent = curve.is_parent;
        if (!model.unseen[i].empty()) part.unseen_regime = model.unseen[i];
        part.unseen_share = model.unseen_share[i];
        result.push_back(std::move(part));
    }
    return result;
}

std::string_view to_string(Bound bound) {
    switch (bound) {
        case Bound::compute:
            return "compute";
        case Bound::memory:
            return "memory";
        case Bound::overhead:
            break;
    }
    return "overhead";
}

}  // namespace derate
