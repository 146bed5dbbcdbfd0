#include "campaign/further_batches.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "campaign/plan_making.hpp"

namespace derate {
namespace {

/// A product of m x 64 and 64 x 64.
Subgraph product(double m, OperationType type = OperationType::linear) {
    Subgraph subgraph{.type = type,
                      .nodes = {{.name = "p",
                                 .op = type == OperationType::linear ? "linear" : "bmm",
                                 .attributes = {{"m", m}, {"n", 64.0}, {"k", 64.0}}}},
                      .work = Flops{2 * m * 64 * 64},
                      .traffic = {Bytes{4 * m * 64}, Bytes{4 * 64 * 64}, Bytes{4 * m * 64}}};
    subgraph.descriptor = std::to_string(static_cast<int>(type)) + "/" + std::to_string(m);
    return subgraph;
}

CampaignModel model_of(std::string name, int batch, std::vector<Subgraph> subgraphs) {
    CampaignModel model{
        .name = name, .family = std::move(name), .batch = batch, .subgraphs = std::move(subgraphs)};
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        model.subgraphs[i].id = static_cast<int>(i);
    }
    return model;
}

std::vector<double> rows_of(CampaignModel const& model) {
    std::vector<double> rows;
    for (auto const& subgraph : model.subgraphs) {
        rows.push_back(std::get<double>(subgraph.nodes.front().attributes.at("m")));
    }
    return rows;
}

CampaignSettings standard_settings() { return {.rules = standard_rules()}; }

constexpr double repetition_ms = 7;  // of what takes no time: 5 are timed, 2 go by
constexpr double opening_ms = 20;    // of a model

/// Time for anything.
constexpr double ample = 1e6;

TEST(KernelsAtFurtherBatches, AreThoseThatAreNotTimedYet) {
    std::vector const timed{model_of("a", 1, {product(8), product(16)})};
    // At batch 2 both products have twice the rows: one is that of 16 rows once more.
    auto const chosen = kernels_at_further_batches(
        timed, {model_of("a", 2, {product(16), product(32)})}, standard_settings(), ample);
    ASSERT_EQ(chosen.size(), 1U);
    EXPECT_EQ(rows_of(chosen[0]), std::vector{32.0});
    EXPECT_EQ(chosen[0].subgraphs[0].id, 1) << "as the model counts them";
    EXPECT_TRUE(chosen[0].partial && chosen[0].sparse && chosen[0].isolated);
    EXPECT_FALSE(chosen[0].whole || chosen[0].in_context);
}

TEST(KernelsAtFurtherBatches, ComeByShareOfTimeAndDistanceForTheirCost) {
    // Linear layers hold 7/8 of the time of these models, bmm the rest.
    std::vector<Subgraph> first;
    for (int i = 1; i <= 7; ++i) first.push_back(product(i));
    first.push_back(product(4, OperationType::matmul));
    std::vector const timed{model_of("a", 1, first)};
    std::vector const further{
        model_of("a", 2, {product(8), product(400), product(8, OperationType::matmul)})};
    // By hand: m = 8 lies log(8/7) = 0.13 from what is timed, m = 400 log(400/7) = 4.0; the bmm
    // log(2) = 0.69 at an eighth of the weight. All cost about as much.
    auto const room_for = [&](double kernels) {
        double const timed_ms = 8 * 6 * repetition_ms;  // rounds 3, repetitions 2
        return kernels_at_further_batches(
            timed, further, standard_settings(),
            1.02 * (opening_ms + 1 + kernels * repetition_ms) / timed_ms);
    };
    EXPECT_EQ(rows_of(room_for(1).at(0)), std::vector{400.0});
    EXPECT_EQ(rows_of(room_for(2).at(0)), (std::vector{8.0, 400.0}));
    EXPECT_EQ(rows_of(room_for(3).at(0)), (std::vector{8.0, 400.0, 8.0}));
    EXPECT_TRUE(room_for(0.1).empty());
}

TEST(KernelsAtFurtherBatches, EachBatchHasItsPartOfTheTime) {
    std::vector const timed{model_of("a", 1, {product(1), product(2), product(3), product(5)})};
    std::vector<CampaignModel> further;
    for (int const batch : {2, 16}) {
        std::vector<Subgraph> kernels;
        for (int const m : {11, 13, 17, 19}) kernels.push_back(product(batch * m));
        further.push_back(model_of("a", batch, kernels));
    }
    // Of two kernels at each.
    double const share = 1.1 * 2 * (opening_ms + 2 * repetition_ms) / (4 * 6 * repetition_ms);
    auto const chosen = kernels_at_further_batches(timed, further, standard_settings(), share);
    ASSERT_EQ(chosen.size(), 2U);
    EXPECT_EQ(chosen[0].subgraphs.size(), 2U);
    EXPECT_EQ(chosen[1].subgraphs.size(), 2U);
}

TEST(KernelsAtFurtherBatches, AreDearWhereMuchRunsBeforeThem) {
    std::vector const timed{model_of("a", 1, {product(1)})};
    // Before the last two of "deep" lie 205 ms of work at 40 GFLOP/s, run for the first time, and
    // 64 ms of memory: the first of them to be chosen pays for that, the second no more.
    std::vector const further{
        model_of("deep", 2, {product(1e6), product(5e4), product(5e5)}),
        model_of("flat", 2, {product(300)}),
    };
    double const timed_ms = 6 * repetition_ms;
    auto const chosen_in = [&](double ms) {
        std::vector<std::vector<double>> rows;
        for (auto const& model :
             kernels_at_further_batches(timed, further, standard_settings(), ms / timed_ms)) {
            rows.push_back(rows_of(model));
        }
        return rows;
    };
    using Rows = std::vector<std::vector<double>>;
    EXPECT_EQ(chosen_in(200), (Rows{{300.0}}));
    // 5e4 rows take 13 ms once, 5e5 rows 134 ms, five times each: 68 and 670 ms, besides the 538 ms
    // of the first kernel's run and, for the last, 26 of the second's and 268 of its own.
    EXPECT_EQ(chosen_in(30 + 660), (Rows{{5e4}, {300.0}}));
    EXPECT_EQ(chosen_in(30 + 660 + 800), (Rows{{5e4}, {300.0}})) << "670 + 268 are more";
    EXPECT_EQ(chosen_in(30 + 660 + 1000), (Rows{{5e4, 5e5}, {300.0}}));
}

TEST(WholesAtFurtherBatches, AreTheQuickestOfEachFamily) {
    auto const of = [](std::string name, std::string family, int batch, double m) {
        auto model = model_of(std::move(name), batch, {product(m * batch)});
        model.family = std::move(family);
        return model;
    };
    std::vector const timed{of("quick", "f", 1, 100), of("slow", "f", 1, 1e5),
                            of("other", "g", 1, 1e4)};
    std::vector const further{of("slow", "f", 3, 1e5), of("quick", "f", 3, 100),
                              of("other", "g", 3, 1e4)};
    auto const chosen = wholes_at_further_batches(timed, further, standard_settings(), ample);
    ASSERT_EQ(chosen.size(), 2U);
    EXPECT_EQ(chosen[0].name, "quick");
    EXPECT_EQ(chosen[1].name, "other");
    for (auto const& model : chosen) {
        EXPECT_TRUE(model.whole && model.sparse);
        EXPECT_FALSE(model.isolated || model.in_context || model.partial);
    }
    EXPECT_TRUE(wholes_at_further_batches(timed, further, standard_settings(), 1e-9).empty());
}

}  // namespace
}  // namespace derate
