#include "estimator/kernel_vector.hpp"

#include <algorithm>

#include "estimator/widest_vectors.hpp"

namespace derate {
namespace {

/// exp(x) for x <= 0; from -700 on downwards 1e-304, which is nothing beside 1.
struct Shrinking {
    [[gnu::always_inline]] Lanes operator()(Lanes const& x) const {
        Lanes const least = Lanes{} - 700.0;
        return exponential(x > least ? x : least);
    }
};

/// Correlations of one kernel with others, given as columns of features and of regimes.
DERATE_WIDEST_VECTORS
void correlate(ResidualCorrelation const& correlation, double factor, double const* features,
               double regime, double const* others, double const* regimes, int padded, int count,
               double* correlations) {
    for (int first = 0; first < count; first += point_lanes) {
        // Squared distances, summed feature by feature.
        Lanes distances{};
        for (int f = 0; f < static_cast<int>(feature_count); ++f) {
            Lanes const difference = features[f] - load(others + f * padded + first);
            distances += difference * difference;
        }
        auto const same_regime = load(regimes + first) == Lanes{} + regime;
        store(factor * correlation.with(Shrinking{}, distances, same_regime), correlations + first);
    }
}

/// Adds what columns from `begin` to `end` give the last rows of a group of rows, those from the
/// diagonal on: `skipped` lanes of rows stand above it.
template <int groups, int skipped>
[[gnu::always_inline]] inline void add_columns(double const* columns, double const* vector,
                                               int begin, int end, int padded, int first,
                                               Lanes (&sums)[groups]) {
    for (int j = begin; j < end; ++j) {
        double const* const column = columns + j * padded + first;
        for (int g = skipped; g < groups; ++g) {
            sums[g] += load(column + g * point_lanes) * vector[j];
        }
    }
}

/// Rows of the product from `first` on, as many lanes of them at once as keep the processor busy
/// while sums wait for their turn.
template <int groups>
[[gnu::always_inline]] inline void multiply_rows(double const* columns, double const* vector,
                                                 int points, int padded, int first,
                                                 double* product) {
    Lanes sums[groups]{};
    auto const column = [&](int lanes) { return std::min(points, first + lanes * point_lanes); };
    add_columns<groups, 0>(columns, vector, 0, column(1), padded, first, sums);
    if constexpr (groups == 4) {
        add_columns<groups, 1>(columns, vector, column(1), column(2), padded, first, sums);
        add_columns<groups, 2>(columns, vector, column(2), column(3), padded, first, sums);
        add_columns<groups, 3>(columns, vector, column(3), column(4), padded, first, sums);
    }
    for (int g = 0; g < groups; ++g) store(sums[g], product + first + g * point_lanes);
}

DERATE_WIDEST_VECTORS
void multiply(double const* columns, double const* vector, int points, int padded,
              double* product) {
    constexpr int together = 4;
    int row = 0;
    for (; row + together * point_lanes <= padded; row += together * point_lanes) {
        multiply_rows<together>(columns, vector, points, padded, row, product);
    }
    for (; row < padded; row += point_lanes) {
        multiply_rows<1>(columns, vector, points, padded, row, product);
    }
}

}  // namespace

void kernel_vector(CompiledCurve const& curve, std::array<double, feature_count> const& features,
                   int regime, std::span<double> vector) {
    int const padded = padded_points(curve.points);
    correlate(curve.correlation, curve.amplitude_squared, features.data(), regime,
              curve.features.data(), curve.point_regimes.data(), padded, padded, vector.data());
    for (int i = curve.points; i < padded; ++i) vector[static_cast<std::size_t>(i)] = 0;
}

void KernelCorrelations::set(std::span<KernelTerms const* const> kernels) {
    padded_ = padded_points(static_cast<int>(kernels.size()));
    auto const padded = static_cast<std::size_t>(padded_);
    features_.assign(feature_count * padded, 0);
    regimes_.assign(padded, -2);
    for (std::size_t k = 0; k < kernels.size(); ++k) {
        for (std::size_t f = 0; f < feature_count; ++f) {
            features_[f * padded + k] = kernels[k]->features[f];
        }
        regimes_[k] = kernels[k]->regime_number;
    }
    correlations_.resize(padded);
}

std::span<double const> KernelCorrelations::with_first(CompiledCurve const& curve,
                                                       KernelTerms const& kernel, int count) {
    correlate(curve.correlation, curve.amplitude_squared, kernel.features.data(),
              kernel.regime_number, features_.data(), regimes_.data(), padded_, count,
              correlations_.data());
    return std::span{correlations_}.first(static_cast<std::size_t>(count));
}

void whitened_vector(CompiledCurve const& curve, std::span<double const> vector,
                     std::span<double> whitened) {
    multiply(curve.factor.data(), vector.data(), curve.points, padded_points(curve.points),
             whitened.data());
}

}  // namespace derate
