// What --dry-run says of a campaign: every case in the order of the first launch, and how to time
// one of them alone.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "ctest/program_run.hpp"

namespace derate {
namespace {

nlohmann::json dry_run(std::string const& flags) {
    auto const ran = run_program(std::string{DERATE_PROGRAM} +
                                 " measure --model squeezenet1_1 --dry-run --json " + flags);
    EXPECT_EQ(ran.code, 0);
    return nlohmann::json::parse(ran.output);
}

std::vector<std::string> names_of(nlohmann::json const& plan) {
    std::vector<std::string> names;
    for (auto const& item : plan.at("cases")) names.push_back(item.at("name"));
    return names;
}

TEST(DryRun, ListsCasesInTheOrderThatTheSeedDraws) {
    auto const plan = dry_run("--seed 1");
    auto const names = names_of(plan);
    EXPECT_EQ(names.size(), 27);
    int before = -1;
    for (auto const& item : plan.at("cases")) {
        int const step = item.at("first_step");
        EXPECT_GT(step, before);
        before = step;
    }
    EXPECT_EQ(names_of(dry_run("--seed 1")), names);
    auto const other = names_of(dry_run("--seed 2"));
    EXPECT_NE(other, names);
    EXPECT_EQ(std::set(other.begin(), other.end()), std::set(names.begin(), names.end()));
}

TEST(DryRun, ReproLineFindsItsCaseAndNoOther) {
    auto const bench = std::filesystem::path{DERATE_PROGRAM}.parent_path();
    if (!std::filesystem::exists(bench / "derate-bench")) {
        GTEST_SKIP() << "derate-bench is not built here";
    }
    auto const plan = dry_run("--cache-state hot");
    auto const& item = plan.at("cases").front();
    auto const ran = run_program(bench.string() + "/" + item.at("repro").get<std::string>() +
                                 " --benchmark_list_tests");
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.output, item.at("name").get<std::string>() + "/manual_time\n");
}

}  // namespace
}  // namespace derate
