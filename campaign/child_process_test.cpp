#include "campaign/child_process.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace derate {
namespace {

TEST(ChildProcess, KeepsOneStreamAndTheWayItEnded) {
    std::vector<std::string> const command{"/bin/sh", "-c", "echo out; echo error >&2; exit 3"};
    ChildProcess words{command};
    auto const end = words.wait(10'000);
    ASSERT_TRUE(end.has_value());
    EXPECT_EQ(end->code, 3);
    EXPECT_EQ(end->last_words, "error\n");
    ChildProcess output{command, KeptStream::output};
    EXPECT_EQ(output.wait(10'000).value().last_words, "out\n");
}

TEST(ChildProcess, NamesTheSignalThatEndedIt) {
    ChildProcess child{{"/bin/sh", "-c", "kill -SEGV $$"}};
    auto const end = child.wait(10'000);
    ASSERT_TRUE(end.has_value());
    EXPECT_EQ(end->signal, SIGSEGV);
    EXPECT_EQ(end->code, std::nullopt);
}

TEST(AskForEnvironment, IsWhatTheBenchTells) {
    ::setenv("SYNTHETIC_BLAS", "reference", 1);
    auto const environment = ask_for_environment(SYNTHETIC_BENCH);
    ::unsetenv("SYNTHETIC_BLAS");
    ASSERT_TRUE(environment.has_value());
    EXPECT_EQ(environment->blas, "reference");
}

TEST(AskForEnvironment, OtherProgramsSayNothing) {
    EXPECT_EQ(ask_for_environment("/bin/false"), std::nullopt);
    EXPECT_EQ(ask_for_environment("/bin/echo"), std::nullopt);
    EXPECT_EQ(ask_for_environment("/nonexistent"), std::nullopt);
}

}  // namespace
}  // namespace derate
