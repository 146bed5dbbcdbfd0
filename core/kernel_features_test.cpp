#include "core/kernel_features.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace derate {
namespace {

/// 1x1 convolution of 16 to 96 channels on 112 x 112 positions.
SubgraphNode convolution() {
    return {.name = "conv",
            .op = "conv2d",
            .input_shape = {1, 16, 112, 112},
            .output_shape = {1, 96, 112, 112},
            .attributes = {{"in_channels", 16.0},
                           {"out_channels", 96.0},
                           {"kernel", std::vector<double>{1, 1}},
                           {"stride", 1.0},
                           {"groups", 1.0}}};
}

SubgraphNode joined(std::string op) {
    return {.name = op,
            .op = op,
            .input_shape = {1, 96, 112, 112},
            .output_shape = {1, 96, 112, 112},
            .attributes = {}};
}

constexpr double outputs = 96.0 * 112 * 112;
constexpr double convolution_flops = 2 * outputs * 16;

Subgraph subgraph(OperationType type, std::vector<SubgraphNode> nodes, double flops) {
    return {.type = type, .nodes = std::move(nodes), .work = Flops{flops}, .traffic = {}};
}

TEST(RooflineTerms, CountsWhatJoinedAConvolutionApart) {
    auto const with_silu =
        subgraph(OperationType::conv2d_pointwise,
                 {convolution(), joined("batch_norm"), joined("silu_")},
                 convolution_flops + 7 * outputs);  // 2 for the norm, 5 for SiLU
    auto const terms = roofline_terms(with_silu);
    EXPECT_EQ(terms.kernels, 3);
    EXPECT_EQ(terms.flops, convolution_flops + 7 * outputs);
    EXPECT_EQ(terms.joined_flops, 7 * outputs);
    EXPECT_EQ(roofline_terms(subgraph(OperationType::conv2d_pointwise, {convolution()},
                                      convolution_flops))
                  .joined_flops,
              0);
}

TEST(RooflineTerms, CountsWhatJoinedAProductApart) {
    SubgraphNode const linear{.name = "linear",
                              .op = "linear",
                              .input_shape = {197, 768},
                              .output_shape = {197, 3072},
                              .attributes = {{"m", 197.0}, {"n", 3072.0}, {"k", 768.0}}};
    double const product = 2.0 * 197 * 3072 * 768;
    double const gelu = 8.0 * 197 * 3072;
    EXPECT_EQ(roofline_terms(subgraph(OperationType::linear, {linear}, product + gelu)).joined_flops,
              gelu);
}

TEST(RooflineTerms, KnowsOfNothingJoinedWhereTheRuleCountsTheConvolutionAlone) {
    // As many imported files do.
    auto const foreign = subgraph(OperationType::conv2d_pointwise,
                                  {convolution(), joined("BatchNorm2d")}, convolution_flops);
    EXPECT_EQ(roofline_terms(foreign).joined_flops, 0);
    auto transposed = convolution();
    transposed.attributes["transposed"] = true;  // its work goes by input positions
    EXPECT_EQ(roofline_terms(subgraph(OperationType::conv2d, {transposed}, 9 * convolution_flops))
                  .joined_flops,
              0);
    EXPECT_EQ(roofline_terms(subgraph(OperationType::activation, {joined("silu")}, 5 * outputs))
                  .joined_flops,
              0);
}

TEST(ShapeFeatures, AreLogarithmsOfAConvolutionsSizes) {
    auto const features = shape_features(
        subgraph(OperationType::conv2d_pointwise, {convolution()}, convolution_flops));
    auto const names = feature_names(FeatureGroup::convolution);
    auto const of = [&](std::string_view name) {
        return features[static_cast<std::size_t>(std::ranges::find(names, name) - names.begin())];
    };
    EXPECT_DOUBLE_EQ(of("in_channels_per_group"), std::log(16));
    EXPECT_DOUBLE_EQ(of("out_channels"), std::log(96));
    EXPECT_DOUBLE_EQ(of("output_positions"), std::log(112 * 112));
    EXPECT_EQ(of("kernel_area"), 0);
    EXPECT_EQ(of("groups"), 0);
}

TEST(ShapeFeatures, TellABatchFromPositions) {
    // 8 items of 14 x 14 positions are as many as one of 28 x 56, and other kernels.
    auto eight = convolution();
    eight.input_shape = {8, 16, 14, 14};
    eight.output_shape = {8, 96, 14, 14};
    auto one = convolution();
    one.input_shape = {1, 16, 28, 56};
    one.output_shape = {1, 96, 28, 56};
    auto const features_of = [](SubgraphNode const& node) {
        return shape_features(subgraph(OperationType::conv2d_pointwise, {node}, 1));
    };
    auto const of_eight = features_of(eight);
    auto const of_one = features_of(one);
    ASSERT_EQ(feature_names(FeatureGroup::convolution).back(), items_feature);
    EXPECT_EQ(of_eight[2], of_one[2]);
    EXPECT_DOUBLE_EQ(of_eight.back(), std::log(8));
    EXPECT_EQ(of_one.back(), 0);
    auto relu = joined("relu");
    relu.input_shape = relu.output_shape = {4, 96, 7, 7};
    ASSERT_EQ(feature_names(FeatureGroup::memory).back(), items_feature);
    EXPECT_DOUBLE_EQ(shape_features(subgraph(OperationType::activation, {relu}, 1)).back(),
                     std::log(4));
    // A list of numbers is no batch of items.
    relu.input_shape = relu.output_shape = {4096};
    EXPECT_EQ(shape_features(subgraph(OperationType::activation, {relu}, 1)).back(), 0);
}

TEST(RegimeOf, NamesWhatNoSizeSays) {
    auto node = convolution();
    EXPECT_EQ(regime_of(subgraph(OperationType::conv2d_pointwise, {node}, 1)), "plain");
    node.attributes["layout"] = std::string{"channels_last"};
    EXPECT_EQ(regime_of(subgraph(OperationType::conv2d_pointwise, {node}, 1)), "channels_last");
    node.attributes["groups"] = node.attributes["in_channels"];
    EXPECT_EQ(regime_of(subgraph(OperationType::conv2d_depthwise, {node}, 1)),
              "channel multiplier, depthwise 1x1, channels_last");
    EXPECT_EQ(regime_of(subgraph(OperationType::activation, {joined("silu_")}, 1)), "silu");
    EXPECT_EQ(regime_of(subgraph(OperationType::linear, {joined("lstm")}, 1)), "lstm");
    EXPECT_EQ(regime_of(subgraph(OperationType::linear, {joined("gru_cell")}, 1)), "gru_cell");
    EXPECT_TRUE(is_unlike_products(subgraph(OperationType::linear, {joined("gru_cell")}, 1)));
    EXPECT_FALSE(is_unlike_products(subgraph(OperationType::linear, {joined("addmm_")}, 1)));
    EXPECT_FALSE(is_unlike_products(subgraph(OperationType::activation, {joined("silu_")}, 1)));
    EXPECT_EQ(regime_of(subgraph(OperationType::matmul, {joined("linalg_qr")}, 1)), "linalg_qr");
    for (auto const* plain : {"tensordot", "einsum", "addmm", "Linear", "scaled_dot_product_attention"}) {
        EXPECT_EQ(regime_of(subgraph(OperationType::matmul, {joined(plain)}, 1)), "plain");
    }
}

}  // namespace
}  // namespace derate
