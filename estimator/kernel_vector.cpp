#include "estimator/kernel_vector.hpp"

#include <algorithm>
#include <cmath>

#include "estimator/prepared_model.hpp"
#include "estimator/widest_vectors.hpp"

namespace derate {
namespace {

/// exp(x) for x <= 0, from `least` on downwards exp(least): nothing beside 1, and no denormal.
template <int least>
struct Shrinking {
    [[gnu::always_inline]] Lanes operator()(Lanes const& x) const {
        Lanes const floor = broadcast(least);
        return exponential(x > floor ? x : floor);
    }
};
using ShrinkingFactor = Shrinking<-350>;  ///< of which two are multiplied

/// Squared distances of features from columns of them.
[[gnu::always_inline]] inline Lanes squared_distances(double const* features, bool const* counted,
                                                      double const* columns, int padded,
                                                      int first) {
    Lanes distances{};
    for (int f = 0; f < static_cast<int>(feature_count); ++f) {
        if (!counted[f]) continue;
        Lanes const difference = features[f] - load(columns + f * padded + first);
        distances = fused(difference, difference, distances);
    }
    return distances;
}

/// Covariances of one kernel with others, given as columns of features and of regimes.
DERATE_WIDEST_VECTORS
void correlate(ResidualCorrelation const& correlation, double factor, double const* features,
               double regime, double const* others, double const* regimes, int padded,
               double* covariances) {
    constexpr std::array<bool, feature_count> all{true, true, true, true, true, true, true, true};
    for (int first = 0; first < padded; first += point_lanes) {
        auto const distances = squared_distances(features, all.data(), others, padded, first);
        auto const same_regime = load(regimes + first) == broadcast(regime);
        store(factor * correlation.with(Shrinking<-700>{}, distances, same_regime),
              covariances + first);
    }
}

/// What a kernel's regime and the features that do not grow with a batch make of both parts, at
/// each point; zeros beyond.
DERATE_WIDEST_VECTORS
void staying_decays(CompiledCurve const& curve, double const* features, int regime, double* near,
                    double* trend) {
    std::array<bool, feature_count> stays{};
    for (std::size_t f = 0; f < feature_count; ++f) stays[f] = !curve.grows[f];
    int const padded = padded_points(curve.points);
    for (int first = 0; first < padded; first += point_lanes) {
        auto const distances =
            squared_distances(features, stays.data(), curve.features.data(), padded, first);
        auto const same_regime = load(curve.point_regimes.data() + first) == broadcast(regime);
        auto const nearest = curve.correlation.nearest<Lanes>(same_regime);
        auto const decays = curve.correlation.decays(ShrinkingFactor{}, distances);
        store(curve.amplitude_squared * nearest.near * decays.near, near + first);
        store(curve.amplitude_squared * nearest.trend * decays.trend, trend + first);
    }
    for (int i = curve.points; i < padded; ++i) near[i] = trend[i] = 0;
}

/// The same of the features that grow with a batch, as factors.
DERATE_WIDEST_VECTORS
void growing_decays(CompiledCurve const& curve, double const* features, double* near,
                    double* trend) {
    // Points have few combinations of these.
    alignas(64) std::array<double, max_points> near_of;
    alignas(64) std::array<double, max_points> trend_of;
    int const columns = padded_points(curve.growths);
    for (int first = 0; first < columns; first += point_lanes) {
        auto const distances = squared_distances(features, curve.grows.data(),
                                                 curve.growing_features.data(), columns, first);
        auto const decays = curve.correlation.decays(ShrinkingFactor{}, distances);
        store(decays.near, near_of.data() + first);
        store(decays.trend, trend_of.data() + first);
    }
    int const padded = padded_points(curve.points);
    int const* const growth = curve.growth_of_point.data();
    for (int i = 0; i < padded; ++i) {
        near[i] = near_of[static_cast<std::size_t>(growth[i])];
        trend[i] = trend_of[static_cast<std::size_t>(growth[i])];
    }
}

DERATE_WIDEST_VECTORS
void combine(double const* staying_near, double const* staying_trend, double const* growing_near,
             double const* growing_trend, int padded, double* vector) {
    for (int i = 0; i < padded; i += point_lanes) {
        Lanes const trend = load(staying_trend + i) * load(growing_trend + i);
        store(fused(load(staying_near + i), load(growing_near + i), trend), vector + i);
    }
}

/// Whether all features are equal that grow with a batch, or that do not.
bool are_equal(std::array<double, feature_count> const& a,
               std::array<double, feature_count> const& b,
               std::array<bool, feature_count> const& grows, bool growing) {
    bool are = true;
    for (std::size_t f = 0; f < feature_count; ++f) are &= grows[f] != growing || a[f] == b[f];
    return are;
}

/// Adds what columns from `begin` to `end` give the last rows of a group of rows, those from the
/// diagonal on: `skipped` lanes of rows stand above it. Of several vectors, which share the
/// columns.
template <int groups, int count, int skipped>
[[gnu::always_inline]] inline void add_columns(double const* columns, double const* vectors,
                                               int begin, int end, int padded, int first,
                                               Lanes (&sums)[count][groups]) {
    for (int j = begin; j < end; ++j) {
        double const* const column = columns + j * padded + first;
#pragma GCC unroll 4
        for (int g = skipped; g < groups; ++g) {
            Lanes const rows = load(column + g * point_lanes);
#pragma GCC unroll 2
            for (int k = 0; k < count; ++k) {
                sums[k][g] = fused(rows, broadcast(vectors[k * padded + j]), sums[k][g]);
            }
        }
    }
}

/// Rows of the products from `first` on, as many lanes of them and of vectors at once as keep the
/// processor busy while sums wait for their turn.
template <int groups, int count>
[[gnu::always_inline]] inline void multiply_rows(double const* columns, double const* vectors,
                                                 int points, int padded, int first,
                                                 double* products) {
    Lanes sums[count][groups]{};
    auto const column = [&](int lanes) { return std::min(points, first + lanes * point_lanes); };
    add_columns<groups, count, 0>(columns, vectors, 0, column(1), padded, first, sums);
    if constexpr (groups == 4) {
        add_columns<groups, count, 1>(columns, vectors, column(1), column(2), padded, first, sums);
        add_columns<groups, count, 2>(columns, vectors, column(2), column(3), padded, first, sums);
        add_columns<groups, count, 3>(columns, vectors, column(3), column(4), padded, first, sums);
    }
#pragma GCC unroll 2
    for (int k = 0; k < count; ++k) {
#pragma GCC unroll 4
        for (int g = 0; g < groups; ++g) {
            store(sums[k][g], products + k * padded + first + g * point_lanes);
        }
    }
}

template <int count>
[[gnu::always_inline]] inline void multiply_vectors(double const* columns, double const* vectors,
                                                    int points, int padded, double* products) {
    constexpr int together = 4;
    int row = 0;
    for (; row + together * point_lanes <= padded; row += together * point_lanes) {
        multiply_rows<together, count>(columns, vectors, points, padded, row, products);
    }
    for (; row < padded; row += point_lanes) {
        multiply_rows<1, count>(columns, vectors, points, padded, row, products);
    }
}

DERATE_WIDEST_VECTORS
void multiply(double const* columns, double const* vectors, int count, int points, int padded,
              double* products) {
    int k = 0;
    for (; k + 2 <= count; k += 2) {
        multiply_vectors<2>(columns, vectors + k * padded, points, padded, products + k * padded);
    }
    if (k < count) {
        multiply_vectors<1>(columns, vectors + k * padded, points, padded, products + k * padded);
    }
}

/// What shared_correlation() gives.
/// \param covariances  of each kernel with each
/// \param means, residuals, shared  room for as many kernels as lanes hold
DERATE_WIDEST_VECTORS
double correlation_of_sums(CompiledCurve const& curve, PreparedModel const& model,
                           CurveRun const& run, double const* covariances, double* means,
                           double* residuals, double* shared) {
    int const count = run.end - run.begin;
    int const padded = padded_points(count);
    int const points = padded_points(curve.points);
    for (int k = 0; k < count; ++k) {
        auto const j = static_cast<std::size_t>(run.begin + k);
        auto const known = known_of_points(curve, model.vectors.data() + model.vector_begin[j],
                                           model.whitened.data() + model.vector_begin[j]);
        double const unexplained = curve.amplitude_squared - known.explained;
        means[k] = roofline_seconds(curve.roofline, model.factors(j)).total();
        residuals[k] = known.residual;
        shared[k] = curve.variance_scale * (unexplained > 0 ? unexplained : 0);
    }
    for (int k = count; k < padded; ++k) means[k] = residuals[k] = shared[k] = 0;
    for (int k = 0; k < padded; ++k) {
        double const median = means[k] * exponential(residuals[k]);
        means[k] = (median > least_seconds ? median : least_seconds) * curve.mean_correction;
        shared[k] = std::sqrt(shared[k]);
    }
    alignas(64) std::array<double, max_points> explained{};
    double sum = 0;
    double sum_squares = 0;
    for (int k = 0; k < count; ++k) {
        auto const j = static_cast<std::size_t>(run.begin + k);
        means[k] *= model.count[j];
        double const deviation = means[k] * shared[k];
        sum += deviation;
        sum_squares += deviation * deviation;
        double const* const whitened = model.whitened.data() + model.vector_begin[j];
        for (int p = 0; p < points; p += point_lanes) {
            double* const of_points = explained.data() + p;
            store(fused(load(whitened + p), broadcast(means[k]), load(of_points)), of_points);
        }
    }
    for (int k = count; k < padded; ++k) means[k] = 0;
    Lanes joint{};
    for (int k = 0; k < count; ++k) {
        Lanes row{};
        for (int i = 0; i < padded; i += point_lanes) {
            row = fused(load(means + i), load(covariances + k * padded + i), row);
        }
        joint += means[k] * row;
    }
    Lanes known{};
    for (int p = 0; p < points; p += point_lanes) {
        Lanes const part = load(explained.data() + p);
        known = fused(part, part, known);
    }
    double const unknown = curve.variance_scale * std::max(0.0, sum_of(joint) - sum_of(known));
    double const pairs = sum * sum - sum_squares;
    // Kernels that are known exactly have nothing in common.
    if (!(pairs > 1e-12 * sum * sum)) return 0;
    return std::clamp((unknown - sum_squares) / pairs, 0.0, 1.0);
}

}  // namespace

void kernel_vector(CompiledCurve const& curve, std::array<double, feature_count> const& features,
                   int regime, std::span<double> vector) {
    std::array<double, 4 * max_points> parts;
    double* const staying = parts.data();
    double* const growing = staying + 2 * max_points;
    staying_decays(curve, features.data(), regime, staying, staying + max_points);
    growing_decays(curve, features.data(), growing, growing + max_points);
    combine(staying, staying + max_points, growing, growing + max_points,
            padded_points(curve.points), vector.data());
}

void whiten(CompiledCurve const& curve, std::span<double const> vectors,
            std::span<double> whitened) {
    int const padded = padded_points(curve.points);
    if (padded == 0) return;
    multiply(curve.factor.data(), vectors.data(), static_cast<int>(vectors.size()) / padded,
             curve.points, padded, whitened.data());
}

void PointCovariances::start(std::size_t kernels) {
    staying_.resize(kernels);
    growing_.resize(kernels);
    growing_count_ = 0;
}

void PointCovariances::write(std::size_t kernel, CompiledCurve const& curve,
                             KernelTerms const& terms, std::span<double> vector) {
    auto& staying = staying_[kernel];
    if (staying.curve != &curve || staying.regime != terms.regime_number ||
        !are_equal(staying.features, terms.features, curve.grows, false)) {
        staying.curve = &curve;
        staying.regime = terms.regime_number;
        staying.features = terms.features;
        staying_decays(curve, terms.features.data(), terms.regime_number, staying.near.data(),
                       staying.trend.data());
    }
    std::size_t g = 0;
    while (g < growing_count_ &&
           (growing_[g].curve != &curve ||
            !are_equal(growing_[g].features, terms.features, curve.grows, true))) {
        ++g;
    }
    auto& growing = growing_[g];
    if (g == growing_count_) {
        ++growing_count_;
        growing.curve = &curve;
        growing.features = terms.features;
        growing_decays(curve, terms.features.data(), growing.near.data(), growing.trend.data());
    }
    combine(staying.near.data(), staying.trend.data(), growing.near.data(), growing.trend.data(),
            padded_points(curve.points), vector.data());
}

void KernelCorrelations::set(CompiledCurve const& curve,
                             std::span<KernelTerms const* const> kernels) {
    auto const count = kernels.size();
    bool is_known = curve_ == &curve && ratios_.size() == count;
    scratch_.resize(count);
    regimes_.resize(count, -2);
    for (std::size_t k = 0; k < count; ++k) {
        for (std::size_t f = 0; f < feature_count; ++f) {
            double const ratio =
                std::max(kernels[k]->sizes[f], 1.0) / std::max(kernels[0]->sizes[f], 1.0);
            scratch_[k][f] = curve.uses_feature[f] ? ratio : 1;
        }
        is_known =
            is_known && regimes_[k] == kernels[k]->regime_number && scratch_[k] == ratios_[k];
        regimes_[k] = kernels[k]->regime_number;
    }
    if (is_known) return;
    curve_ = &curve;
    ratios_ = scratch_;
    auto const padded = static_cast<std::size_t>(padded_points(static_cast<int>(count)));
    columns_.assign(feature_count * padded, 0);
    column_regimes_.assign(padded, -2);
    for (std::size_t k = 0; k < count; ++k) {
        for (std::size_t f = 0; f < feature_count; ++f) {
            columns_[f * padded + k] = std::log(ratios_[k][f]);
        }
        column_regimes_[k] = regimes_[k];
    }
    covariances_.resize(count * padded);
    for (std::size_t k = 0; k < count; ++k) {
        Features features;
        for (std::size_t f = 0; f < feature_count; ++f) features[f] = columns_[f * padded + k];
        correlate(curve.correlation, curve.amplitude_squared, features.data(), column_regimes_[k],
                  columns_.data(), column_regimes_.data(), static_cast<int>(padded),
                  covariances_.data() + k * padded);
    }
}

double shared_correlation(CompiledCurve const& curve, PreparedModel const& model,
                          CurveRun const& run, KernelCorrelations const& correlations,
                          LaneVector& memory) {
    auto const padded = static_cast<std::size_t>(padded_points(run.end - run.begin));
    memory.resize(3 * padded);
    return correlation_of_sums(curve, model, run, correlations.covariances().data(), memory.data(),
                               memory.data() + padded, memory.data() + 2 * padded);
}

}  // namespace derate
