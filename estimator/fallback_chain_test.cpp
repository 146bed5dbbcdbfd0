#include "estimator/fallback_chain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "estimator/default_calibration.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"
#include "storage/measurement_json.hpp"
#include "storage/registry.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

fs::path const registry = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";

Measurement const& resnet18() {
    static auto const measurement = measurement_from_json(
        read_json(fs::path{DERATE_SOURCE_DIR} / "docs/examples/resnet18_orin.json"),
        "resnet18_orin.json");
    return measurement;
}

std::vector<Subgraph> subgraphs() {
    std::vector<Subgraph> all;
    for (auto const& measured : resnet18().subgraphs) all.push_back(measured.subgraph);
    return all;
}

std::vector<Calibration> shipped(char const* hardware, CalibrationRequest const& request = {}) {
    std::vector const roots{registry};
    std::vector<Calibration> chain;
    for (auto& registered : calibrations_for(find_hardware(hardware, roots), request)) {
        chain.push_back(std::move(registered.calibration));
    }
    return chain;
}

Calibration default_file(char const* kind) {
    auto const path = registry / "defaults" / kind / "efficiency_curves.json";
    return calibration_from_json(read_json(path), path.string());
}

ChainEstimate price(std::vector<Calibration> const& chain,
                    std::optional<Hardware> const& hardware = {},
                    Precision precision = Precision::fp32) {
    return FallbackChain{chain, hardware, precision}.estimate(subgraphs(), "foreign");
}

/// A calibration of one type, everything else unknown to it.
Calibration conv_only() {
    Calibration calibration{.hardware_id = "x",
                            .condition = {.partition = "foreign", .flop_rule = "foreign"}};
    EfficiencyCurve curve{.type = OperationType::conv2d, .log_variance = 0.01};
    curve.fitted_curve = FittedCurve{.form = AdditiveRoofline{.kernel_seconds = 1e-6,
                                                              .flop_coefficient = 1e-12,
                                                              .byte_coefficient = 1e-11}};
    calibration.curves = {curve};
    calibration.intervals = {
        .model_log_variance = 0.01, .degrees_of_freedom = 9, .t_quantile = 2.26};
    return calibration;
}

TEST(FallbackChain, HardwareWithLegacyRulesOnlySaysSo) {
    auto const estimate = price(shipped("jetson_orin_agx"));
    EXPECT_NEAR(estimate.total.latency_ms, 6.3466, 1e-4);
    EXPECT_FALSE(estimate.spread_known);
    EXPECT_EQ(estimate.source(), CurveSource::legacy_hardcoded);
    for (auto const& subgraph : estimate.subgraphs) {
        EXPECT_EQ(subgraph.source, CurveSource::legacy_hardcoded);
    }
    ASSERT_EQ(estimate.warnings.size(), 1U);
    EXPECT_THAT(estimate.warnings[0].text, HasSubstr("32 of 32 subgraphs (conv2d, "));
    EXPECT_THAT(estimate.warnings[0].text, HasSubstr("deprecated"));
    EXPECT_THAT(estimate.warnings[0].text,
                HasSubstr("derate calibrate --hardware-name jetson_orin_agx --precision fp32"));
}

TEST(FallbackChain, HardwareWithNothingGetsTheDefaultAndAWideInterval) {
    auto const estimate = price({default_file("gpu")});
    EXPECT_EQ(estimate.source(), CurveSource::conservative_default);
    EXPECT_TRUE(estimate.spread_known);
    EXPECT_GT(estimate.total.ci_95_upper_ms / estimate.total.latency_ms, 4);
    EXPECT_LT(estimate.total.ci_95_upper_ms / estimate.total.latency_ms, 20);
    ASSERT_EQ(estimate.warnings.size(), 1U);
    EXPECT_THAT(estimate.warnings[0].text, HasSubstr("conservative default"));
    EXPECT_THAT(estimate.warnings[0].text, HasSubstr("derate calibrate"));
}

