#include "calibration/curve_fits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "calibration/least_squares.hpp"

namespace derate {
namespace {

KernelEfficiency kernel(double work, double efficiency, double std = 0.01,
                        std::string model = "a") {
    return {.work = work,
            .efficiency = efficiency,
            .observations = 9,
            .efficiency_std = std,
            .efficiency_min = std::nullopt,
            .efficiency_max = std::nullopt,
            .standard_error = std / 3,
            .launches = 5,
            .models = {model},
            .source_subgraphs = {model + "/1/0"}};
}

nlohmann::json const& golden() {
    static auto const json = [] {
        std::ifstream file{std::string{DERATE_TEST_DATA} + "/curve_fits_golden.json"};
        return nlohmann::json::parse(file);
    }();
    return json;
}

std::vector<KernelEfficiency> golden_kernels() {
    std::vector<KernelEfficiency> kernels;
    for (auto const& entry : golden().at("kernels")) {
        kernels.push_back(kernel(entry.at("work"), entry.at("efficiency"),
                                 entry.at("efficiency_std"), entry.at("model")));
        kernels.back().standard_error = entry.at("standard_error").get<double>();
    }
    return kernels;
}

// ---------------------------------------------------------------------------------------------
// By hand

TEST(EfficiencyAt, FollowsEachFormula) {
    EXPECT_DOUBLE_EQ(efficiency_at(LogLinear{.intercept = -0.2, .slope = 0.1}, 1e6).value(), 0.4);
    EXPECT_DOUBLE_EQ(
        efficiency_at(Sigmoid{.ceiling = 0.8, .steepness = 2, .midpoint = 7}, 1e7).value(), 0.4);
    PiecewiseLinear const curve{.work = {1e6, 1e8}, .efficiency = {0.2, 0.6}};
    EXPECT_DOUBLE_EQ(efficiency_at(curve, 1e7).value(), 0.4);  // half way on the logarithm
    EXPECT_DOUBLE_EQ(efficiency_at(curve, 1e3).value(), 0.2);
    EXPECT_DOUBLE_EQ(efficiency_at(curve, 1e12).value(), 0.6);
    EXPECT_FALSE(efficiency_at(AdditiveRoofline{}, 1e6));
}

TEST(FitCurve, FindsALineThatIsThere) {
    std::vector<KernelEfficiency> kernels;
    for (double log_work = 5; log_work < 9; log_work += 0.5) {
        kernels.push_back(kernel(std::pow(10, log_work), -0.3 + 0.1 * log_work));
    }
    for (auto const weighting : all_fit_weightings) {
        auto const fit = fit_curve(kernels, CurveForm::log_linear, weighting).value();
        EXPECT_NEAR(fit.parameters[0], -0.3, 1e-9) << to_string(weighting);
        EXPECT_NEAR(fit.parameters[1], 0.1, 1e-9);
        EXPECT_NEAR(fit.r_squared.value(), 1, 1e-12);
    }
}

// Two kernels of one size with efficiencies 0.1 and 0.4, errors alike: least squares of the
// efficiency gives 0.25, of its logarithm 0.2, because 0.1 and 0.4 miss that by the same factor.
TEST(FitCurve, LogErrorTakesTheGeometricMean) {
    std::array const kernels{kernel(1e6, 0.1), kernel(1e6, 0.4)};
    auto const piecewise = CurveForm::piecewise_linear;
    EXPECT_NEAR(fit_curve(kernels, piecewise, FitWeighting::log_error)->parameters[0], 0.2, 1e-9);
    EXPECT_NEAR(fit_curve(kernels, piecewise, FitWeighting::inverse_variance)->parameters[0], 0.25,
                1e-12);
}

// A kernel measured ten times as precisely: 1/s^2 follows it alone; with a scatter between kernels
// far above both errors, random effects weigh them nearly alike.
TEST(FitCurve, RandomEffectsDoNotFollowTheMostPreciseKernel) {
    std::array const kernels{kernel(1e6, 0.2, 0.001), kernel(1e6, 0.4, 0.01),
                             kernel(1e6, 0.6, 0.01)};
    auto const piecewise = CurveForm::piecewise_linear;
    auto const by_run_noise = fit_curve(kernels, piecewise, FitWeighting::inverse_variance);
    auto const by_scatter = fit_curve(kernels, piecewise, FitWeighting::random_effects);
    EXPECT_NEAR(by_run_noise->parameters[0], (100 * 0.2 + 0.4 + 0.6) / 102, 1e-12);
    EXPECT_NEAR(by_scatter->parameters[0], 0.4, 0.001);
    EXPECT_NEAR(by_scatter->tau.value(), 0.5, 0.001);  // standard deviation 0.2 about 0.4
    EXPECT_NEAR(by_scatter->chi_squared, by_scatter->degrees_of_freedom, 1e-6);
}

TEST(FitCurve, LeavesKernelsWithoutSpreadOutAndCountsThem) {
    std::vector kernels{kernel(1e6, 0.2), kernel(1e7, 0.4), kernel(1e8, 0.5), kernel(1e9, 0.9)};
    kernels[3].efficiency_std.reset();
    auto const fit = fit_curve(kernels, CurveForm::log_linear, FitWeighting::inverse_variance);
    EXPECT_EQ(fit->kernels, 3);
    EXPECT_EQ(fit->kernels_left_out, 1);
    EXPECT_EQ(fit_curve(kernels, CurveForm::log_linear)->kernels, 4);
}

TEST(FitCurve, IsEmptyWhereTheFormCannotBeFitted) {
    std::array const one{kernel(1e6, 0.2)};
    EXPECT_FALSE(fit_curve(one, CurveForm::log_linear));
    EXPECT_FALSE(fit_curve({}, CurveForm::piecewise_linear));
    // The line of least squares through these is negative at the smallest.
    std::array const steep{kernel(1e6, 0.01), kernel(1e7, 0.01), kernel(1e8, 0.01),
                           kernel(1e9, 0.9)};
    EXPECT_FALSE(fit_curve(steep, CurveForm::log_linear, FitWeighting::inverse_variance));
}

TEST(FitCurve, ForcesNoMonotonicity) {
    std::vector<KernelEfficiency> kernels;
    for (double const work : {1.1e6, 2e6, 1.1e7, 2e7, 1.1e8, 2e8}) {
        kernels.push_back(kernel(work, work > 1e7 && work < 1e8 ? 0.8 : 0.3));
    }
    auto const fit = fit_curve(kernels, CurveForm::piecewise_linear);
    EXPECT_GT(fit->parameters[1], 0.7);
    EXPECT_LT(fit->parameters[2], 0.4);
}

TEST(FitCurve, DoesNotDependOnTheOrderOfKernels) {
    auto kernels = golden_kernels();
    auto const before = fit_all_curves(kernels);
    std::mt19937_64 random{5};
    std::ranges::shuffle(kernels, random);
    auto const after = fit_all_curves(kernels);
    ASSERT_EQ(before.size(), after.size());
    ASSERT_EQ(before.size(), 9u);
    for (std::size_t i = 0; i < before.size(); ++i) {
        EXPECT_EQ(before[i].parameters, after[i].parameters);
        EXPECT_EQ(before[i].packed_covariance, after[i].packed_covariance);
    }
}

// ---------------------------------------------------------------------------------------------
// scipy and statsmodels

class GoldenFit : public testing::TestWithParam<int> {};

TEST_P(GoldenFit, AgreesInParametersAndCovariance) {
    auto const& expected = golden().at("fits").at(static_cast<std::size_t>(GetParam()));
    auto const form = *std::ranges::find(all_curve_forms, expected.at("form").get<std::string>(),
                                         [](CurveForm f) { return to_string(f); });
    auto const weighting =
        *std::ranges::find(all_fit_weightings, expected.at("weighting").get<std::string>(),
                           [](FitWeighting w) { return to_string(w); });

    auto const fit = fit_curve(golden_kernels(), form, weighting).value();

    auto const parameters = expected.at("parameters").get<std::vector<double>>();
    ASSERT_EQ(fit.parameters.size(), parameters.size());
    // scipy's own minimum of a nonlinear problem is good to about 8 digits.
    double const tolerance = 1e-6;
    for (std::size_t row = 0; row < parameters.size(); ++row) {
        EXPECT_NEAR(fit.parameters[row], parameters[row], tolerance * std::abs(parameters[row]));
        double const variance = expected["covariance"][row][row];
        for (std::size_t column = 0; column <= row; ++column) {
            double const covariance = expected["covariance"][row][column];
            double const scale =
                std::sqrt(variance * expected["covariance"][column][column].template get<double>());
            EXPECT_NEAR(fit.packed_covariance[packed_index(row, column)], covariance,
                        20 * tolerance * scale);
        }
    }
    EXPECT_NEAR(fit.chi_squared, expected["chi_squared"],
                tolerance * expected["chi_squared"].get<double>());
    if (!expected["tau"].is_null()) {
        EXPECT_NEAR(fit.tau.value(), expected["tau"], tolerance);
    }
}

INSTANTIATE_TEST_SUITE_P(Scipy, GoldenFit, testing::Range(0, 8));

TEST(BandAt, ConfidenceIsStatsmodelsErrorOfTheMean) {
    auto const& expected = golden().at("weighted_line_at");
    auto const fit =
        fit_curve(golden_kernels(), CurveForm::log_linear, FitWeighting::inverse_variance).value();
    double const work = std::pow(10, expected.at("log10_work").get<double>());

    auto const band = band_at(fit, work).value();

    double const efficiency = expected.at("efficiency");
    double const log_half_width =
        expected.at("t").get<double>() * expected.at("standard_error").get<double>() / efficiency;
    EXPECT_NEAR(band.efficiency, efficiency, 1e-9);
    EXPECT_NEAR(std::log(band.confidence.upper / efficiency), log_half_width, 1e-7);
    EXPECT_NEAR(std::log(efficiency / band.confidence.lower), log_half_width, 1e-7);
    EXPECT_GT(band.prediction.upper, band.confidence.upper);
}

TEST(RandomEffects, OfOneBinIsStatsmodelsMetaAnalysis) {
    auto const& expected = golden().at("one_bin");
    std::vector<KernelEfficiency> kernels;
    for (std::size_t i = 0; i < expected.at("efficiency").size(); ++i) {
        kernels.push_back(kernel(2e6, expected["efficiency"][i]));
        kernels.back().standard_error = expected["standard_error"][i].get<double>();
    }

    auto const fit =
        fit_curve(kernels, CurveForm::piecewise_linear, FitWeighting::random_effects).value();

    EXPECT_NEAR(fit.parameters.at(0), expected["pooled_mean"], 1e-8);
    EXPECT_NEAR(std::pow(fit.tau.value() * fit.parameters[0], 2), expected["tau_squared"], 1e-9);
}

// ---------------------------------------------------------------------------------------------
// Properties

TEST(BandAt, PredictionCoversNewKernelsAtItsLevel) {
    std::mt19937_64 random{17};
    std::uniform_real_distribution<double> log_work{5, 9};
    std::normal_distribution<double> scatter{0, 0.2};
    auto const draw = [&] {
        double const x = log_work(random);
        double const curve = 0.8 / (1 + std::exp(-1.5 * (x - 7)));
        return kernel(std::pow(10, x), curve * std::exp(scatter(random)));
    };
    int covered = 0;
    int drawn = 0;
    for (int trial = 0; trial < 40; ++trial) {
        std::vector<KernelEfficiency> kernels;
        for (int i = 0; i < 25; ++i) kernels.push_back(draw());
        auto const fit = fit_curve(kernels, CurveForm::sigmoid);
        if (!fit) continue;
        for (int i = 0; i < 50; ++i) {
            auto const unseen = draw();
            covered += band_at(*fit, unseen.work)->prediction.contains(unseen.efficiency) ? 1 : 0;
            ++drawn;
        }
    }
    ASSERT_GT(drawn, 1500);
    double const coverage = static_cast<double>(covered) / drawn;
    EXPECT_GT(coverage, 0.93);  // nominal 0.95; sd of this estimate with shared fits ~0.006
    EXPECT_LT(coverage, 0.97);
}

TEST(LeaveOneModelOut, JudgesByKernelsThatOtherModelsDoNotShare) {
    std::array const alike{kernel(1e6, 0.2, 0.01, "a"), kernel(1e6, 0.2, 0.01, "b")};
    EXPECT_NEAR(
        leave_one_model_out_error(alike, CurveForm::piecewise_linear, FitWeighting::log_error)
            .value(),
        0, 1e-12);
    std::array const apart{kernel(1e6, 0.2, 0.01, "a"), kernel(1e6, 0.4, 0.01, "b")};
    EXPECT_NEAR(
        leave_one_model_out_error(apart, CurveForm::piecewise_linear, FitWeighting::log_error)
            .value(),
        std::log(2.0), 1e-9);
    EXPECT_FALSE(leave_one_model_out_error(std::span{apart}.first(1), CurveForm::piecewise_linear,
                                           FitWeighting::log_error));
}

KernelEfficiency efficiency_of(double work, double efficiency) {
    return {.work = work,
            .efficiency = efficiency,
            .observations = 10,
            .models = {"m"},
            .source_subgraphs = {"m/1/" + std::to_string(work)}};
}

// Knots lie at their bins' mean work. Three kernels fall steeply from 0.9 to 0.01 inside the two
// bins of 1M to 10M: the line through them is above zero at each kernel and below it at its last
// knot, which no kernel is at.
TEST(CurveFit, AFormThatNeedsANegativeEfficiencyIsAbsent) {
    int absent = 0;
    int present = 0;
    std::mt19937_64 random{2};
    std::uniform_real_distribution<double> uniform;
    for (int i = 0; i < 300; ++i) {
        std::vector<KernelEfficiency> kernels;
        for (int k = 0; k < 7; ++k) {
            kernels.push_back(efficiency_of(std::pow(10, 6 + 2 * uniform(random)),
                                            std::exp(-6 * uniform(random))));
        }
        for (auto const weighting : all_fit_weightings) {
            auto const fit = fit_curve(kernels, CurveForm::piecewise_linear, weighting);
            if (!fit) {
                ++absent;
                continue;
            }
            ++present;
            auto const& knots = std::get<PiecewiseLinear>(fit->curve);
            EXPECT_GT(std::ranges::min(knots.efficiency), 0) << i;
        }
    }
    EXPECT_GT(absent, 10);
    EXPECT_GT(present, 10);
}

}  // namespace
}  // namespace derate
