#include "storage/plan_json.hpp"

#include <gtest/gtest.h>

#include "core/input_error.hpp"
#include "measuring/environment.hpp"
#include "measuring/plan.hpp"
#include "storage/environment_json.hpp"

namespace derate {
namespace {

Plan small_plan() {
    return {.campaign = "c",
            .launch = 2,
            .seed = 18446744073709551615ULL,  // must not pass through a double
            .value_rule = "derate_2",
            .execution = {.device = DeviceKind::gpu,
                          .threads = 2,
                          .cpus = {0, 1},
                          .allocator = Allocator::untouched},
            .repetition = {.min_timed_ms = 7.5},
            .time_limit_s = 60,
            .peaks = true,
            .models =
                {{.name = "m", .file = "/models/m.pt2", .batch = 4, .precision = Precision::bf16}},
            .cases = {{.key = "k", .model = 0, .subgraph = 3, .state = CacheState::hot}},
            .steps = {{StepKind::drift, 1}, {StepKind::isolated, 0}, {StepKind::whole, 0}},
            .done = {0}};
}

TEST(Plan, ReadsAsItWasWritten) {
    EXPECT_EQ(plan_from_json(to_json_text(small_plan()), "plan"), small_plan());
}

TEST(Plan, OfBeforeAllocatorsWereNamedIsPinned) {
    auto text = to_json_text(small_plan());
    std::string const field = R"("allocator":"default",)";
    auto const at = text.find(field);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(plan_from_json(text.erase(at, field.size()), "plan").execution.allocator,
              Allocator::pinned);
}

TEST(Plan, OfBeforeValueRulesHadNamesIsOfTheFirst) {
    auto text = to_json_text(small_plan());
    std::string const rule = R"("value_rule":"derate_2",)";
    ASSERT_NE(text.find(rule), std::string::npos);
    text.erase(text.find(rule), rule.size());
    EXPECT_EQ(plan_from_json(text, "plan").value_rule, "derate_1");
}

TEST(Plan, StepThatPointsNowhereIsAnError) {
    auto plan = small_plan();
    plan.steps.push_back({StepKind::isolated, 1});
    EXPECT_THROW((void)plan_from_json(to_json_text(plan), "plan"), InputError);
    plan = small_plan();
    plan.cases[0].model = 1;
    EXPECT_THROW((void)plan_from_json(to_json_text(plan), "plan"), InputError);
}

TEST(DescriptorHash, IsFnv1a) {
    // Test vectors of the FNV authors (draft-eastlake-fnv, appendix C): "", "a", "foobar".
    EXPECT_EQ(descriptor_hash(""), "cbf29ce484222325");
    EXPECT_EQ(descriptor_hash("a"), "af63dc4c8601ec8c");
    EXPECT_EQ(descriptor_hash("foobar"), "85944171f73967e8");
}

TEST(CaseKey, HoldsAllThatTheTimeDependsOn) {
    EXPECT_EQ(case_key("a", CacheState::cold_all, {.threads = 2, .cpus = {0, 1}}, Precision::bf16),
              "af63dc4c8601ec8c/cold_all/t2@0-1/BF16");
    EXPECT_EQ(case_key("a", CacheState::hot, {.threads = 1}, Precision::fp32),
              "af63dc4c8601ec8c/hot/t1/FP32");
    EXPECT_EQ(case_key("a", CacheState::hot, {.threads = 1, .allocator = Allocator::untouched},
                       Precision::fp32),
              "af63dc4c8601ec8c/hot/t1/FP32/default_malloc");
}

TEST(Environment, HashIgnoresLoadAndPathsOnly) {
    Environment quiet{.cpu_name = "AMD EPYC", .load_average = 0.1};
    quiet.loaded_libraries = {{"libc.so.6", "2.36", "/lib/libc.so.6"}};
    auto busy = quiet;
    busy.load_average = 7;
    busy.command_line = "derate measure";
    busy.loaded_libraries[0].path = "/elsewhere/libc.so.6";
    EXPECT_EQ(environment_hash(quiet), environment_hash(busy));
    busy.governor = "performance";
    EXPECT_NE(environment_hash(quiet), environment_hash(busy));
}

TEST(CpuList, JoinsNeighbours) {
    EXPECT_EQ(cpu_list(std::array{0, 1, 4}), "0-1,4");
    EXPECT_EQ(cpu_list(std::array{3}), "3");
    EXPECT_EQ(cpu_list({}), "");
}

}  // namespace
}  // namespace derate
