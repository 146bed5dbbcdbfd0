#include "calibration/additive_roofline.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "statistics/sample_summary.hpp"

namespace derate {
namespace {

RooflineRow row(OperationType type, double kernels, double flops, double bytes, double seconds) {
    return {
        .type = type,
        .zero_flop = flops == 0,
        .terms = {.kernels = kernels, .flops = flops, .bytes = bytes, .activation_bytes = bytes},
        .seconds = seconds};
}

/// 3 us a kernel, 100 GFLOP/s, 20 GB/s, sizes over five decades.
std::vector<RooflineRow> exact_rows(OperationType type, int count) {
    std::mt19937 random{3};
    std::uniform_real_distribution<double> decade{0, 5};
    std::vector<RooflineRow> rows;
    for (int i = 0; i < count; ++i) {
        double const kernels = 1 + i % 3;
        double const flops = 1e4 * std::pow(10, decade(random));
        double const bytes = 1e3 * std::pow(10, decade(random));
        rows.push_back(
            row(type, kernels, flops, bytes, 3e-6 * kernels + flops / 100e9 + bytes / 20e9));
    }
    return rows;
}

AdditiveRoofline form_of(FittedCurve const& curve) {
    return std::get<AdditiveRoofline>(curve.form);
}

TEST(AdditiveRooflineFit, FindsTheCoefficientsThatMadeTheData) {
    auto const fits = fit_additive_rooflines(exact_rows(OperationType::conv2d, 400), {});
    auto const form = form_of(fits.types.at({OperationType::conv2d, false}));
    // The priors pull a little; 400 exact rows outweigh them.
    EXPECT_NEAR(form.kernel_seconds, 3e-6, 3e-8);
    EXPECT_NEAR(1 / form.flop_coefficient, 100e9, 1e9);
    EXPECT_NEAR(1 / form.byte_coefficient, 20e9, 0.2e9);
    EXPECT_GT(fits.types.at({OperationType::conv2d, false}).r_squared.value(), 0.9999);
}

/// One row t = 2 s of one kernel, nothing else. Along the kernel coefficient the device minimises
/// (log 2 - a)^2 / 0.09 + (a - log 1.2)^2 / 9 with centre 0.6 t.
TEST(AdditiveRooflineFit, WeighsPriorAgainstDataAsStated) {
    std::vector<RooflineRow> const rows{row(OperationType::meta, 1, 0, 0, 2.0)};
    auto const fits = fit_additive_rooflines(rows, {});
    double const centre = std::log(0.6 * 2);
    double const data = 1 / 0.09;
    double const prior = 1 / 9.0;
    double const device = (data * std::log(2.0) + prior * centre) / (data + prior);
    EXPECT_NEAR(std::log(form_of(fits.device).kernel_seconds), device, 1e-9);
    double const parent = (data * std::log(2.0) + device) / (data + 1);
    EXPECT_NEAR(std::log(form_of(fits.parents.at(ParentType::meta)).kernel_seconds), parent, 1e-9);
    double const type_prior = 1 / 0.49;
    double const type = (data * std::log(2.0) + type_prior * parent) / (data + type_prior);
    auto const& fitted = fits.types.at({OperationType::meta, true});
    EXPECT_NEAR(std::log(form_of(fitted).kernel_seconds), type, 1e-9);
    EXPECT_NEAR(fitted.parameter_covariance.front(), 1 / (data + type_prior), 1e-9);
    EXPECT_EQ(form_of(fitted).flop_coefficient, 0);
}

TEST(AdditiveRooflineFit, ShrinksATypeWithOneRowTowardsItsParent) {
    auto rows = exact_rows(OperationType::conv2d, 200);
    rows.push_back(row(OperationType::conv2d_grouped, 1, 1e9, 1e4, 10 * 1e9 / 100e9));
    auto const fits = fit_additive_rooflines(rows, {});
    double const fitted =
        1 / form_of(fits.types.at({OperationType::conv2d_grouped, false})).flop_coefficient;
    EXPECT_GT(fitted, 10e9);   // its own row says 10 GFLOP/s,
    EXPECT_LT(fitted, 100e9);  // its parent 100
}

TEST(AdditiveRooflineFit, ExponentsAndCacheTermBelongToTheShape) {
    std::vector<RooflineRow> rows;
    for (int i = 0; i < 300; ++i) {
        double const bytes = 1e5 * (i + 1);
        double const flops = 1e6 * (1 + i % 17);
        rows.push_back(row(OperationType::conv2d, 1, flops, bytes,
                           1e-5 + 2e-8 * std::sqrt(flops) + 3e-8 * std::sqrt(bytes) +
                               1e-10 * std::max(0.0, bytes - 1e7)));
    }
    auto const fits = fit_additive_rooflines(
        rows, {.flop_exponent = 0.5, .byte_exponent = 0.5, .last_level_cache_bytes = 1e7});
    auto const form = form_of(fits.types.at({OperationType::conv2d, false}));
    EXPECT_NEAR(form.cache_byte_seconds, 1e-10, 5e-12);
    EXPECT_EQ(form.last_level_cache_bytes, 1e7);
}

/// Half of the convolutions have something joined, at 5 GFLOP/s beside their 100; a type without any
/// is charged its parent's rate.
TEST(AdditiveRooflineFit, ChargesForWhatJoinedAtARateOfItsOwn) {
    auto rows = exact_rows(OperationType::conv2d, 400);
    for (std::size_t i = 0; i < rows.size(); i += 2) {
        rows[i].terms.joined_flops = 0.05 * rows[i].terms.flops;
        rows[i].seconds += rows[i].terms.joined_flops / 5e9;
    }
    auto const grouped = exact_rows(OperationType::conv2d_grouped, 30);
    rows.insert(rows.end(), grouped.begin(), grouped.end());
    auto const fits = fit_additive_rooflines(rows, {.joined_flops = true});
    auto const form = form_of(fits.types.at({OperationType::conv2d, false}));
    EXPECT_NEAR(1 / form.joined_flop_coefficient, 5e9, 0.1e9);
    EXPECT_NEAR(1 / form.flop_coefficient, 100e9, 2e9);
    auto const other = form_of(fits.types.at({OperationType::conv2d_grouped, false}));
    EXPECT_NEAR(1 / other.joined_flop_coefficient, 5e9, 0.2e9);
    auto const without = fit_additive_rooflines(rows, {});
    EXPECT_EQ(form_of(without.device).joined_flop_coefficient, 0);
}

struct SimulatedFits {
    double residual_variance = 0;  // mean of what is stated over the true one
    double covariance = 0;         // of the log FLOP coefficient, the same
};

SimulatedFits simulate_fits(int kernels, double scatter, int draws) {
    std::mt19937_64 random{23};
    std::normal_distribution<double> normal{0, scatter};
    auto const exact = exact_rows(OperationType::conv2d, kernels);
    SimulatedFits result;
    SampleSummary log_coefficients;
    for (int draw = 0; draw < draws; ++draw) {
        auto rows = exact;
        for (auto& one : rows) one.seconds *= std::exp(normal(random));
        auto const fits = fit_additive_rooflines(rows, {});
        auto const& curve = fits.types.at({OperationType::conv2d, false});
        result.residual_variance += std::pow(*curve.residual_std / scatter, 2) / draws;
        result.covariance += curve.parameter_covariance[2] / draws;  // of the second coefficient
        log_coefficients = merge(log_coefficients,
                                 {.count = 1, .mean = std::log(form_of(curve).flop_coefficient)});
    }
    result.covariance /= log_coefficients.variance().value();
    return result;
}

// Kernels scatter by what they do, not by the 0.3 that the fit weighs with. Fourteen rows, so that
// it shows how many of them the coefficients use up; with many rows the priors' part is small, and
// the covariance is that of the data.
TEST(AdditiveRooflineFit, ErrorsAreThoseOfTheResiduals) {
    for (double const scatter : {0.05, 0.1, 0.6}) {
        auto const few = simulate_fits(14, scatter, 400);
        RecordProperty("residual_variance_" + std::to_string(scatter),
                       std::to_string(few.residual_variance));
        EXPECT_NEAR(few.residual_variance, 1, 0.1) << scatter;
        auto const many = simulate_fits(200, scatter, 200);
        RecordProperty("covariance_" + std::to_string(scatter), std::to_string(many.covariance));
        EXPECT_GT(many.covariance, 0.65) << scatter;
        EXPECT_LT(many.covariance, 1.6) << scatter;
    }
}

// With no row of FLOPs the data say nothing of their coefficient: its variance is the prior's, in
// the type's fit 0.7^2, whatever the residuals are.
TEST(AdditiveRooflineFit, WhatHasNoRowsIsKnownAsThePriorSays) {
    std::vector<RooflineRow> rows;
    for (int i = 0; i < 6; ++i) {
        double const bytes = 1e4 * std::pow(10, i);
        rows.push_back(row(OperationType::copy, 1, 0, bytes, (2e-6 + bytes / 1e10) * (1 + i % 2)));
    }
    auto const fits = fit_additive_rooflines(rows, {});
    auto const& curve = fits.types.at({OperationType::copy, true});
    EXPECT_NEAR(curve.parameter_covariance.at(2), 0.49, 1e-9);
    EXPECT_LT(curve.parameter_covariance.at(0), 0.49);
    // One row leaves nothing to judge by: then it counts as the fit weighs it.
    auto const one = fit_additive_rooflines(std::vector{rows[0]}, {});
    EXPECT_FALSE(one.types.begin()->second.residual_std);
    EXPECT_NEAR(one.types.begin()->second.parameter_covariance.at(2), 0.49, 1e-9);
}

}  // namespace
}  // namespace derate
