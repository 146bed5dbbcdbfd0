#include "benchmarks/bench_flags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/input_error.hpp"

namespace derate::benchmarks {
namespace {

BenchFlags parse(std::vector<char const*> arguments) {
    arguments.insert(arguments.begin(), "derate-bench");
    return parse_bench_flags(static_cast<int>(arguments.size()), arguments.data());
}

std::string error_of(std::vector<char const*> const& arguments) {
    try {
        (void)parse(arguments);
    } catch (InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(BenchFlags, PinsMallocUnlessToldNotTo) {
    EXPECT_EQ(parse({"--model", "resnet18"}).allocator, Allocator::pinned);
    EXPECT_EQ(parse({"--model", "resnet18", "--allocator=default"}).allocator,
              Allocator::untouched);
    EXPECT_THAT(error_of({"--model", "resnet18", "--allocator", "jemalloc"}),
                testing::HasSubstr("pinned or default"));
}

TEST(BenchFlags, LeavesGoogleBenchmarksFlagsToIt) {
    auto const flags = parse({"--model", "resnet18,vgg16", "--threads=2", "--benchmark_filter=conv",
                              "--cache-state", "hot"});
    EXPECT_THAT(flags.models, testing::ElementsAre("resnet18", "vgg16"));
    EXPECT_EQ(flags.threads, 2);
    EXPECT_EQ(flags.cache_state, CacheState::hot);
    EXPECT_THAT(flags.google_benchmark, testing::ElementsAre("--benchmark_filter=conv"));
}

TEST(BenchFlags, SayWhatIsWrong) {
    EXPECT_EQ(error_of({"--modle", "x"}), "--modle: unknown flag (did you mean --model?)");
    EXPECT_EQ(error_of({"--threads", "0", "--peaks"}),
              "--threads: got '0' (a whole number, 1 or more)");
    EXPECT_EQ(error_of({"--plan", "p.json"}), "derate-bench: --plan without --samples (both)");
    EXPECT_EQ(error_of({"--batch"}), "--batch: no value (a value after it)");
    EXPECT_THAT(error_of({"--peaks", "--precision", "int8"}), testing::HasSubstr("not supported"));
    EXPECT_THAT(error_of({"--peaks", "--cache-state", "in_context"}),
                testing::HasSubstr("hot, cold_activations or cold_all"));
    EXPECT_THAT(error_of({}), testing::HasSubstr("nothing to do"));
}

}  // namespace
}  // namespace derate::benchmarks
