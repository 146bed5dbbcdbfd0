#include "estimator/compiled_calibration.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>

#include "estimator/kernel_vector.hpp"

namespace derate {
namespace {

Interval log_range(std::optional<Interval> const& range) {
    if (!range || !(range->lower > 0)) return {1, 0};
    return {std::log(range->lower), std::log(range->upper)};
}

Interval inner_range(std::optional<Interval> const& range) {
    if (!range || !(range->lower > 0)) return {1, 0};
    constexpr double rounding = 1e-9;
    return {range->lower * (1 + rounding), range->upper * (1 - rounding)};
}

/// Finds the combinations of what grows with a batch.
void set_growths(CompiledCurve& curve, ResidualModel const& model) {
    for (std::size_t f = 0; f < feature_count; ++f) {
        curve.grows[f] = curve.uses_feature[f] && grows_with_batch(model.features[f]);
    }
    std::vector<std::array<double, feature_count>> combinations;
    auto const padded = static_cast<std::size_t>(padded_points(curve.points));
    curve.growth_of_point.assign(padded, 0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(curve.points); ++i) {
        std::array<double, feature_count> growth{};
        for (std::size_t f = 0; f < feature_count; ++f) {
            if (curve.grows[f]) growth[f] = curve.features[f * padded + i];
        }
        auto const known = std::ranges::find(combinations, growth);
        curve.growth_of_point[i] = static_cast<int>(known - combinations.begin());
        if (known == combinations.end()) combinations.push_back(growth);
    }
    curve.growths = static_cast<int>(combinations.size());
    auto const columns = static_cast<std::size_t>(padded_points(curve.growths));
    curve.growing_features.resize(feature_count * columns);
    for (std::size_t g = 0; g < combinations.size(); ++g) {
        for (std::size_t f = 0; f < feature_count; ++f) {
            curve.growing_features[f * columns + g] = combinations[g][f];
        }
    }
}

TermLimits limits_of(EfficiencyCurve const& parent) {
    TermLimits limits;
    if (parent.axis == WorkAxis::flops && parent.work_range) {
        limits.flops = parent.work_range->upper;
    }
    if (parent.byte_range) limits.bytes = parent.byte_range->upper;
    return limits;
}

CompiledCurve compiled(EfficiencyCurve const& curve, std::string name) {
    auto const refuse = [&](char const* problem) {
        throw std::invalid_argument{"curve " + name + ": " + problem};
    };
    auto const* roofline =
        curve.fitted_curve ? std::get_if<AdditiveRoofline>(&curve.fitted_curve->form) : nullptr;
    if (roofline == nullptr) refuse("is not served by an additive roofline");
    CompiledCurve result;
    result.name = std::move(name);
    result.source = curve.source;
    result.roofline = *roofline;
    result.mean_correction = curve.mean_correction;
    result.log_variance = curve.log_variance.value_or(0);
    result.variance_scale = curve.variance_scale.value_or(1);
    result.zero_flop = curve.zero_flop;
    result.flop_range =
        curve.axis == WorkAxis::flops ? log_range(curve.work_range) : Interval{1, 0};
    result.byte_range = log_range(curve.byte_range);
    result.inner_flops =
        curve.axis == WorkAxis::flops ? inner_range(curve.work_range) : Interval{1, 0};
    result.inner_bytes = inner_range(curve.byte_range);
    result.regimes = curve.regimes;
    std::sort(result.regimes.begin(), result.regimes.end());
    result.uses_feature.fill(true);
    if (!curve.residual_model) return result;

    auto const& model = *curve.residual_model;
    auto const count = model.weights.size();
    if (model.features.size() != feature_count || model.points.size() != count * feature_count ||
        model.point_regimes.size() != count ||
        model.packed_factor.size() != count * (count + 1) / 2 || count > max_points) {
        refuse("the arrays of its residual model disagree");
    }
    result.points = static_cast<int>(count);
    result.amplitude_squared = model.amplitude * model.amplitude;
    result.noise_squared = model.noise * model.noise;
    result.correlation = ResidualCorrelation{model};
    for (std::size_t f = 0; f < feature_count; ++f) {
        result.uses_feature[f] = model.features[f] != unused_feature;
    }
    auto const padded = static_cast<std::size_t>(padded_points(result.points));
    result.weights.assign(model.weights.begin(), model.weights.end());
    result.weights.resize(padded);
    result.features.resize(feature_count * padded);
    result.factor.resize(count * padded);
    for (std::size_t i = 0, packed = 0; i < count; ++i) {
        for (std::size_t f = 0; f < feature_count; ++f) {
            result.features[f * padded + i] = model.points[i * feature_count + f];
        }
        for (std::size_t j = 0; j <= i; ++j) {
            result.factor[j * padded + i] = model.packed_factor[packed++];
        }
    }
    constexpr double no_regime = -2;
    result.point_regimes.assign(padded, no_regime);
    for (std::size_t i = 0; i < count; ++i) {
        result.point_regimes[i] = regime_index(result, model.point_regimes[i]);
    }
    set_growths(result, model);
    return result;
}

}  // namespace

int regime_index(CompiledCurve const& curve, std::string_view regime) {
    auto const found = std::lower_bound(curve.regimes.begin(), curve.regimes.end(), regime);
    if (found == curve.regimes.end() || *found != regime) return -1;
    return static_cast<int>(found - curve.regimes.begin());
}

namespace {

struct RangeCheck {
    bool extrapolated = false;
    double distance_squared = 0;  ///< of log FLOPs and log bytes from the fitted range
};

RangeCheck check_range(CompiledCurve const& curve, RooflineTerms const& terms) {
    double distance_squared = 0;
    auto const add = [&](Interval const& range, Interval const& inner, double value) {
        if (value > inner.lower && value < inner.upper) return;  // without a logarithm
        if (range.lower > range.upper || !(value > 0)) return;
        double const log_value = std::log(value);
        double const outside = std::max({0.0, range.lower - log_value, log_value - range.upper});
        // Files round their ranges; a rounding error is no extrapolation.
        if (outside > 1e-6) distance_squared += outside * outside;
    };
    add(curve.flop_range, curve.inner_flops, terms.flops);
    add(curve.byte_range, curve.inner_bytes, terms.bytes);
    double const shown = shown_joined_flops(curve.roofline, terms);
    if (terms.joined_flops > shown) {
        // Joined work that is no norm or activation: products, at a rate that nothing shows.
        constexpr double least_share = 0.01;
        double const outside =
            std::log(terms.joined_flops / std::max(shown, least_share * terms.joined_flops));
        distance_squared += outside * outside;
    }
    return {.extrapolated = distance_squared > 0, .distance_squared = distance_squared};
}

/// Joined operators that no calibration case shows, each once.
std::string unseen_operators(CompiledCalibration const& calibration,
                             std::vector<std::string> const& joined) {
    std::string unseen;
    std::set<std::string_view> named;
    for (std::string const& op : joined) {
        if (calibration.knows_joined(op) || !named.insert(op).second) continue;
        unseen.append(unseen.empty() ? "" : ", ").append(op);
    }
    return unseen;
}

/// Of the sizes that are as they were the logarithms are too.
constexpr double unknown_size = -1;

void set_features(KernelTerms& kernel, CompiledCurve const& curve,
                  std::array<double, feature_count> const& sizes) {
    for (std::size_t f = 0; f < feature_count; ++f) {
        if (sizes[f] == kernel.sizes[f]) continue;
        kernel.sizes[f] = sizes[f];
        kernel.features[f] = curve.uses_feature[f] ? shape_feature(sizes[f]) : 0;
    }
}

void add_unseen(KernelTerms& kernel, CompiledCalibration const& calibration,
                CompiledCurve const& curve) {
    kernel.unseen_share = 0;
    double const variance = calibration.intervals().unseen_regime_log_variance;
    if (kernel.regime_number < 0 && !curve.regimes.empty()) {
        constexpr double unlike_products = 4;  // twice the deviation
        kernel.unseen = kernel.regime;
        kernel.unseen_share = 1;
        kernel.added_variance += variance * (kernel.is_unlike_products ? unlike_products : 1);
        return;
    }
    kernel.unseen = kernel.unseen_joined;
    if (kernel.unseen.empty()) return;
    // Each operator passes over the tensors once; the main one computes besides.
    auto const priced =
        roofline_seconds(curve.roofline, roofline_factors(curve.roofline, kernel.terms, curve.limits));
    double const passes = (priced.memory + priced.overhead) / priced.total();
    kernel.unseen_share = std::min(
        1.0, passes * static_cast<double>(kernel.unseen_joined_count) / kernel.terms.kernels);
    kernel.added_variance += kernel.unseen_share * kernel.unseen_share * variance;
}

}  // namespace

KernelTerms kernel_terms(CompiledCalibration const& calibration, KernelTraits const& traits) {
    KernelTerms kernel{.type = traits.type,
                       .regime = traits.regime,
                       .is_unlike_products = traits.is_unlike_products,
                       .unseen_joined = unseen_operators(calibration, traits.joined)};
    kernel.unseen_joined_count = std::ranges::count_if(
        traits.joined, [&](std::string const& op) { return !calibration.knows_joined(op); });
    set_numbers(kernel, calibration, traits);
    return kernel;
}

void set_numbers(KernelTerms& kernel, CompiledCalibration const& calibration,
                 KernelTraits const& traits) {
    kernel.terms = traits.terms;
    auto const curve_index = calibration.curve_of(kernel.type, !(kernel.terms.flops > 0));
    auto const& curve = calibration.curves()[static_cast<std::size_t>(curve_index)];
    if (curve_index != kernel.curve) {
        kernel.curve = curve_index;
        kernel.regime_number = regime_index(curve, kernel.regime);
        kernel.sizes.fill(unknown_size);
    }
    set_features(kernel, curve, traits.sizes);
    auto const range = check_range(curve, kernel.terms);
    kernel.extrapolated = range.extrapolated;
    kernel.added_variance =
        calibration.intervals().extrapolation_log_variance * range.distance_squared;
    add_unseen(kernel, calibration, curve);
}

CompiledCalibration::CompiledCalibration(Calibration const& calibration)
    : intervals_{calibration.intervals},
      context_{calibration.context},
      partition_{calibration.condition.partition},
      names_joined_{calibration.joined_operators.has_value()},
      joined_operators_{calibration.joined_operators.value_or(std::vector<std::string>{})} {
    if (calibration.peak_flops) peak_flops_ = calibration.peak_flops->per_second;
    if (calibration.peak_bandwidth) peak_bandwidth_ = calibration.peak_bandwidth->per_second;
    lookup_.fill(absent);
    for (auto const& curve : calibration.curves) {
        lookup_[slot_of(curve.type, curve.zero_flop)] = static_cast<int>(curves_.size());
        curves_.push_back(compiled(curve, curve_key(curve)));
    }
    std::map<std::string, int, std::less<>> parents;
    for (auto const& [name, curve] : calibration.parent_curves) {
        parents[name] = static_cast<int>(curves_.size());
        curves_.push_back(compiled(curve, name.starts_with("device") ? name : name + " (parent)"));
        curves_.back().is_parent = true;
        curves_.back().limits = limits_of(curve);
        curves_.back().common_log_variance =
            curve.common_log_variance.value_or(curves_.back().log_variance);
    }
    if (curves_.empty()) throw std::invalid_argument{"a calibration without curves prices nothing"};
    // A parent may have a curve of its own for kernels without FLOPs, as a type has.
    auto const parent_curve = [&](std::string_view name, bool zero_flop) {
        if (zero_flop) {
            auto const found = parents.find(curve_key(name, true));
            if (found != parents.end()) return found->second;
        }
        auto const found = parents.find(name);
        return found == parents.end() ? absent : found->second;
    };
    for (auto const type : all_operation_types) {
        for (bool const zero_flop : {false, true}) {
            auto& slot = lookup_[slot_of(type, zero_flop)];
            for (auto const name : {to_string(parent_of(type)), std::string_view{"device"}}) {
                if (slot == absent) slot = parent_curve(name, zero_flop);
            }
        }
    }
}

void CompiledCalibration::throw_unpriced(OperationType type) {
    throw std::invalid_argument{
        std::string{"no curve prices kernels of type "}.append(to_string(type))};
}

KernelPrediction predict_kernel(CompiledCalibration const& calibration, Subgraph const& subgraph) {
    KernelPrediction result;
    auto const kernel = kernel_terms(calibration, traits_of(subgraph));
    result.curve = kernel.curve;
    auto const& curve = calibration.curves()[static_cast<std::size_t>(result.curve)];
    auto const priced =
        roofline_seconds(curve.roofline, roofline_factors(curve.roofline, kernel.terms, curve.limits));
    result.compute_seconds = priced.compute;
    result.memory_seconds = priced.memory;
    result.overhead_seconds = priced.overhead;
    result.roofline_seconds = priced.total();
    result.unseen_regime = !kernel.unseen.empty();
    result.extrapolated = kernel.extrapolated;
    if (curve.points > 0) {
        std::array<double, max_points> vector{};
        std::array<double, max_points> whitened{};
        kernel_vector(curve, kernel.features, kernel.regime_number, vector);
        auto const padded = static_cast<std::size_t>(padded_points(curve.points));
        whiten(curve, std::span{vector}.first(padded), whitened);
        double explained = 0;
        for (int i = 0; i < curve.points; ++i) {
            auto const index = static_cast<std::size_t>(i);
            result.residual += curve.weights[index] * vector[index];
            explained += whitened[index] * whitened[index];
        }
        result.posterior_variance = std::max(0.0, curve.amplitude_squared - explained);
        result.model_variance = result.posterior_variance + curve.noise_squared;
        result.log_variance = curve.variance_scale * result.model_variance;
    } else {
        result.log_variance = curve.log_variance;
    }
    result.log_variance += kernel.added_variance;
    result.median_seconds =
        std::max(least_seconds, result.roofline_seconds * std::exp(result.residual));
    result.mean_seconds = result.median_seconds * curve.mean_correction;
    return result;
}

}  // namespace derate
