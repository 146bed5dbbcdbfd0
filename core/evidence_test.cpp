#include "core/evidence.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "ctest/timings.hpp"
#include "storage/evidence_json.hpp"

namespace derate {
namespace {

EvidenceCase kernel(OperationType type, double flops, double ms, int campaign = 0) {
    EvidenceCase result;
    result.subgraph.fusion_pattern = "Conv2d";
    result.subgraph.type = type;
    result.subgraph.nodes.push_back({.name = "n",
                                     .op = "conv2d",
                                     .input_shape = {1, 3, 8, 8},
                                     .output_shape = {1, 8, 8, 8},
                                     .attributes = {{"groups", 1.0}}});
    result.subgraph.work = Flops{flops};
    result.subgraph.traffic = {.input = Bytes{10}, .weights = Bytes{20}, .output = Bytes{30}};
    result.subgraph.descriptor = "conv2d/" + std::to_string(static_cast<int>(flops));
    result.timing = Timing{.statistic = CenterStatistic::mean,
                           .center_ms = ms,
                           .mean_ms = ms,
                           .std_ms = std::nullopt,
                           .min_ms = std::nullopt,
                           .max_ms = std::nullopt,
                           .samples = 1,
                           .launches = {}};
    result.campaign = campaign;
    return result;
}

Evidence two_models() {
    Evidence evidence;
    evidence.hardware.id = "box";
    evidence.condition.partition = evidence.condition.flop_rule = "derate_1";
    evidence.campaigns = {{.id = "second",
                           .date = "2026-02-02",
                           .origin = "here",
                           .imported = false,
                           .environment_hash = std::nullopt,
                           .samples_sha256 = std::nullopt,
                           .trust_grade = "C"},
                          {.id = "first",
                           .date = "2026-01-01",
                           .origin = "here",
                           .imported = false,
                           .environment_hash = "ab",
                           .samples_sha256 = std::nullopt,
                           .trust_grade = std::nullopt}};
    evidence.cases = {kernel(OperationType::linear, 5, 3.0), kernel(OperationType::conv2d, 9, 2.0),
                      kernel(OperationType::conv2d, 7, 1.0, 1)};
    evidence.models = {{.name = "b",
                        .family = "f",
                        .batch = 1,
                        .campaign = 0,
                        .role = ModelRole::held_out,
                        .cases = {0, 1, 0},
                        .whole_model = std::nullopt},
                       {.name = "a",
                        .family = "g",
                        .batch = 1,
                        .campaign = 1,
                        .role = ModelRole::calibration,
                        .cases = {2},
                        .whole_model = std::nullopt}};
    return evidence;
}

TEST(Evidence, LaunchesKeepTheirNumbers) {
    auto evidence = two_models();
    evidence.cases[0].timing = timing_of({launch_of(3, 0), launch_of(1, 4), launch_of(3, 10)});
    auto const written = to_json(evidence);
    EXPECT_EQ(written.at("version"), 2);
    EXPECT_EQ(written.at("cases")[0].at("timing").at("launches")[1].at("launch"), 4);
    EXPECT_EQ(evidence_from_json(written, "e.json").cases[0], evidence.cases[0]);

    evidence.cases[0].timing = timing_of({launch_of(3, 4), launch_of(1, 4)});
    EXPECT_THAT(violations(evidence),
                testing::ElementsAre("case 0 has two launches of one number"));
    evidence.cases[0].timing = timing_of({launch_of(3, {}), launch_of(1, {})});
    EXPECT_TRUE(violations(evidence).empty());
}

TEST(Evidence, OfVersionOneHasLaunchesWithoutNumbers) {
    auto evidence = two_models();
    evidence.cases[0].timing = timing_of({launch_of(3, 0), launch_of(1, 4)});
    auto written = to_json(evidence);
    written["version"] = 1;
    for (auto& one : written["cases"][0]["timing"]["launches"]) one.erase("launch");
    auto const read = evidence_from_json(written, "e.json");
    EXPECT_EQ(read.cases[0].timing->launches, (std::vector{launch_of(3, {}), launch_of(1, {})}));
    written["version"] = 3;
    EXPECT_THROW((void)evidence_from_json(written, "e.json"), InputError);
}

TEST(Evidence, SumsTheParts) {
    auto evidence = two_models();
    EXPECT_DOUBLE_EQ(sum_of_parts_ms(evidence, evidence.models[0]).value(), 8.0);
    // Some kernels of a model are no model.
    evidence.models[0].subgraphs = {2, 5, 9};
    EXPECT_EQ(place_in(evidence.models[0], 1), "b/1/5");
    EXPECT_EQ(place_in(evidence.models[1], 0), "a/1/0");
    EXPECT_EQ(sum_of_parts_ms(evidence, evidence.models[0]), std::nullopt);
    EXPECT_TRUE(violations(evidence).empty());
    auto const read = evidence_from_json(to_json(evidence), "e.json");
    EXPECT_EQ(read.models, evidence.models);
    evidence.models[0].whole_model = timing_of({launch_of(3, 0)});
    EXPECT_THAT(violations(evidence),
                testing::ElementsAre("model b (batch 1) has a time, though its cases are some of "
                                     "its kernels only"));
    evidence.models[0].whole_model.reset();
    evidence.models[0].subgraphs.pop_back();
    EXPECT_THAT(violations(evidence),
                testing::ElementsAre("model b (batch 1) names other than one subgraph a case"));
}

TEST(Evidence, CanonicalOrderDependsOnContentAlone) {
    auto const evidence = two_models();
    auto shuffled = evidence;
    std::reverse(shuffled.campaigns.begin(), shuffled.campaigns.end());
    std::reverse(shuffled.cases.begin(), shuffled.cases.end());
    std::reverse(shuffled.models.begin(), shuffled.models.end());
    for (auto& c : shuffled.cases) c.campaign = 1 - c.campaign;
    for (auto& m : shuffled.models) {
        m.campaign = 1 - m.campaign;
        for (int& index : m.cases) index = 2 - index;
    }
    EXPECT_EQ(to_json(canonical(shuffled)), to_json(canonical(evidence)));
    EXPECT_NE(to_json(shuffled), to_json(evidence));
    EXPECT_EQ(canonical(evidence).campaigns.front().id, "first");
    EXPECT_TRUE(violations(canonical(evidence)).empty());
}

TEST(Evidence, OneCampaignHoldsItsModelsAndTheirCases) {
    auto evidence = two_models();
    evidence.cases.push_back(kernel(OperationType::linear, 11, 4.0, 1));
    evidence.cases.back().probe = true;
    evidence.cases.push_back(kernel(OperationType::linear, 13, 4.0, 1));  // of no model
    auto const first = only_campaign(evidence, "first");
    ASSERT_TRUE(first);
    ASSERT_EQ(first->models.size(), 1);
    EXPECT_EQ(first->models[0].name, "a");
    ASSERT_EQ(first->cases.size(), 2);
    EXPECT_EQ(first->cases[static_cast<std::size_t>(first->models[0].cases[0])], evidence.cases[2]);
    EXPECT_TRUE(first->cases[1].probe);
    EXPECT_TRUE(violations(*first).empty());
    EXPECT_EQ(only_campaign(evidence, "second")->models[0].cases, (std::vector{0, 1, 0}));
    EXPECT_FALSE(only_campaign(evidence, "third"));
}

TEST(Evidence, ReadsWhatItWrites) {
    auto evidence = two_models();  // files that do not say these are of before they were said
    evidence.condition.execution.allocator = Allocator::untouched;
    for (auto& campaign : evidence.campaigns) campaign.value_rule = "derate_2";
    auto const written = to_json(evidence);
    EXPECT_EQ(to_json(evidence_from_json(written, "e.json")), written);
}

TEST(Evidence, BrokenRulesAreNamed) {
    auto evidence = two_models();
    evidence.models[0].cases.push_back(3);
    evidence.cases[1].timing.reset();
    EXPECT_THAT(violations(evidence), testing::UnorderedElementsAre(
                                          "case 1 has neither a timing nor a failure",
                                          "model b (batch 1) names a case that does not exist"));
    EXPECT_THROW((void)evidence_from_json(to_json(evidence), "e.json"), InputError);
}

}  // namespace
}  // namespace derate
