#include "campaign/samples.hpp"

#include <gtest/gtest.h>

#include "core/input_error.hpp"

namespace derate {
namespace {

SampleRecord repetition(int launch, std::int64_t sequence, double time_ms) {
    return {.kind = SampleKind::isolated,
            .launch = launch,
            .sequence = sequence,
            .time_ns = 1,
            .case_key = "k",
            .time_ms = time_ms,
            .steady = true};
}

TEST(Samples, CountARepetitionOnceHoweverOftenItIsRead) {
    Samples samples;
    for (int pass = 0; pass < 2; ++pass) {
        samples.add(repetition(0, 0, 1));
        samples.add(repetition(0, 7, 3));
        samples.add(repetition(1, 7, 5));  // the same number in another launch is another
    }
    EXPECT_EQ(samples.repetitions, 3);
    EXPECT_EQ(timing_of(samples.isolated.at("k"))->samples, 3);
    EXPECT_EQ(timing_of(samples.isolated.at("k"))->center_ms, (2.0 + 5) / 2);
}

TEST(SequenceSet, ListsWhatItHasInOrder) {
    SequenceSet set;
    EXPECT_TRUE(set.insert(70));
    EXPECT_TRUE(set.insert(3));
    EXPECT_FALSE(set.insert(70));
    EXPECT_TRUE(set.contains(3));
    EXPECT_FALSE(set.contains(4));
    EXPECT_FALSE(set.contains(1000));
    EXPECT_EQ(set.ascending(), (std::vector<std::int64_t>{3, 70}));
    EXPECT_EQ(set.size(), 2u);
}

TEST(SequenceSet, RefusesANumberThatOnlyDamageMakes) {
    SequenceSet set;
    EXPECT_THROW(set.insert(-1), InputError);
    EXPECT_THROW(set.insert(std::int64_t{1} << 60), InputError);
}

}  // namespace
}  // namespace derate
