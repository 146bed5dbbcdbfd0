#include "calibration/residual_process.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "core/residual_correlation.hpp"

namespace derate {
namespace {

ResidualObservation at(double x, double residual, std::string regime = "plain") {
    ResidualObservation observation;
    observation.features[0] = x;
    observation.regime = std::move(regime);
    observation.residual = residual;
    return observation;
}

struct Posterior {
    double mean = 0;
    double variance = 0;
};

/// What the estimator computes from the served arrays.
Posterior serve(ResidualModel const& model, double x, std::string const& regime = "plain") {
    ResidualCorrelation const correlation{model};
    std::vector<double> k;
    for (std::size_t i = 0; i < model.weights.size(); ++i) {
        double d = 0;
        for (std::size_t f = 0; f < feature_count; ++f) {
            d += std::pow((f == 0 ? x : 0) - model.points[i * feature_count + f], 2);
        }
        k.push_back(model.amplitude * model.amplitude *
                    correlation(d, regime == model.point_regimes[i]));
    }
    Posterior result{.mean = 0, .variance = model.amplitude * model.amplitude};
    std::size_t next = 0;
    for (std::size_t i = 0; i < k.size(); ++i) {
        result.mean += model.weights[i] * k[i];
        double row = 0;
        for (std::size_t j = 0; j <= i; ++j) row += model.packed_factor[next++] * k[j];
        result.variance -= row * row;
    }
    return result;
}

ProcessHyperparameters const hyper{.amplitude = 0.5, .length_scale = 1, .noise = 0.2};

TEST(ResidualProcess, OneObservationIsTheTextbookRatio) {
    // Mean a^2 / (a^2 + n^2) y, variance a^2 n^2 / (a^2 + n^2).
    std::vector const seen{at(2, 0.29)};
    auto const model = fit_residual_process(seen, FeatureGroup::memory, hyper);
    EXPECT_NEAR(serve(model, 2).mean, 0.25, 1e-6);
    EXPECT_NEAR(serve(model, 2).variance, 0.25 * 0.04 / 0.29, 1e-6);
    EXPECT_NEAR(serve(model, 80).mean, 0, 1e-12);
    EXPECT_NEAR(serve(model, 80).variance, 0.25, 1e-12);
}

TEST(ResidualProcess, RepeatsCountAsOneWithLessNoise) {
    std::vector const seen{at(2, 0.1), at(2, 0.5), at(2, 0.3), at(2, 0.3)};
    auto const model = fit_residual_process(seen, FeatureGroup::memory, hyper);
    EXPECT_EQ(model.weights.size(), 1);
    EXPECT_NEAR(serve(model, 2).mean, 0.3 * 0.25 / (0.25 + 0.01), 1e-6);
}

/// Amplitude^2 times the two parts at length scale 1, in one regime.
double covariance(double distance) {
    double const square = distance * distance;
    return 0.25 * (0.3 * std::exp(-square / 2) + 0.7 * std::exp(-square / 72));
}

/// Two inputs: the 2 x 2 system solved by hand at distance 1.
TEST(ResidualProcess, TwoObservationsAgreeWithTheSolvedSystem) {
    std::vector const seen{at(0, 0.4), at(1, -0.1)};
    auto const model = fit_residual_process(seen, FeatureGroup::memory, hyper);
    double const k = covariance(1);
    double const d = 0.29;
    double const determinant = d * d - k * k;
    double const w0 = (d * 0.4 - k * -0.1) / determinant;
    double const w1 = (d * -0.1 - k * 0.4) / determinant;
    double const kx = covariance(0.5);
    EXPECT_NEAR(serve(model, 0.5).mean, kx * (w0 + w1), 1e-6);
    EXPECT_NEAR(serve(model, 0.5).variance, 0.25 - kx * kx * 2 * (d - k) / determinant, 1e-6);
}

TEST(ResidualProcess, RegimesShareOnlyPartOfWhatTheyKnow) {
    std::vector const seen{at(2, 0.29)};
    auto const model = fit_residual_process(seen, FeatureGroup::memory, hyper);
    EXPECT_LT(std::abs(serve(model, 2, "channels_last").mean), 0.25 * 0.2);
    EXPECT_GT(serve(model, 2, "channels_last").variance, 0.2);
}

TEST(ResidualProcess, ARegimeIsKnownFarBeyondTheSizesSeen) {
    // A factor of 20 in size away: the near part is gone, the trend has exp(-3^2 / 72) left.
    std::vector const seen{at(2, 0.29)};
    auto const model = fit_residual_process(seen, FeatureGroup::memory, hyper);
    EXPECT_NEAR(serve(model, 5).mean, 0.25 * (0.3 * std::exp(-4.5) + 0.7 * std::exp(-0.125)), 1e-6);
    EXPECT_NEAR(serve(model, 5, "other").mean, 0.25 * 0.3 * std::exp(-6.5), 1e-6);
}

TEST(ResidualProcess, ManyInputsArePricedFromSixtyFourPoints) {
    std::mt19937 random{5};
    std::normal_distribution<double> normal;
    std::vector<ResidualObservation> seen;
    for (int i = 0; i < 400; ++i) {
        double const x = i / 40.0;
        seen.push_back(at(x, 0.3 * std::sin(x) + 0.05 * normal(random)));
    }
    ProcessHyperparameters const smooth{.amplitude = 0.3, .length_scale = 1, .noise = 0.05};
    auto const model = fit_residual_process(seen, FeatureGroup::memory, smooth);
    EXPECT_EQ(model.weights.size(), 64);
    for (double const x : {0.51, 3.33, 7.77}) {
        EXPECT_NEAR(serve(model, x).mean, 0.3 * std::sin(x), 0.03) << x;
        EXPECT_GE(serve(model, x).variance, -1e-9) << x;
        EXPECT_LT(serve(model, x).variance, 0.002) << x;
    }
}

TEST(ResidualProcess, DoesNotDependOnTheOrderOfObservations) {
    std::vector<ResidualObservation> seen;
    for (int i = 0; i < 100; ++i) seen.push_back(at(0.1 * (i * 37 % 100), std::cos(i)));
    auto const forward = fit_residual_process(seen, FeatureGroup::memory, hyper);
    std::vector<ResidualObservation> const reversed(seen.rbegin(), seen.rend());
    EXPECT_EQ(fit_residual_process(reversed, FeatureGroup::memory, hyper).weights, forward.weights);
}

TEST(ResidualProcess, LikelihoodPrefersTheNoiseThatMadeTheData) {
    std::mt19937 random{11};
    std::normal_distribution<double> normal;
    std::vector<TypeObservations> types(1);
    auto& observations = types[0].observations;
    for (int i = 0; i < 200; ++i) observations.push_back(at(0.05 * i, 0.4 * normal(random)));
    EXPECT_NEAR(fit_hyperparameters(types, false).noise, 0.4, 0.1);
    for (int i = 0; i < 200; ++i)
        observations[static_cast<std::size_t>(i)].residual = 0.5 * std::sin(0.2 * i);
    EXPECT_NEAR(fit_hyperparameters(types, false).noise, 0.15, 1e-12);  // the least it takes
}

TEST(ResidualProcess, TheBatchCountsWhereTheLikelihoodSaysSo) {
    // Kernels of equal sizes at two batches; at the second they are slower, or as fast.
    auto const types_with = [](double slower) {
        std::mt19937 random{5};
        std::normal_distribution<double> normal;
        std::vector<TypeObservations> types{{.group = FeatureGroup::memory, .observations = {}}};
        for (int i = 0; i < 100; ++i) {
            auto one = at(0.1 * i, 0.2 * normal(random));
            auto other = at(0.1 * i, slower + 0.2 * normal(random));
            other.features.back() = std::log(16);
            types[0].observations.push_back(one);
            types[0].observations.push_back(other);
        }
        return types;
    };
    EXPECT_TRUE(fit_hyperparameters(types_with(0.8), true).by_batch);
    EXPECT_FALSE(fit_hyperparameters(types_with(0), true).by_batch);
    EXPECT_FALSE(fit_hyperparameters(types_with(0.8), false).by_batch) << "one batch was timed";

    auto const seen = types_with(0.8)[0].observations;
    auto without = hyper;
    without.by_batch = false;
    EXPECT_EQ(fit_residual_process(seen, FeatureGroup::memory, hyper).features.back(), "items");
    auto const model = fit_residual_process(seen, FeatureGroup::memory, without);
    EXPECT_EQ(model.features.back(), "0");
    for (std::size_t i = feature_count - 1; i < model.points.size(); i += feature_count) {
        EXPECT_EQ(model.points[i], 0);
    }
}

}  // namespace
}  // namespace derate
