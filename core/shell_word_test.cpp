#include "core/shell_word.hpp"

#include <gtest/gtest.h>

#include "ctest/program_run.hpp"

namespace derate {
namespace {

TEST(ShellWord, PlainWordsStayPlain) {
    EXPECT_EQ(shell_word("staged/cpu/my-cpu_1.json"), "staged/cpu/my-cpu_1.json");
}

TEST(ShellWord, QuotesWhatAShellWouldRead) {
    EXPECT_EQ(shell_word("my folder"), "'my folder'");
    EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_word(""), "''");
}

TEST(ShellWord, TheShellGivesBackWhatWasQuoted) {
    for (char const* text : {"plain", "a b", "'", "''x'", "$HOME `id` \\ \"", "#/|;&<>*?[]~", "ä ö"}) {
        EXPECT_EQ(run_program("printf %s " + shell_word(text)).output, text);
    }
}

}  // namespace
}  // namespace derate
