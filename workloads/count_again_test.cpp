#include "workloads/count_again.hpp"

#include <gtest/gtest.h>

#include "core/input_error.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

Subgraph only_subgraph(std::string const& descriptor) {
    auto result = partition(parse_descriptor(descriptor));
    EXPECT_EQ(result.subgraphs.size(), 1U) << descriptor;
    return std::move(result.subgraphs.at(0).subgraph);
}

/// As a file of derate_1 holds an einsum without an arrow: one FLOP per element returned.
Subgraph counted_before() {
    auto subgraph = only_subgraph(
        "x0:float32[2,4,16] w0:float32[16,8] | "
        "t0:float32[2,4,8]=aten.einsum(equation=\"bij,jk\",tensors={x0,w0}) | t0");
    subgraph.work = Flops{64};
    subgraph.nodes.front().name = "einsum";
    for (auto const* name : {"batch", "m", "n", "k"}) {
        subgraph.nodes.front().attributes.erase(name);
    }
    return subgraph;
}

TEST(CountAgain, GivesOldEvidenceTheCountsOfToday) {
    Evidence evidence;
    evidence.condition.flop_rule = "derate_1";
    evidence.cases = {{.subgraph = counted_before(), .timing = {}, .failure = "none"}};
    count_again(evidence);
    EXPECT_EQ(evidence.condition.flop_rule, flop_rule);
    auto const& subgraph = evidence.cases.front().subgraph;
    EXPECT_EQ(subgraph.work.value(), 2048);
    EXPECT_EQ(subgraph.nodes.front().name, "einsum");
    EXPECT_EQ(subgraph.nodes.front().attributes.at("k"), AttributeValue{16.0});
}

// A mistake in a count is no other rule: files written before it was mended say "derate_2" too.
TEST(CountAgain, MendsTheCountsOfFilesOfTodaysRule) {
    Evidence evidence;
    evidence.condition.flop_rule = flop_rule;
    evidence.cases = {{.subgraph = only_subgraph("x0:float32[64,49,96] | t0:float32[14,14]="
                                                 "aten.new_zeros(self=x0,size=[14,14]) | t0"),
                       .timing = {},
                       .failure = "none"}};
    evidence.cases.front().subgraph.traffic.input = Bytes{1204224};
    count_again(evidence);
    EXPECT_EQ(evidence.cases.front().subgraph.traffic.total().value(), 784);
}

TEST(CountAgain, GivesOldMeasurementsTheTrafficOfToday) {
    Measurement measurement;
    measurement.condition.flop_rule = "derate_1";
    auto subgraph =
        only_subgraph("x0:int64[1] x1:float32[1,2,1,8] w0:float32[1,2,64,8] | t0:float32[1,2,64,8]="
                      "aten.index_copy_(self=w0,dim=2,index=x0,source=x1) | ");
    subgraph.traffic = {.input = Bytes{72}, .weights = Bytes{4096}, .output = Bytes{4096}};
    subgraph.type = OperationType::elementwise;
    measurement.subgraphs.push_back({.subgraph = subgraph});
    count_again(measurement);
    auto const& counted = measurement.subgraphs.front().subgraph;
    EXPECT_EQ(counted.traffic.total().value(), 64 + 8 + 64);
    EXPECT_EQ(counted.type, OperationType::copy);
}

TEST(CountAgain, LeavesForeignCountsAndKernelsWithoutADescriptor) {
    Evidence foreign;
    foreign.condition.flop_rule = "foreign";
    foreign.cases = {{.subgraph = counted_before(), .timing = {}, .failure = "none"}};
    count_again(foreign);
    EXPECT_EQ(foreign.condition.flop_rule, "foreign");
    EXPECT_EQ(foreign.cases.front().subgraph.work.value(), 64);
    auto without = counted_before();
    without.descriptor.clear();
    EXPECT_EQ(counted_again(without).work.value(), 64);
    auto broken = counted_before();
    broken.descriptor = "x0:float32[2] | t0";
    EXPECT_THROW(static_cast<void>(counted_again(broken)), InputError);
}

TEST(CountAgain, EqualsTheFirstCountOfEveryShippedKernel) {
    std::size_t compared = 0;
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const& file : entry.files) {
            for (auto const& item :
                 partition(load_model(entry.name, 2, file.precision).program).subgraphs) {
                auto const again = counted_again(item.subgraph);
                EXPECT_EQ(again.work, item.subgraph.work) << item.subgraph.descriptor;
                EXPECT_EQ(again.traffic, item.subgraph.traffic) << item.subgraph.descriptor;
                EXPECT_EQ(again.type, item.subgraph.type) << item.subgraph.descriptor;
                EXPECT_EQ(again.nodes, item.subgraph.nodes) << item.subgraph.descriptor;
                ++compared;
            }
        }
    }
    EXPECT_GT(compared, 1000U);
}

}  // namespace
}  // namespace derate
