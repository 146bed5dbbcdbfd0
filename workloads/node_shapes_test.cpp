#include "workloads/node_shapes.hpp"

#include <gtest/gtest.h>

namespace derate {
namespace {

TensorValue tensor(std::vector<std::int64_t> sizes, std::vector<std::int64_t> strides) {
    return {.name = "x", .sizes = std::move(sizes), .strides = std::move(strides)};
}

TEST(MemoryOrder, LooksAtSizesAboveOneOnly) {
    EXPECT_EQ(memory_order(tensor({2, 3, 4, 5}, {60, 20, 5, 1})), MemoryOrder::contiguous);
    EXPECT_EQ(memory_order(tensor({2, 3, 4, 5}, {60, 1, 15, 3})), MemoryOrder::channels_last);
    EXPECT_EQ(memory_order(tensor({1, 3, 4, 5}, {999, 1, 15, 3})), MemoryOrder::channels_last);
    EXPECT_EQ(memory_order(tensor({2, 3, 1, 1}, {3, 1, 3, 3})), MemoryOrder::contiguous)
        << "both orders are the same memory";
    EXPECT_EQ(memory_order(tensor({3, 4}, {1, 3})), MemoryOrder::strided);
    EXPECT_EQ(memory_order(tensor({}, {})), MemoryOrder::contiguous);
    EXPECT_EQ(memory_order(tensor({0, 4}, {9, 9})), MemoryOrder::contiguous);
}

/// Tries every set of strides: `sizes` is a view when some strides reach each element of the
/// row-major sequence where `value` has it.
bool can_view_by_search(TensorValue const& value, std::vector<std::int64_t> const& sizes) {
    auto const offset_of = [&](std::int64_t element) {
        std::int64_t offset = 0;
        for (std::size_t i = value.sizes.size(); i-- > 0;) {
            offset += element % value.sizes[i] * value.strides[i];
            element /= value.sizes[i];
        }
        return offset;
    };
    // The stride of a dimension can only be the step between its first two elements.
    std::vector<std::int64_t> strides(sizes.size(), 0);
    std::int64_t step = 1;
    for (std::size_t i = sizes.size(); i-- > 0;) {
        strides[i] = sizes[i] > 1 ? offset_of(step) : 0;
        step *= sizes[i];
    }
    for (std::int64_t element = 0; element < step; ++element) {
        std::int64_t offset = 0;
        std::int64_t rest = element;
        for (std::size_t i = sizes.size(); i-- > 0;) {
            offset += rest % sizes[i] * strides[i];
            rest /= sizes[i];
        }
        if (offset != offset_of(element)) return false;
    }
    return true;
}

TEST(CanView, AgreesWithASearchOverAllElements) {
    std::vector<std::vector<std::int64_t>> const shapes{
        {24},    {2, 12},    {12, 2},   {4, 6},       {6, 4},       {2, 3, 4}, {4, 3, 2}, {1, 24},
        {24, 1}, {2, 1, 12}, {2, 2, 6}, {2, 2, 2, 3}, {3, 2, 2, 2}, {8, 3},    {3, 8}};
    std::vector<TensorValue> const values{
        tensor({2, 3, 4}, {12, 4, 1}), tensor({2, 3, 4}, {12, 1, 3}), tensor({2, 3, 4}, {24, 4, 1}),
        tensor({2, 3, 4}, {4, 8, 1}),  tensor({2, 3, 4}, {0, 4, 1}),  tensor({2, 3, 4}, {1, 2, 6}),
        tensor({2, 3, 4}, {12, 4, 0}), tensor({4, 6}, {6, 1}),        tensor({4, 6}, {1, 4}),
        tensor({4, 1, 6}, {6, 99, 1}), tensor({2, 2, 6}, {0, 0, 1}),  tensor({24}, {3}),
        tensor({2, 12}, {36, 3}),      tensor({2, 12}, {40, 3}),
    };
    int views = 0;
    for (auto const& value : values) {
        for (auto const& shape : shapes) {
            bool const expected = can_view_by_search(value, shape);
            EXPECT_EQ(can_view(value, shape), expected)
                << testing::PrintToString(value.sizes) << testing::PrintToString(value.strides)
                << " as " << testing::PrintToString(shape);
            views += expected ? 1 : 0;
        }
    }
    EXPECT_GT(views, 50);
    EXPECT_LT(views, 150);
}

}  // namespace
}  // namespace derate
