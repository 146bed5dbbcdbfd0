#include "storage/sample_record_json.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/input_error.hpp"
#include "storage/environment_json.hpp"

namespace derate {
namespace {

constexpr char const* settings_text =
    R"({"allocator":"default","campaign":"",)"
    R"("cases":[{"key":"k","model":0,"state":"hot","subgraph":3}],"cpus":[1],"device":"cpu",)"
    R"("done":[],"format":"derate_plan","launch":-1,)"
    R"("models":[{"batch":4,"file":"/m.pt2","name":"m","precision":"BF16"}],"peaks":true,)"
    R"("repetition":{"max_iterations":1000,"max_warmup_ms":20.0,"min_iterations":4,)"
    R"("min_timed_ms":7.5,"min_warmup_iterations":1},"seed":18446744073709551615,"steps":[],)"
    R"("threads":1,"time_limit_s":0.0,"value_rule":"derate_2","version":1})";

Plan settings() {
    return {.launch = -1,
            .seed = 18446744073709551615ULL,  // must not pass through a double
            .value_rule = "derate_2",
            .execution = {.threads = 1, .cpus = {1}, .allocator = Allocator::untouched},
            .repetition = {.min_timed_ms = 7.5},
            .peaks = true,
            .models = {{.name = "m", .file = "/m.pt2", .batch = 4, .precision = Precision::bf16}},
            .cases = {{.key = "k", .model = 0, .subgraph = 3, .state = CacheState::hot}}};
}

std::string const campaign_line =
    R"({"kind":"campaign","launch":-1,"time_ns":1,"reason":"2026-11-22T18:13:20Z","settings":)" +
    std::string{settings_text} + R"(,"rules":"launches 5-14","allocator":"default"})";

constexpr char const* isolated_line =
    R"({"kind":"isolated","launch":3,"sequence":17,"time_ns":9007199254740993,"case":"k",)"
    R"("model":"m","batch":1,"subgraph":5,"iterations":12,"time_ms":0.1,"fast_ms":0.09,)"
    R"("steady":false,"warmup":2})";

struct Written {
    std::string line;
    SampleRecord record;
};

/// A line of each kind, as files have held them since their format was laid down.
std::vector<Written> lines_of_every_kind() {
    Environment const environment{.cpu_name = "AMD EPYC",
                                  .loaded_libraries = {{"libc.so.6", "2.36", std::nullopt}}};
    return {
        {campaign_line,
         {.launch = -1,
          .time_ns = 1,
          .content =
              CampaignLine{
                  .date = "2026-11-22T18:13:20Z", .settings = settings(), .rules = "launches 5-14"},
          .allocator = Allocator::untouched}},
        {R"({"kind":"environment","launch":0,"time_ns":2,"environment":)" +
             to_json_text(environment) + "}",
         {.time_ns = 2, .content = EnvironmentLine{environment}}},
        {isolated_line,
         {.launch = 3,
          .sequence = 17,
          .time_ns = 9007199254740993,  // 2^53 + 1: must not pass through a double
          .content = IsolatedLine{.case_key = "k",
                                  .model = "m",
                                  .batch = 1,
                                  .subgraph = 5,
                                  .times = {.iterations = 12,
                                            .time_ms = 0.1,
                                            .fast_ms = 0.09,
                                            .steady = false,
                                            .warmup = 2}}}},
        {R"({"kind":"in_context","launch":0,"sequence":1,"time_ns":3,"model":"m","iterations":7,)"
         R"("time_ms":2.5,"subgraph_ms":[0.5,2.0],"warmup":1})",
         {.sequence = 1,
          .time_ns = 3,
          .content = InContextLine{.model = "m",
                                   .iterations = 7,
                                   .time_ms = 2.5,
                                   .subgraph_ms = {0.5, 2},
                                   .warmup = 1}}},
        {R"({"kind":"whole","launch":0,"sequence":2,"time_ns":4,"model":"m","batch":8,)"
         R"("iterations":4,"time_ms":3.0,"fast_ms":2.5,"steady":true,"warmup":1,)"
         R"("allocator":"default"})",
         {.sequence = 2,
          .time_ns = 4,
          .content =
              WholeLine{.model = "m",
                        .batch = 8,
                        .times = {.iterations = 4, .time_ms = 3, .fast_ms = 2.5, .warmup = 1}},
          .allocator = Allocator::untouched}},
        {R"({"kind":"drift","launch":0,"sequence":0,"time_ns":5,"time_ms":1.5,"probe":"compute"})",
         {.sequence = 0, .time_ns = 5, .content = DriftLine{.probe = "compute", .time_ms = 1.5}}},
        {R"({"kind":"peak","launch":0,"time_ns":6,"probe":"fma","per_second":3.0,"unit":"flop",)"
         R"("clock_hz":2500000000.0})",
         {.time_ns = 6,
          .content = PeakLine{.probe = "fma", .per_second = 3, .unit = "flop", .clock_hz = 2.5e9}}},
        {R"({"kind":"stopped","launch":4,"time_ns":7,"case":"k","reason":"precise"})",
         {.launch = 4, .time_ns = 7, .content = StoppedLine{.case_key = "k", .reason = "precise"}}},
        {R"({"kind":"stopped","launch":4,"time_ns":7,"model":"m","batch":1,"reason":"launches"})",
         {.launch = 4,
          .time_ns = 7,
          .content = StoppedLine{.model = "m", .batch = 1, .reason = "launches"}}},
        {R"({"kind":"failure","launch":0,"sequence":9,"time_ns":8,"case":"k","model":"m",)"
         R"("batch":1,"subgraph":5,"reason":"no memory"})",
         {.sequence = 9,
          .time_ns = 8,
          .content = FailureLine{.case_key = "k",
                                 .model = "m",
                                 .batch = 1,
                                 .subgraph = 5,
                                 .reason = "no memory"}}},
        {R"({"kind":"failure","launch":0,"sequence":9,"time_ns":8,"probe":"bandwidth",)"
         R"("reason":"no memory"})",
         {.sequence = 9,
          .time_ns = 8,
          .content = FailureLine{.probe = "bandwidth", .reason = "no memory"}}},
        {R"({"kind":"launch_end","launch":2,"time_ns":9,"reason":"complete","wall_s":4.5,)"
         R"("loading_s":1.0})",
         {.launch = 2,
          .time_ns = 9,
          .content = LaunchEndLine{.reason = "complete", .wall_s = 4.5, .loading_s = 1}}},
        {R"({"kind":"finished","launch":4,"time_ns":10})",
         {.launch = 4, .time_ns = 10, .content = FinishedLine{}}},
    };
}

std::string replaced(std::string text, std::string_view before, std::string_view after) {
    auto const at = text.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    return at == std::string::npos ? text : text.replace(at, before.size(), after);
}

std::string refusal_of(std::string_view line) {
    try {
        (void)sample_record_from_json(line, "x:1");
    } catch (InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(SampleRecord, IsReadAndWrittenAsFilesHoldIt) {
    for (auto const& [line, record] : lines_of_every_kind()) {
        EXPECT_EQ(to_json_line(record), line);
        EXPECT_EQ(sample_record_from_json(line, "x:1"), record) << line;
    }
}

TEST(SampleRecord, OfEveryKindIsShown) {
    std::vector<bool> shown(std::variant_size_v<SampleContent>);
    for (auto const& written : lines_of_every_kind()) shown[written.record.content.index()] = true;
    for (std::size_t kind = 0; kind < shown.size(); ++kind) EXPECT_TRUE(shown[kind]) << kind;
}

TEST(SampleRecord, OfBeforePlansNamedValuesAndAllocatorIsOfTheFirst) {
    auto older = replaced(campaign_line, R"("allocator":"default",)", "");
    older = replaced(older, R"(,"value_rule":"derate_2")", R"(,"note":"of no meaning")");
    auto const record = sample_record_from_json(older, "x:1");
    auto expected = settings();
    expected.value_rule = "derate_1";
    expected.execution.allocator = Allocator::pinned;
    EXPECT_EQ(std::get<CampaignLine>(record.content).settings, expected);
}

TEST(SampleRecord, SettingsThatAreNoPlanAreRefusedAtTheirLine) {
    auto const other = replaced(campaign_line, R"("version":1)", R"("version":2)");
    EXPECT_EQ(refusal_of(other),
              "x:1: not a plan that this program reads (format derate_plan, version 1)");
}

TEST(SampleRecord, OfBeforeFasterHalvesWereKeptHasNone) {
    auto const older = replaced(isolated_line, R"("fast_ms":0.09,)", "");
    auto const record = sample_record_from_json(older, "x:1");
    EXPECT_EQ(std::get<IsolatedLine>(record.content).times.fast_ms, std::nullopt);
    EXPECT_EQ(to_json_line(record), older);
}

TEST(SampleRecord, FieldsThatItDoesNotKnowAndTheirOrderAreOfNoMeaning) {
    auto const wanted = sample_record_from_json(isolated_line, "x:1");
    for (auto const* more :
         {R"("probe":"compute","steady")", R"("of_later":{"a":[1]},"steady")"}) {
        auto const line = replaced(isolated_line, R"("steady")", more);
        EXPECT_EQ(sample_record_from_json(line, "x:1"), wanted) << more;
    }
    auto const last = replaced(replaced(isolated_line, R"("kind":"isolated",)", ""),
                               R"("warmup":2)", R"("warmup":2,"kind":"isolated")");
    EXPECT_EQ(sample_record_from_json(last, "x:1"), wanted);
}

TEST(SampleRecord, WithoutWhatItsKindNeedsIsAnError) {
    for (auto const& [field, name] : {
             std::pair{R"("kind":"isolated",)", "kind"},
             {R"("launch":3,)", "launch"},
             {R"("time_ns":9007199254740993,)", "time_ns"},
             {R"("case":"k",)", "case"},
             {R"("model":"m",)", "model"},
             {R"("steady":false,)", "steady"},
         }) {
        EXPECT_EQ(refusal_of(replaced(isolated_line, field, "")),
                  "x:1#/" + std::string{name} + ": is missing (every required field)");
    }
    auto const renamed = replaced(isolated_line, "isolated", "isolate");
    EXPECT_EQ(refusal_of(renamed), "x:1#/kind: got \"isolate\" (a kind of docs/measuring.md)");
}

TEST(SampleRecord, AFieldOfAnotherTypeIsAnError) {
    auto const line = replaced(isolated_line, R"(})", R"(,"allocator":"default"})");
    for (auto const& [field, value] : {
             std::pair{R"("model":"m")", R"("model":true)"},
             {R"("model":"m")", R"("model":null)"},
             {R"("batch":1)", R"("batch":3000000000)"},
             {R"("batch":1)", R"("batch":1.0)"},
             {R"("steady":false)", R"("steady":0)"},
             {R"("time_ms":0.1)", R"("time_ms":"0.1")"},
             {R"("allocator":"default")", R"("allocator":"jemalloc")"},
         }) {
        EXPECT_NE(refusal_of(replaced(line, field, value)), "accepted") << value;
    }
}

TEST(SampleRecord, ATimeThatIsNoNumberIsUnknown) {
    auto record = sample_record_from_json(isolated_line, "x:1");
    std::get<IsolatedLine>(record.content).times.time_ms = std::numeric_limits<double>::quiet_NaN();
    auto const line = to_json_line(record);
    EXPECT_EQ(line, replaced(isolated_line, R"("time_ms":0.1)", R"("time_ms":null)"));
    auto const read = sample_record_from_json(line, "x:1");
    EXPECT_EQ(std::get<IsolatedLine>(read.content).times.time_ms, std::nullopt);
}

TEST(SampleRecord, KeepsUnknownsOfAnEnvironmentUnknown) {
    auto const line = to_json_line({.content = EnvironmentLine{}});
    EXPECT_NE(line.find(R"("governor":null)"), std::string::npos);
    EXPECT_EQ(std::get<EnvironmentLine>(sample_record_from_json(line, "x:1").content),
              EnvironmentLine{});
}

TEST(SampleRecord, TornLineIsAnError) {
    for (auto const& written : lines_of_every_kind()) {
        for (std::size_t length = 0; length < written.line.size(); ++length) {
            EXPECT_NE(refusal_of(written.line.substr(0, length)), "accepted");
        }
    }
}

}  // namespace
}  // namespace derate