TEST(FallbackChain, TheDefaultIsTheFilesFractionsOfTheHardwaresPeaks) {
    Hardware const hardware{.id = "x",
                            .compute_peaks = {{Precision::fp32, std::nullopt, {.per_second = 1e12}}},
                            .bandwidth_peaks = {{std::nullopt, {.per_second = 1e11}}}};
    auto file = default_file("gpu");
    auto const& rule = file.default_rules->rules.at("conv");
    Subgraph const conv{.type = OperationType::conv2d,
                        .nodes = {{.name = "c", .op = "conv2d"}},
                        .work = Flops{1e9},
                        .traffic = {.input = Bytes{1e6}}};
    double const median = rule.kernel_seconds + 1e9 / (rule.compute_efficiency * 1e12) +
                          1e6 / (rule.bandwidth_efficiency * 1e11);
    FallbackChain const chain{std::vector{file}, hardware, Precision::fp32};
    auto const estimate = chain.estimate(std::vector{conv}, "derate_1");
    EXPECT_NEAR(estimate.total.latency_ms, 1e3 * median * std::exp(rule.log_variance / 2), 1e-9);
}

TEST(FallbackChain, TheDefaultCoversTheMeasuredModel) {
    double measured_ms = 0;
    for (auto const& measured : resnet18().subgraphs) measured_ms += measured.isolated->center_ms;
    auto const estimate = price({default_file("gpu")}, resnet18().hardware);
    EXPECT_LT(estimate.total.ci_95_lower_ms, measured_ms);
    EXPECT_GT(estimate.total.ci_95_upper_ms, measured_ms);
}

/// One convolution of 1 us, whose log variance is `log_variance`, by a type's curve or its
/// parent's.
ChainEstimate of_one_kernel(double log_variance, bool by_parent, bool unseen_regime = false) {
    auto calibration = conv_only();
    auto& curve = calibration.curves.front();
    curve.log_variance = log_variance;
    if (unseen_regime) curve.regimes = {"gru"};
    calibration.intervals.model_log_variance = 0;
    calibration.intervals.t_quantile = 2;
    calibration.intervals.variance_factor = 0.1;
    if (by_parent) {
        calibration.parent_curves.emplace("conv", curve);
        calibration.curves.clear();
    }
    Subgraph const conv{.type = OperationType::conv2d,
                        .nodes = {{.name = "c", .op = "conv2d"}},
                        .work = Flops{1},
                        .traffic = {.input = Bytes{1}}};
    FallbackChain const chain{std::vector{calibration}, std::nullopt, Precision::fp32};
    return chain.estimate(std::vector{conv}, "foreign");
}

TEST(FallbackChain, AnIntervalThatNobodyCanUseIsNotKnown) {
    // exp(2 sqrt(v)) is 10 at v = (log(10) / 2)^2 = 1.3255, and 3 at 0.3017.
    EXPECT_TRUE(of_one_kernel(1.32, false).spread_known);
    EXPECT_FALSE(of_one_kernel(1.33, false).spread_known);
    EXPECT_TRUE(of_one_kernel(0.30, true).spread_known);
    EXPECT_FALSE(of_one_kernel(0.31, true).spread_known);
    EXPECT_TRUE(of_one_kernel(0.31, false).spread_known);
    auto const endless = of_one_kernel(1e4, false);
    EXPECT_FALSE(endless.spread_known);
    ASSERT_EQ(endless.warnings.size(), 1U);
    EXPECT_EQ(endless.warnings[0].text,
              "the interval is not known: the time may be wrong by more than a factor of 10 "
              "either way.");
    EXPECT_FALSE(endless.total.efficiency_std);
    EXPECT_NEAR(endless.total.latency_ms, 1e-3, 1e-7);
}

// mobilenet_v2 at batch 8 on a Xeon: 133 ms with both of malloc's thresholds set, 214 to 256 with
// neither, where models of batch 1 had shown 2 % between the two.
TEST(FallbackChain, LargerTensorsThanItsFactorWasMadeOfAreNotKnown) {
    auto calibration = conv_only();
    calibration.context = {.factor = 1.02, .relative_std = 0.03, .models = 14,
                           .largest_output_bytes = 100};
    FallbackChain const chain{std::vector{calibration}, std::nullopt, Precision::fp32};
    auto const estimate_of = [&](double bytes, EstimateOf what) {
        Subgraph const conv{.type = OperationType::conv2d,
                            .nodes = {{.name = "c", .op = "conv2d"}},
                            .work = Flops{1},
                            .traffic = {.output = Bytes{bytes}}};
        return chain.estimate(std::vector{conv}, "foreign", what);
    };
    EXPECT_TRUE(estimate_of(100, EstimateOf::whole_model).spread_known);
    auto const larger = estimate_of(110, EstimateOf::whole_model);
    EXPECT_FALSE(larger.spread_known);
    ASSERT_EQ(larger.warnings.size(), 1U);
    EXPECT_THAT(larger.warnings[0].text, HasSubstr("larger tensors"));
    EXPECT_TRUE(estimate_of(110, EstimateOf::sum_of_parts).spread_known);
}

