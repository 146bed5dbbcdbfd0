#include "estimator/kernel_vector.hpp"

#include <algorithm>

#include "estimator/widest_vectors.hpp"

namespace derate {
namespace {

/// Squared distances of shape features from each point, summed feature by feature.
DERATE_WIDEST_VECTORS
void distances_squared(double const* __restrict points, double const* __restrict features,
                       int padded, double* __restrict distances) {
    for (int i = 0; i < padded; ++i) distances[i] = 0;
    for (std::size_t f = 0; f < feature_count; ++f) {
        double const* const of_points = points + f * static_cast<std::size_t>(padded);
        for (int i = 0; i < padded; ++i) {
            double const difference = features[f] - of_points[i];
            distances[i] += difference * difference;
        }
    }
}

/// Rows of the product from `first` on, as many groups of lanes at once as keep the processor busy
/// while sums wait for their turn. A triangle of zeros stands above the diagonal, and adding zero
/// changes no sum.
template <int groups>
[[gnu::always_inline]] inline void multiply_rows(double const* columns, double const* vector,
                                                 int points, int padded, int first,
                                                 double* product) {
    Lanes sums[groups]{};
    int const last = std::min(points, first + groups * point_lanes);
    for (int j = 0; j < last; ++j) {
        double const* const column = columns + j * padded + first;
        for (int g = 0; g < groups; ++g) sums[g] += load(column + g * point_lanes) * vector[j];
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
    std::array<double, max_points> distances;
    distances_squared(curve.features.data(), features.data(), padded, distances.data());
    for (int i = 0; i < curve.points; ++i) {
        auto const at = static_cast<std::size_t>(i);
        vector[at] = curve.amplitude_squared *
                     curve.correlation(distances[at], regime == curve.point_regimes[at]);
    }
    for (int i = curve.points; i < padded; ++i) vector[static_cast<std::size_t>(i)] = 0;
}

void whitened_vector(CompiledCurve const& curve, std::span<double const> vector,
                     std::span<double> whitened) {
    multiply(curve.factor.data(), vector.data(), curve.points, padded_points(curve.points),
             whitened.data());
}

}  // namespace derate
