#include "calibration/ingest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/input_error.hpp"

namespace derate {
namespace {

using testing::HasSubstr;

LaunchTimes launch(std::vector<double> times) {
    std::ranges::sort(times);
    return {.times_ms = summarize(times),
            .lower_quartile_ms = times.front(),
            .median_ms = times[times.size() / 2],
            .upper_quartile_ms = times.back(),
            .min_ms = times.front(),
            .max_ms = times.back()};
}

Timing imported(double mean_ms) {
    return {.statistic = CenterStatistic::mean,
            .center_ms = mean_ms,
            .mean_ms = mean_ms,
            .std_ms = mean_ms / 20,
            .samples = 50};
}

MeasuredSubgraph measured(int id, std::string descriptor, Timing timing) {
    MeasuredSubgraph result;
    result.subgraph.id = id;
    result.subgraph.fusion_pattern = "Conv2d_ReLU";
    result.subgraph.type = OperationType::conv2d;
    result.subgraph.work = Flops{1e6};
    result.subgraph.traffic.output = Bytes{1e4};
    result.subgraph.descriptor = std::move(descriptor);
    result.isolated = std::move(timing);
    return result;
}

Measurement measurement(std::string model, std::vector<MeasuredSubgraph> subgraphs) {
    Measurement result;
    result.model = std::move(model);
    result.model_family = "family";
    result.hardware.id = "cpu-a";
    result.hardware.name = "CPU A";
    result.condition.partition = result.condition.flop_rule = "derate_1";
    result.source = {.origin = "derate 0.1.0",
                     .campaign = "2026-11-01",
                     .date = "2026-11-01T10:00:00Z",
                     .environment_hash = "e1"};
    result.subgraphs = std::move(subgraphs);
    return result;
}

EvidencePart part(Measurement const& measurement_) {
    auto const where = measurement_.model + ".json";
    return {where, evidence_of(measurement_, where)};
}

std::string message_of_merge(std::vector<EvidencePart> const& parts) {
    try {
        (void)merge(parts);
    } catch (InputError const& error) {
        return error.what();
    }
    return "no error";
}

// Everything that a fit can see.
void expect_same(Evidence const& a, Evidence const& b) {
    EXPECT_TRUE(a.campaigns == b.campaigns);
    EXPECT_TRUE(a.cases == b.cases);
    EXPECT_TRUE(a.models == b.models);
    EXPECT_EQ(a.hardware.id, b.hardware.id);
    EXPECT_EQ(a.condition.precision, b.condition.precision);
    EXPECT_EQ(a.condition.execution.threads, b.condition.execution.threads);
}

TEST(EvidenceOf, SharesOneCaseAmongEqualKernels) {
    auto const timing = timing_of({launch({1, 2, 3})});
    auto const evidence = evidence_of(
        measurement("net",
                    {measured(0, "d", timing), measured(1, "e", timing), measured(2, "d", timing)}),
        "net.json");

    EXPECT_EQ(evidence.cases.size(), 2u);
    EXPECT_THAT(evidence.models.at(0).cases, testing::ElementsAre(0, 1, 0));
}

TEST(EvidenceOf, KeepsForeignSubgraphsApart) {
    auto const evidence = evidence_of(
        measurement("net", {measured(0, "", imported(1)), measured(1, "", imported(2))}),
        "net.json");
    EXPECT_EQ(evidence.cases.size(), 2u);
}

TEST(EvidenceOf, MakesProbesOfTheProbeFamily) {
    auto probes = measurement("probes", {measured(0, "d", timing_of({launch({1, 2, 3})}))});
    probes.model_family = "probe";
    auto const evidence = evidence_of(probes, "probes.json");

    EXPECT_TRUE(evidence.models.empty());
    EXPECT_TRUE(evidence.cases.at(0).probe);
}

TEST(EvidenceOf, RefusesTwoTimesOfOneKernel) {
    EXPECT_THROW(
        (void)evidence_of(measurement("net", {measured(0, "d", timing_of({launch({1, 2})})),
                                              measured(1, "d", timing_of({launch({1, 3})}))}),
                          "net.json"),
        InputError);
}

TEST(Merge, CountsAFileGivenTwiceOnce) {
    auto const own = part(measurement("net", {measured(0, "d", timing_of({launch({1, 2, 3})}))}));
    auto const foreign = part(measurement("vgg", {measured(0, "", imported(1))}));

    expect_same(merge(std::vector{own, foreign}), merge(std::vector{own, foreign, own, foreign}));
    EXPECT_EQ(merge(std::vector{own, own}).cases.at(0).timing->samples, 3);
}

TEST(Merge, SharesKernelsBetweenModelsOfACampaign) {
    auto const timing = timing_of({launch({1, 2, 3})});
    auto const all = merge(std::vector{part(measurement("a", {measured(0, "d", timing)})),
                                       part(measurement("b", {measured(0, "d", timing)}))});
    EXPECT_EQ(all.cases.size(), 1u);
    EXPECT_EQ(all.models.size(), 2u);
}

TEST(Merge, UnitesLaunchesOfOneCampaign) {
    auto const first = launch({1, 2, 3});
    auto const second = launch({2, 3, 4});
    auto const third = launch({7, 8, 9});
    auto const net = [](std::vector<LaunchTimes> launches) {
        return part(measurement("net", {measured(0, "d", timing_of(std::move(launches)))}));
    };

    auto const merged = merge(std::vector{net({third, first}), net({second, third})});

    expect_same(merged, merge(std::vector{net({second, third}), net({third, first})}));
    EXPECT_EQ(merged.cases.at(0).timing->launches.size(), 3u);
    EXPECT_EQ(merged.cases.at(0).timing->samples, 9);
    EXPECT_DOUBLE_EQ(merged.cases.at(0).timing->center_ms, 1.5);
}

LaunchTimes numbered(int number, std::vector<double> times) {
    auto result = launch(std::move(times));
    result.launch = number;
    return result;
}

std::vector<LaunchTimes> launches_of_merged(std::vector<std::vector<LaunchTimes>> const& files) {
    std::vector<EvidencePart> parts;
    for (auto const& launches : files) {
        parts.push_back(part(measurement("net", {measured(0, "d", timing_of(launches))})));
    }
    return merge(parts).cases.at(0).timing->launches;
}

// Two launches may take the same times to the last digit: where a clock is coarse they do. Slow,
// quick, slow, quick is their order, and a fifth that repeats the first is a fifth.
TEST(Merge, NumberedLaunchesKeepTheirOrderAndTheirTwins) {
    std::vector const in_order{numbered(0, {3, 3}), numbered(1, {1, 1}), numbered(2, {3, 3}),
                               numbered(4, {1, 1}), numbered(10, {3, 3})};
    EXPECT_EQ(launches_of_merged({in_order}), in_order);
    EXPECT_EQ(launches_of_merged({in_order, in_order}), in_order);
    EXPECT_EQ(launches_of_merged({{in_order[3], in_order[4], in_order[1]},
                                  {in_order[1], in_order[2], in_order[0]}}),
              in_order);
}

TEST(Merge, WithoutNumbersAContentCountsAsOftenAsTheFileThatHoldsMostOfItSays) {
    auto const slow = launch({3, 3});
    auto const quick = launch({1, 1});
    EXPECT_EQ(launches_of_merged({{slow, quick, slow}}), (std::vector{quick, slow, slow}));
    EXPECT_EQ(launches_of_merged({{slow, quick, slow}, {slow, quick}, {slow}}),
              (std::vector{quick, slow, slow}));
}

// A file of before launches had numbers, and one of the same campaign with them.
TEST(Merge, AnUnnumberedLaunchIsTheNumberedOneOfEqualContent) {
    auto const slow = launch({3, 3});
    std::vector const in_order{numbered(0, {3, 3}), numbered(1, {1, 1}), numbered(2, {3, 3})};
    EXPECT_EQ(launches_of_merged({{slow, slow}, in_order}), in_order);
    EXPECT_EQ(launches_of_merged({in_order, {slow, slow, launch({2, 2})}}),
              (std::vector{in_order[0], in_order[1], in_order[2], launch({2, 2})}));
    EXPECT_EQ(launches_of_merged({{slow, slow}, {in_order[0]}}), (std::vector{in_order[0], slow}));
}

TEST(Merge, RefusesTwoContentsOfOneLaunch) {
    auto const net = [](LaunchTimes const& launch) {
        return part(measurement("net", {measured(0, "d", timing_of({launch}))}));
    };
    EXPECT_THAT(
        message_of_merge({net(numbered(3, {1, 2})), net(numbered(3, {1, 2, 3}))}),
        HasSubstr("launch 3 of kernel d (Conv2d_ReLU) was timed twice in one campaign, differently "
                  "(one of the two files, or campaigns named apart)"));
    EXPECT_EQ(message_of_merge({net(numbered(3, {1, 2})), net(numbered(4, {1, 2, 3}))}),
              "no error");
}

TEST(Merge, KeepsCampaignsApart) {
    auto monday = measurement("net", {measured(0, "d", timing_of({launch({1, 2, 3})}))});
    auto tuesday = measurement("net", {measured(0, "d", timing_of({launch({2, 3, 4})}))});
    tuesday.source.campaign = "2026-11-02";

    auto const all = merge(std::vector{part(monday), part(tuesday)});

    EXPECT_EQ(all.campaigns.size(), 2u);
    EXPECT_EQ(all.cases.size(), 2u);
    EXPECT_EQ(all.models.size(), 2u);
}

TEST(Merge, RefusesMixturesAndNamesBothFiles) {
    auto const base = measurement("a", {measured(0, "d", timing_of({launch({1, 2, 3})}))});
    auto const with = [&](auto change) {
        auto other = base;
        other.model = "b";
        change(other);
        return message_of_merge({part(base), part(other)});
    };
    EXPECT_THAT(with([](Measurement& m) { m.hardware.id = "cpu-b"; }),
                testing::StartsWith("b.json: hardware id is \"cpu-b\", in a.json \"cpu-a\" ("));
    EXPECT_THAT(with([](Measurement& m) { m.condition.precision = Precision::fp16; }),
                HasSubstr("precision is \"FP16\", in a.json \"FP32\""));
    EXPECT_THAT(with([](Measurement& m) { m.condition.execution.threads = 2; }),
                HasSubstr("thread count is \"2\""));
    EXPECT_THAT(with([](Measurement& m) { m.condition.cache_state = CacheState::hot; }),
                HasSubstr("cache state is \"hot\""));
    EXPECT_THAT(with([](Measurement& m) { m.condition.partition = "foreign"; }),
                HasSubstr("partition"));
    EXPECT_THAT(with([](Measurement& m) { m.hardware.power_mode = "15 W"; }),
                HasSubstr("power mode is \"15 W\", in a.json \"unknown\""));
    EXPECT_EQ(with([](Measurement& m) { m.batch = 16; }), "no error");
}

TEST(Merge, RefusesTwoTimingsThatNoLaunchTellsApart) {
    auto const once = part(measurement("net", {measured(0, "", imported(1))}));
    auto const again = part(measurement("net", {measured(0, "", imported(1.5))}));
    EXPECT_THAT(message_of_merge({once, again}),
                HasSubstr("net batch 1 subgraph 0 (Conv2d_ReLU) was timed twice in one campaign"));
}

TEST(Merge, RefusesOtherSubgraphsOfTheSameModel) {
    auto const timing = timing_of({launch({1, 2, 3})});
    auto const once = part(measurement("net", {measured(0, "d", timing)}));
    auto const again =
        part(measurement("net", {measured(0, "d", timing), measured(1, "e", timing)}));
    EXPECT_THAT(message_of_merge({once, again}), HasSubstr("has other subgraphs"));
}

TEST(Merge, AFailureYieldsToATiming) {
    auto failed = measured(0, "d", imported(1));
    failed.isolated.reset();
    failed.failure = "no kernel for this type";
    auto const all =
        merge(std::vector{part(measurement("a", {failed})),
                          part(measurement("b", {measured(0, "d", timing_of({launch({1, 2})}))}))});
    ASSERT_EQ(all.cases.size(), 1u);
    EXPECT_TRUE(all.cases[0].timing);
    EXPECT_FALSE(all.cases[0].failure);
}

// Merging of merged parts, in any grouping and order, is the aggregation of all at once.
TEST(Merge, IsAssociativeAndCommutative) {
    std::mt19937_64 random{3};
    std::lognormal_distribution<double> time{0, 0.3};
    std::vector<EvidencePart> parts;
    for (int campaign = 0; campaign < 2; ++campaign) {
        std::map<std::string, std::vector<LaunchTimes>> launches;
        for (std::string const descriptor : {"d0", "d1", "d2", "d3", "d4"}) {
            for (int i = 0; i < 4; ++i) {
                auto one = launch({time(random), time(random), time(random)});
                if (campaign == 1) one.launch = i;
                launches[descriptor].push_back(one);
                // A twin: told apart by number alone.
                if (campaign == 0 && i == 2) launches[descriptor].push_back(one);
                if (campaign == 1 && i == 3) {
                    launches[descriptor].push_back(launches[descriptor][0]);
                    launches[descriptor].back().launch = 7;
                }
            }
        }
        for (int model = 0; model < 6; ++model) {
            std::vector<MeasuredSubgraph> subgraphs;
            for (int i = 0; i < 3; ++i) {
                auto const descriptor = "d" + std::to_string((model + 2 * i) % 5);
                std::vector<LaunchTimes> some;
                for (auto const& one : launches[descriptor]) {
                    if (random() % 2 == 0) some.push_back(one);
                }
                if (some.empty()) some.push_back(launches[descriptor].front());
                subgraphs.push_back(measured(i, descriptor, timing_of(some)));
            }
            auto const name = std::string(1, char('a' + model % 3));
            auto file = measurement(name, subgraphs);
            file.batch = 1;
            // The same model twice in a campaign, with other launches: must have equal subgraphs.
            if (model >= 3) {
                file.model = name + "2";
            }
            file.source.campaign = std::to_string(campaign);
            parts.push_back(part(file));
        }
    }
    auto const all_at_once = merge(parts);
    for (int trial = 0; trial < 20; ++trial) {
        std::ranges::shuffle(parts, random);
        auto const cut = parts.begin() + 1 + long(random() % (parts.size() - 1));
        std::vector<EvidencePart> const merged{
            {"first", merge(std::vector<EvidencePart>{parts.begin(), cut})},
            {"second", merge(std::vector<EvidencePart>{cut, parts.end()})}};
        expect_same(merge(merged), all_at_once);
    }
}

}  // namespace
}  // namespace derate
