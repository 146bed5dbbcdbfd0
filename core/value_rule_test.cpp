#include "core/value_rule.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace derate {
namespace {

Subgraph with_descriptor(std::string descriptor) {
    return {.id = 0,
            .fusion_pattern = "Embedding",
            .type = OperationType::embedding,
            .nodes = {},
            .work = {},
            .traffic = {},
            .descriptor = std::move(descriptor)};
}

TEST(ValueRule, ADescriptorSaysWhetherValuesDecide) {
    EXPECT_TRUE(depends_on_values(with_descriptor(
        "x0:int64[8]~ids:100 w0:float32[100,4] | t0:float32[8,4]=aten.embedding(weight=w0) | t0")));
    EXPECT_FALSE(depends_on_values(
        with_descriptor("x0:float32[8] | t0:float32[8]=custom.named(name=\"a~b\") | t0")));
    EXPECT_FALSE(depends_on_values(with_descriptor("")));
}

TEST(ValueRule, FilesOfBeforeTheNameAreOfTheFirst) {
    EXPECT_EQ(unstated_value_rule(true), "derate_1");
    EXPECT_EQ(unstated_value_rule(false), std::nullopt);
}

TEST(ValueRule, OnlyTheFirstRuleIsNoted) {
    std::vector const subgraphs{with_descriptor("x0:int64[8]~ids:9 | t0:int64[8]=a.b(x=x0) | t0"),
                                with_descriptor("x0:int64[8] | t0:int64[8]=a.b(x=x0) | t0")};
    Calibration calibration;
    calibration.hardware_id = "some-cpu";
    std::vector const latency_ms{1.0, 3.0};
    EXPECT_EQ(value_rule_note(calibration, subgraphs, latency_ms), std::nullopt)
        << "a foreign rule";
    calibration.provenance.value_rule = value_rule;
    EXPECT_EQ(value_rule_note(calibration, subgraphs, latency_ms), std::nullopt);
    calibration.provenance.value_rule = first_value_rule;
    EXPECT_EQ(value_rule_note(calibration, subgraphs, latency_ms),
              "1 kernel's time (embedding, 25 % of the whole) depends on values, and some-cpu was "
              "timed by value rule derate_1, where ids may be 0 and 1, and masks and maps under "
              "pools are noise; `derate calibrate` on that machine times them anew.");
    EXPECT_EQ(value_rule_note(calibration, std::span{subgraphs}.subspan(1),
                              std::span{latency_ms}.subspan(1)),
              std::nullopt);
}

}  // namespace
}  // namespace derate
