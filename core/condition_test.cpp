#include "core/condition.hpp"

#include <gtest/gtest.h>

namespace derate {
namespace {

TEST(Condition, IsToldInWordsAndInAFilesName) {
    Condition condition;
    EXPECT_EQ(to_text(condition), "FP32, threads unknown");
    EXPECT_EQ(file_suffix(condition), "");
    condition.threads = 1;
    EXPECT_EQ(to_text(condition), "FP32, 1 thread");
    EXPECT_EQ(file_suffix(condition), "") << "the default";
    condition.threads = 2;
    condition.precision = Precision::bf16;
    condition.allocator = Allocator::untouched;
    EXPECT_EQ(to_text(condition), "BF16, 2 threads");
    EXPECT_EQ(file_suffix(condition), "_bf16_t2_default_malloc");
}

TEST(Condition, DiffersInEachOfItsParts) {
    Condition const first{.threads = 1, .partition = "p", .flop_rule = "f"};
    Condition other{.precision = Precision::fp16,
                    .threads = {},
                    .cache_state = CacheState::hot,
                    .allocator = Allocator::pinned,
                    .partition = "q",
                    .flop_rule = "g"};
    auto const parts = parts_of(first);
    auto const others = parts_of(other);
    ASSERT_EQ(parts.size(), 6U);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_EQ(parts[i].key, others[i].key);
        EXPECT_NE(parts[i].value, others[i].value) << parts[i].name;
    }
    EXPECT_EQ(others[1].value, "unknown");
    EXPECT_NE(first, other);
}

}  // namespace
}  // namespace derate
