#include "workloads/value_range.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace derate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ValueRange, HoldsADimensionAlongWhichNothingChangesOnce) {
    auto const columns = range_of_elements({2, 3}, {0, 1, 2, 0, 1, 2}, {5, 6, 7, 5, 6, 7});
    EXPECT_EQ(columns, (ValueRange{.shape = {3}, .low = {0, 1, 2}, .high = {5, 6, 7}}));
    auto const rows = range_of_elements({2, 3}, {0, 0, 0, 4, 4, 4}, {9, 9, 9, 9, 9, 9});
    EXPECT_EQ(rows, (ValueRange{.shape = {2, 1}, .low = {0, 4}, .high = {9, 9}}));
    EXPECT_EQ(range_of_elements({2, 2}, {3, 3, 3, 3}, {4, 4, 4, 4}), ValueRange::of(3, 4));
    EXPECT_TRUE(range_of_elements({0, 3}, {}, {}).is_unbounded());
}

TEST(ValueRange, RowsAndColumnsMeetInEveryElement) {
    ValueRange const rows{.shape = {2, 1}, .low = {0, 10}, .high = {20, 30}};
    ValueRange const columns{.shape = {3}, .low = {5, 0, 0}, .high = {99, 99, 15}};
    EXPECT_EQ(intersection(rows, columns), (ValueRange{.shape = {2, 3},
                                                       .low = {5, 0, 0, 10, 10, 10},
                                                       .high = {20, 20, 15, 30, 30, 15}}));
    // Shapes that do not broadcast: what is allowed everywhere.
    ValueRange const two{.shape = {2}, .low = {0, 3}, .high = {9, 7}};
    EXPECT_EQ(intersection(two, columns), ValueRange::of(5, 7));
    EXPECT_FALSE(combined(two, columns, [](double a, double b, double, double) {
        return std::pair{a, b};
    }));
}

TEST(ValueRange, WhatIsBroadcastMustSuitAllItsCopies) {
    ValueRange const rows{.shape = {2, 1}, .low = {0, 10}, .high = {20, 30}};
    EXPECT_EQ(narrowed_to(rows, {3}), ValueRange::of(10, 20));
    EXPECT_EQ(narrowed_to(rows, {1, 3}), ValueRange::of(10, 20));
    EXPECT_EQ(narrowed_to(rows, {2, 3}), rows);
    // Elements 1 and 2 of three go to a result of two; nothing is known of element 0.
    auto const back =
        moved_back(ValueRange{.shape = {2}, .low = {0, 0}, .high = {4, 7}}, {2}, {3}, {1, 2});
    EXPECT_THAT(back.shape, ElementsAre(3));
    EXPECT_EQ(back.high[1], 4);
    EXPECT_EQ(back.high[2], 7);
    EXPECT_TRUE(ValueRange::of(back.low[0], back.high[0]).is_unbounded());
}

TEST(ValueRange, IsEmptyWhereNoWholeNumberLies) {
    EXPECT_TRUE(ValueRange::of(0.2, 0.8).is_empty(false));
    EXPECT_FALSE(ValueRange::of(0.2, 0.8).is_empty(true));
    EXPECT_TRUE(ValueRange::of(2, 1).is_empty(true));
    EXPECT_THAT(ValueRange::of(2, 1).shape, IsEmpty());
}

}  // namespace
}  // namespace derate
