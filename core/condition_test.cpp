#include "core/condition.hpp"

#include <gtest/gtest.h>

namespace derate {
namespace {

TEST(Condition, IsToldInWordsAndInAFilesName) {
    Condition condition;
    EXPECT_EQ(to_text(condition), "FP32, threads unknown");
    EXPECT_EQ(file_suffix(condition), "");
    condition.execution.threads = 1;
    EXPECT_EQ(to_text(condition), "FP32, 1 thread");
    EXPECT_EQ(file_suffix(condition), "") << "the default";
    condition.execution.threads = 2;
    condition.precision = Precision::bf16;
    condition.execution.allocator = Allocator::untouched;
    EXPECT_EQ(to_text(condition), "BF16, 2 threads");
    EXPECT_EQ(file_suffix(condition), "_bf16_t2_default_malloc");
}

TEST(Condition, DiffersInEachOfItsParts) {
    Condition const first{
        .execution = {.threads = 1, .cpus = {0, 1, 3}}, .partition = "p", .flop_rule = "f"};
    Condition const other{.execution = {.device = DeviceKind::gpu, .allocator = Allocator::pinned},
                          .precision = Precision::fp16,
                          .cache_state = CacheState::hot,
                          .partition = "q",
                          .flop_rule = "g"};
    auto const parts = parts_of(first);
    auto const others = parts_of(other);
    ASSERT_EQ(parts.size(), 8U);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_EQ(parts[i].key, others[i].key);
        EXPECT_NE(parts[i].value, others[i].value) << parts[i].name;
    }
    EXPECT_EQ(parts[1].value, "0-1,3");
    EXPECT_EQ(others[3].value, "unknown");
    EXPECT_NE(first, other);
    EXPECT_EQ(to_text(first.execution), "cpu, 1 thread, CPUs 0-1,3, allocator unknown");
    EXPECT_EQ(to_text(other.execution), "gpu, threads unknown, not bound, allocator pinned");
}

TEST(NumericFormat, SumsAreHeldInWiderNumbersThanProducts) {
    for (auto const precision :
         {Precision::fp32, Precision::fp16, Precision::bf16, Precision::int8}) {
        auto const format = numeric_format(precision);
        EXPECT_EQ(bytes_of(format.accumulation), 4) << to_string(precision);
        EXPECT_GE(bytes_of(format.accumulation), bytes_of(format.weights)) << to_string(precision);
    }
    EXPECT_EQ(bytes_of(numeric_format(Precision::bf16).activations), 2);
    EXPECT_EQ(numeric_format(Precision::int8).accumulation, NumberType::int32);
}

}  // namespace
}  // namespace derate