TEST(FallbackChain, NamesAModelMuchSmallerThanThoseCalibratedOn) {
    auto calibration = conv_only();
    calibration.context = {
        .factor = 1.02, .relative_std = 0.03, .models = 14, .least_model_bytes = 1000};
    FallbackChain const chain{std::vector{calibration}, std::nullopt, Precision::fp32};
    auto const warnings_of = [&](double bytes, EstimateOf what) {
        Subgraph const conv{.type = OperationType::conv2d,
                            .nodes = {{.name = "c", .op = "conv2d"}},
                            .work = Flops{1},
                            .traffic = {.output = Bytes{bytes}}};
        return chain.estimate(std::vector{conv}, "foreign", what).warnings;
    };
    EXPECT_TRUE(warnings_of(1000, EstimateOf::whole_model).empty());
    EXPECT_TRUE(warnings_of(510, EstimateOf::whole_model).empty());
    auto const told = warnings_of(100, EstimateOf::whole_model);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].code, WarningCode::small_model);
    EXPECT_THAT(told[0].text,
                HasSubstr("100 B in a run, the smallest that was calibrated on 1000 B"));
    EXPECT_TRUE(warnings_of(100, EstimateOf::sum_of_parts).empty());
}

// A GRU of 100 steps took 1.106 ms where the curve of linear layers said 0.053 (torch 2.15.0, Xeon):
// a deviation of a factor e, enough for other unseen regimes, left it outside.
TEST(FallbackChain, ARecurrentLayerThatNothingShowsIsNotKnown) {
    auto calibration = conv_only();
    auto& curve = calibration.curves.front();
    curve.type = OperationType::linear;
    curve.regimes = {"plain"};
    calibration.intervals.unseen_regime_log_variance = 1;
    calibration.intervals.t_quantile = 2.16;
    FallbackChain const chain{std::vector{calibration}, std::nullopt, Precision::fp32};
    auto const estimate_of = [&](char const* op) {
        Subgraph const layer{.type = OperationType::linear,
                             .nodes = {{.name = "l", .op = op}},
                             .work = Flops{1},
                             .traffic = {.input = Bytes{1}}};
        return chain.estimate(std::vector{layer}, "foreign");
    };
    EXPECT_TRUE(estimate_of("linear").spread_known);
    for (auto const* op : {"gru", "lstm", "rnn_tanh", "linalg_qr"}) {
        EXPECT_FALSE(estimate_of(op).spread_known) << op;
    }
}

TEST(FallbackChain, AModelMostlyUnseenSaysSo) {
    auto const seen = of_one_kernel(0.01, false);
    EXPECT_EQ(seen.unseen_share, 0);
    EXPECT_TRUE(seen.warnings.empty());
    for (auto const& estimate : {of_one_kernel(0.01, true), of_one_kernel(0.01, false, true)}) {
        EXPECT_EQ(estimate.unseen_share, 1);
        ASSERT_EQ(estimate.warnings.size(), 1U);
        EXPECT_THAT(estimate.warnings[0].text,
                    HasSubstr("100 % of the time is of kernels that no calibration case shows ("));
    }
    EXPECT_THAT(of_one_kernel(0.01, true).warnings[0].text, HasSubstr("(conv2d)"));
    EXPECT_THAT(of_one_kernel(0.01, false, true).warnings[0].text, HasSubstr("(plain)"));
}

TEST(FallbackChain, EachTypeTakesTheFirstCalibrationThatHasIt) {
    auto const estimate = price({conv_only(), default_file("gpu")});
    int convolutions = 0;
    for (std::size_t i = 0; i < estimate.subgraphs.size(); ++i) {
        bool const is_conv = subgraphs()[i].type == OperationType::conv2d;
        convolutions += is_conv ? 1 : 0;
        EXPECT_EQ(estimate.subgraphs[i].subgraph_id, subgraphs()[i].id);
        EXPECT_EQ(estimate.subgraphs[i].source,
                  is_conv ? CurveSource::measured : CurveSource::conservative_default);
    }
    ASSERT_EQ(estimate.shares.size(), 2U);
    EXPECT_EQ(estimate.shares[0].subgraphs, convolutions);
    EXPECT_DOUBLE_EQ(estimate.shares[0].latency_ms + estimate.shares[1].latency_ms,
                     estimate.total.latency_ms);
    ASSERT_EQ(estimate.warnings.size(), 1U);
    EXPECT_THAT(estimate.warnings[0].text, testing::Not(HasSubstr("conv2d,")));
}

