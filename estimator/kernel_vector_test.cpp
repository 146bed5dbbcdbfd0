#include "estimator/kernel_vector.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <tuple>
#include <vector>

namespace derate {
namespace {

/// A curve of convolutions with points of two regimes and a lower triangle as factor.
CompiledCurve curve_of(std::size_t points) {
    ResidualModel model{.features = {"in_channels_per_group", "out_channels", "output_positions",
                                     "kernel_area", "stride", "groups", "kernels", "items"},
                        .points = {},
                        .point_regimes = {},
                        .weights = std::vector<double>(points, 0.1),
                        .packed_factor = {},
                        .amplitude = 0.5,
                        .length_scale = 1.5,
                        .noise = 0.1,
                        .regime_distance = 4,
                        .trend_share = 0.7,
                        .trend_length_scale = 6};
    for (std::size_t i = 0; i < points; ++i) {
        for (std::size_t f = 0; f < feature_count; ++f) {
            model.points.push_back(0.3 * static_cast<double>((i * (f + 3)) % 11));
        }
        model.point_regimes.emplace_back(i % 3 == 0 ? "dilated" : "plain");
        for (std::size_t j = 0; j <= i; ++j) {
            model.packed_factor.push_back(j == i ? 1 : 0.01 * static_cast<double>(i + 2 * j));
        }
    }
    Calibration calibration;
    EfficiencyCurve curve;
    curve.type = OperationType::conv2d;
    curve.fitted_curve =
        FittedCurve{.form = AdditiveRoofline{.kernel_seconds = 1e-6, .byte_coefficient = 1e-10}};
    curve.regimes = {"plain", "dilated"};
    curve.residual_model = model;
    calibration.curves.push_back(curve);
    return CompiledCalibration{calibration}.curves().front();
}

KernelTerms kernel_of(double channels, double positions, int regime) {
    KernelTerms kernel;
    kernel.regime_number = regime;
    kernel.sizes = {channels, 64, positions, 9, 1, 1, 2, 8};
    for (std::size_t f = 0; f < feature_count; ++f) kernel.features[f] = std::log(kernel.sizes[f]);
    return kernel;
}

TEST(KernelVector, IsTheCorrelationWithEachPoint) {
    auto const curve = curve_of(21);
    auto const kernel = kernel_of(3, 12, 1);
    std::vector<double> vector(24, 99);
    kernel_vector(curve, kernel.features, kernel.regime_number, vector);
    for (std::size_t i = 0; i < 21; ++i) {
        double distance = 0;
        for (std::size_t f = 0; f < feature_count; ++f) {
            distance += std::pow(kernel.features[f] - curve.features[f * 24 + i], 2);
        }
        double const expected = 0.25 * curve.correlation(distance, curve.point_regimes[i] == 1);
        EXPECT_NEAR(vector[i], expected, 1e-14 * expected) << i;
    }
    for (std::size_t i = 21; i < 24; ++i) EXPECT_EQ(vector[i], 0);
}

TEST(KernelVector, FarFromAllPointsIsNothingAndNoDenormal) {
    auto const curve = curve_of(9);
    std::vector<double> vector(16);
    kernel_vector(curve, kernel_of(1e200, 1e200, 0).features, 0, vector);
    for (std::size_t i = 0; i < 9; ++i) {
        EXPECT_LT(vector[i], 1e-250);
        EXPECT_TRUE(vector[i] == 0 || std::isnormal(vector[i]));
    }
}

TEST(PointCovariances, HaveTheBitsOfEachKernelAloneWhateverChanges) {
    auto const curve = curve_of(40);
    PointCovariances covariances;
    for (auto const& [channels, positions, regime] : {std::tuple{3.0, 10.0, 0},
                                                      {3.0, 20.0, 0},
                                                      {5.0, 20.0, 0},
                                                      {5.0, 20.0, 1},
                                                      {3.0, 10.0, 0}}) {
        covariances.start(2);
        for (std::size_t k = 0; k < 2; ++k) {
            auto const kernel = kernel_of(channels + static_cast<double>(k), positions, regime);
            std::vector<double> alone(40);
            std::vector<double> together(40);
            kernel_vector(curve, kernel.features, regime, alone);
            covariances.write(k, curve, kernel, together);
            EXPECT_EQ(together, alone) << channels << " " << positions << " " << regime;
        }
    }
}

TEST(Whiten, HasTheBitsOfEachVectorAlone) {
    for (std::size_t const points : {9U, 40U, 64U}) {
        auto const curve = curve_of(points);
        auto const padded = static_cast<std::size_t>(padded_points(curve.points));
        std::vector<double> vectors(5 * padded);
        for (std::size_t k = 0; k < 5; ++k) {
            auto const kernel = kernel_of(3 + static_cast<double>(k), 12, 0);
            kernel_vector(curve, kernel.features, 0,
                          std::span{vectors}.subspan(k * padded, padded));
        }
        std::vector<double> whitened(vectors.size());
        whiten(curve, vectors, whitened);
        for (std::size_t k = 0; k < 5; ++k) {
            std::vector<double> alone(padded);
            whiten(curve, std::span{vectors}.subspan(k * padded, padded), alone);
            for (std::size_t i = 0; i < padded; ++i) {
                EXPECT_EQ(whitened[k * padded + i], alone[i]);
                double product = 0;
                for (std::size_t j = 0; j < points; ++j) {
                    product += curve.factor[j * padded + i] * vectors[k * padded + j];
                }
                EXPECT_NEAR(alone[i], product, 1e-14) << k << " " << i;
            }
        }
    }
}

}  // namespace
}  // namespace derate
