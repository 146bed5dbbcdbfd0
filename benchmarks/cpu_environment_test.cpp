#include "benchmarks/cpu_environment.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>

namespace derate::benchmarks {
namespace {

TEST(PinMallocThresholds, LargeBlocksStayOnTheHeapAndAreNotGivenBack) {
    ASSERT_TRUE(pin_malloc_thresholds());
    constexpr std::size_t bytes = std::size_t{64} << 20;
    auto const before = mallinfo2();
    auto* const block = static_cast<char*>(std::malloc(bytes));
    ASSERT_NE(block, nullptr);
    std::memset(block, 1, bytes);
    auto const holding = mallinfo2();
    std::free(block);
    auto const after = mallinfo2();
    // Without M_MMAP_THRESHOLD the block is a mapping of its own, without M_TRIM_THRESHOLD the heap
    // shrinks again: either way the next tensor pays for fresh pages.
    EXPECT_EQ(holding.hblks, before.hblks);
    EXPECT_GE(holding.arena, bytes);
    EXPECT_EQ(after.arena, holding.arena);
}

TEST(LibraryEnvironment, RecordsThePinnedThresholds) {
    ASSERT_TRUE(pin_malloc_thresholds());
    auto const environment = library_environment();
    EXPECT_EQ(environment.malloc_mmap_threshold_bytes, 2e9);
    EXPECT_EQ(environment.malloc_trim_threshold_bytes, 2e9);
}

}  // namespace
}  // namespace derate::benchmarks