TEST(FallbackChain, WidthsOfMixedSourcesAddUp) {
    auto const mixed = price({conv_only(), default_file("gpu")});
    auto const default_only = price({default_file("gpu")});
    double const log_width = std::log(mixed.total.ci_95_upper_ms / mixed.total.latency_ms);
    EXPECT_GT(log_width, 0);
    EXPECT_LT(log_width,
              std::log(default_only.total.ci_95_upper_ms / default_only.total.latency_ms));
    EXPECT_NEAR(std::log(mixed.total.latency_ms / mixed.total.ci_95_lower_ms), log_width, 1e-12);
}

TEST(FallbackChain, SharesOfTheVarianceOfMixedSourcesAreOfTheirWidth) {
    std::vector<Calibration> chain{conv_only(), default_file("cpu")};
    chain.front().intervals.model_log_variance = 0;
    chain.back().default_rules->model_log_variance = 0;
    auto const mixed = price(chain);
    double convolutions = 0;
    double all = 0;
    for (auto const& part : mixed.subgraphs) {
        all += *part.variance_share;
        if (part.source == CurveSource::measured) convolutions += *part.variance_share;
    }
    EXPECT_NEAR(all, 1, 1e-9);
    EXPECT_GT(convolutions, 0);
    EXPECT_LT(convolutions, mixed.shares.front().latency_ms / mixed.total.latency_ms)
        << "the default is the wider one";
}

TEST(FallbackChain, OneLegacyKernelLeavesTheTotalsSpreadUnknown) {
    auto legacy = shipped("jetson_orin_agx", {.only = CurveSource::legacy_hardcoded});
    auto const estimate = price({conv_only(), legacy.front()});
    EXPECT_FALSE(estimate.spread_known);
    EXPECT_EQ(estimate.total.latency_std_ms, 0);
    EXPECT_GT(estimate.total.latency_ms, estimate.shares[0].latency_ms);
}

TEST(FallbackChain, AMeasuredCalibrationAloneWarnsOfNothing) {
    auto calibration = conv_only();
    calibration.parent_curves.emplace("device", calibration.curves.front());
    auto const estimate = price({calibration, default_file("gpu")});
    EXPECT_THAT(estimate.warnings, IsEmpty());
    EXPECT_EQ(estimate.shares.size(), 1U);
}

/// Multiplies every number of a document that is not a count or a threshold by 1.7.
void doctor(nlohmann::json& value, std::string const& key) {
    if (value.is_structured()) {
        for (auto const& [name, member] : value.items()) {
            doctor(value.is_array() ? value[std::stoul(name)] : value[name],
                   value.is_array() ? key : name);
        }
        return;
    }
    for (auto const* changed : {"compute_efficiency", "bandwidth_efficiency", "kernel_seconds",
                                "start", "end", "microseconds"}) {
        if (key == changed) value = value.get<double>() * 1.7;
    }
}

TEST(FallbackChain, EveryAnswerComesFromData) {  // a literal in the code would not move
    for (auto const& file : {registry / "defaults/gpu/efficiency_curves.json",
                             registry / "defaults/cpu/efficiency_curves.json",
                             registry / "gpu/jetson_orin_agx/efficiency_curves.json",
                             registry / "cpu/i7-12700K/legacy_curves.json"}) {
        auto document = read_json(file);
        auto const before = price({calibration_from_json(document, "before")});
        doctor(document, "");
        auto const after = price({calibration_from_json(document, "after")});
        ASSERT_EQ(before.subgraphs.size(), after.subgraphs.size());
        for (std::size_t i = 0; i < before.subgraphs.size(); ++i) {
            EXPECT_NE(before.subgraphs[i].latency_ms, after.subgraphs[i].latency_ms)
                << file << " subgraph " << i;
        }
    }
}

TEST(FallbackChain, RoundTripThroughAFileKeepsTheLatency) {
    for (auto const& calibration : {shipped("jetson_orin_agx").front(), default_file("cpu")}) {
        auto const again =
            calibration_from_json(parse_json(pretty_json(to_json(calibration)), "again"), "again");
        EXPECT_EQ(price({again}).total.latency_ms, price({calibration}).total.latency_ms);
    }
}

