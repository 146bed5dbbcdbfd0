#include "storage/plan_json.hpp"

#include <gtest/gtest.h>

#include "core/input_error.hpp"
#include "measuring/environment.hpp"
#include "measuring/plan.hpp"
#include "storage/environment_json.hpp"
#include "storage/sample_record_json.hpp"

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

/// With a value in every field but those that are documents of their own.
SampleRecord full_record() {
    SampleRecord record{.kind = SampleKind::isolated};
    record.launch = 3;
    record.sequence = 17;
    record.time_ns = 9007199254740993;  // 2^53 + 1: must not pass through a double
    record.case_key = "k";
    record.clock_hz = 2.5e9;
    record.model = "m";
    record.batch = 1;
    record.subgraph = 5;
    record.iterations = 12;
    record.time_ms = 0.1;
    record.fast_ms = 0.09;
    record.subgraph_ms = {0.5, 2};
    record.steady = false;
    record.warmup = 2;
    record.probe = "fma";
    record.per_second = 3;
    record.unit = "flop";
    record.reason = "r";
    record.wall_s = 4.5;
    record.loading_s = 1;
    record.rules = "5 launches";
    record.allocator = Allocator::untouched;
    return record;
}

TEST(SampleRecord, ReadsAsItWasWritten) {
    auto record = full_record();
    auto const line = to_json_line(record);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(sample_record_from_json(line, "x:1"), record);
    record.settings = R"({"threads":2})";  // not flat: read as a document
    EXPECT_EQ(sample_record_from_json(to_json_line(record), "x:1"), record);
}

TEST(SampleRecord, AFieldOfAnotherTypeIsAnError) {
    auto const line = to_json_line(full_record());
    for (auto const& [field, value] : {
             std::pair{R"("model":"m")", R"("model":true)"},
             std::pair{R"("batch":1)", R"("batch":3000000000)"},
             std::pair{R"("batch":1)", R"("batch":1.0)"},
             std::pair{R"("steady":false)", R"("steady":0)"},
             std::pair{R"("time_ms":0.1)", R"("time_ms":"0.1")"},
             std::pair{R"("allocator":"default")", R"("allocator":"jemalloc")"},
         }) {
        auto changed = line;
        ASSERT_NE(changed.find(field), std::string::npos) << line;
        changed.replace(changed.find(field), std::string_view{field}.size(), value);
        EXPECT_THROW((void)sample_record_from_json(changed, "x:1"), InputError) << value;
    }
}

TEST(SampleRecord, LineWithAnEnvironmentKeepsUnknownsUnknown) {
    SampleRecord record{.kind = SampleKind::environment};
    record.environment = Environment{};
    record.environment->cpu_name = "AMD EPYC";
    record.environment->loaded_libraries = {{"libc.so.6", "2.36", std::nullopt}};
    auto const line = to_json_line(record);
    EXPECT_NE(line.find(R"("governor":null)"), std::string::npos);
    EXPECT_EQ(sample_record_from_json(line, "x:1"), record);
}

TEST(SampleRecord, TornLineIsAnError) {
    auto const line = to_json_line({.kind = SampleKind::whole});
    for (std::size_t length = 0; length < line.size(); ++length) {
        EXPECT_THROW((void)sample_record_from_json(line.substr(0, length), "x:1"), InputError);
    }
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
