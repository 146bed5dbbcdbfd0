#include "benchmarks/cpu_environment.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>

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

TEST(FlushDenormals, HoldsForThreadsStartedAfterwards) {
    ASSERT_TRUE(flush_denormals());
    EXPECT_EQ(library_environment().flush_denormals, true);
    float volatile smallest_normal = std::numeric_limits<float>::min();
    float here = 1;
    float there = 1;
    here = smallest_normal / 4;
    std::thread{[&] { there = smallest_normal / 4; }}.join();
    EXPECT_EQ(here, 0);
    EXPECT_EQ(there, 0);
}

}  // namespace
}  // namespace derate::benchmarks