TEST(FallbackChain, AModelThatCallsNothingCostsNothingAndBlamesNobody) {
    for (auto const& file : {registry / "defaults/cpu/efficiency_curves.json",
                             registry / "gpu/jetson_orin_agx/efficiency_curves.json",
                             registry / "cpu/i7-12700K/legacy_curves.json"}) {
        std::vector const calibrations{calibration_from_json(read_json(file), file.string())};
        auto const nothing =
            FallbackChain{calibrations, std::nullopt, Precision::fp32}.estimate({}, "derate_1");
        EXPECT_EQ(nothing.total.latency_ms, 0);
        EXPECT_EQ(nothing.total.ci_95_upper_ms, 0);
        EXPECT_TRUE(nothing.spread_known);
        EXPECT_TRUE(nothing.shares.empty());
        EXPECT_FALSE(nothing.source());
        EXPECT_TRUE(nothing.warnings.empty());
    }
}

TEST(FallbackChain, RefusesAChainThatCannotPrice) {
    EXPECT_THROW((void)price({conv_only()}), InputError);
}

Subgraph kernel_of(OperationType type, double flops) {
    return {.type = type,
            .nodes = {{.name = "n", .op = "n"}},
            .work = Flops{flops},
            .traffic = {.output = Bytes{1e6}}};
}

// A calibration that has no curve of a kernel's type, parent or device has none of it: its first
// curve is another type's.
TEST(CompiledCalibration, PricesNothingByACurveOfAnotherKind) {
    CompiledCalibration const conv{conv_only()};
    EXPECT_TRUE(conv.prices(OperationType::conv2d, false));
    EXPECT_FALSE(conv.prices(OperationType::conv2d, true));
    EXPECT_FALSE(conv.prices(OperationType::pool, false));
    EXPECT_THROW((void)predict_kernel(conv, kernel_of(OperationType::pool, 1e6)),
                 std::invalid_argument);
    EXPECT_GT(predict_kernel(conv, kernel_of(OperationType::conv2d, 1e6)).median_seconds, 0);

    FallbackChain const alone{std::vector{conv_only()}, {}, Precision::fp32};
    try {
        (void)alone.estimate(std::vector{kernel_of(OperationType::pool, 0)}, "foreign");
        FAIL() << "priced";
    } catch (InputError const& error) {
        EXPECT_STREQ(
            error.what(),
            "calibration of x: no curve prices kernels of type pool (a curve of that type, "
            "of its parent or of the device)");
    }
    // The next best source prices what the best cannot, and says so.
    FallbackChain const chain{std::vector{conv_only(), default_file("gpu")}, {}, Precision::fp32};
    auto const estimate = chain.estimate(
        std::vector{kernel_of(OperationType::conv2d, 1e6), kernel_of(OperationType::conv2d, 0),
                    kernel_of(OperationType::pool, 1e6)},
        "foreign");
    ASSERT_EQ(estimate.shares.size(), 2U);
    EXPECT_EQ(estimate.shares[0].subgraphs, 1);
    EXPECT_EQ(estimate.shares[1].subgraphs, 2);
    EXPECT_THAT(texts_of(estimate.warnings), testing::Contains(HasSubstr("2 of 3 subgraphs (conv2d, pool)")));
}

TEST(CompiledCalibration, FallsBackToParentThenDeviceEachWithOrWithoutFlops) {
    auto calibration = conv_only();
    auto const curve = [&](double kernel_seconds) {
        auto other = calibration.curves.front();
        other.fitted_curve =
            FittedCurve{.form = AdditiveRoofline{.kernel_seconds = kernel_seconds}};
        return other;
    };
    auto const seconds = [&](OperationType type, double flops) {
        return predict_kernel(CompiledCalibration{calibration}, kernel_of(type, flops))
            .roofline_seconds;
    };
    calibration.parent_curves.emplace("device", curve(1));
    EXPECT_EQ(seconds(OperationType::pool, 1e6), 1);
    calibration.parent_curves.emplace("memory", curve(2));
    EXPECT_EQ(seconds(OperationType::pool, 1e6), 2);
    EXPECT_EQ(seconds(OperationType::pool, 0), 2);
    EXPECT_EQ(seconds(OperationType::linear, 1e6), 1);
    calibration.parent_curves.emplace("memory|0", curve(3));
    EXPECT_EQ(seconds(OperationType::pool, 1e6), 2);
    EXPECT_EQ(seconds(OperationType::pool, 0), 3);
    EXPECT_EQ(seconds(OperationType::conv2d, 0), 1);
}

}  // namespace
}  // namespace derate
