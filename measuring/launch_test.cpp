#include "measuring/launch.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "measuring/cannot_time.hpp"

namespace derate {
namespace {

/// Takes 1 ms an iteration on a clock of its own; one case and one model cannot be timed.
class SyntheticMachine : public TimedMachine {
  public:
    std::int64_t now_ns() override { return now_ns_; }
    void load_model(std::size_t model) override {
        log += "load " + std::to_string(model) + "; ";
        now_ns_ += 1'000'000'000;
        if (model == 2) throw CannotTime{"no memory"};
    }
    void unload_model(std::size_t model) override {
        log += "unload " + std::to_string(model) + "; ";
    }
    Repetition time_case(std::size_t index, RepetitionPolicy const& policy) override {
        log += "case " + std::to_string(index) + "; ";
        if (index == 1) throw CannotTime{"operator aten::new is not in this LibTorch"};
        return take_repetition([this] { return tick(); }, policy);
    }
    Repetition time_whole(std::size_t, RepetitionPolicy const& policy) override {
        return take_repetition([this] { return tick(); }, policy);
    }
    InContextRun time_in_context(std::size_t, RepetitionPolicy const&) override {
        return {.run_ms = 3, .subgraph_ms = {1, 2}};
    }
    double time_drift_probe(std::size_t) override { return tick(); }
    std::vector<PeakResult> measure_peaks() override {
        return {{.probe = "fma", .unit = "flop", .per_second = {1e9, 2e9}}};
    }
    Environment describe() override { return {}; }

    std::string log{};

  private:
    double tick() {
        now_ns_ += 1'000'000;
        return 1.0;
    }
    std::int64_t now_ns_ = 0;
};

Plan plan_of(std::vector<PlannedStep> steps) {
    Plan plan;
    plan.launch = 3;
    plan.models = {{.name = "a"}, {.name = "b"}, {.name = "too_large"}};
    plan.cases = {{.key = "x", .model = 0, .subgraph = 4},
                  {.key = "y", .model = 0},
                  {.key = "z", .model = 1}};
    plan.steps = std::move(steps);
    return plan;
}

std::vector<SampleRecord> records_of(Plan const& plan, SyntheticMachine& machine) {
    std::vector<SampleRecord> records;
    run_launch(plan, machine, [&](SampleRecord const& record) { records.push_back(record); }, {});
    return records;
}

constexpr auto isolated = StepKind::isolated;

TEST(RunLaunch, RecordsEachStepWithItsPlaceInThePlan) {
    SyntheticMachine machine;
    auto const records = records_of(
        plan_of(
            {{StepKind::drift, 1}, {isolated, 0}, {StepKind::whole, 0}, {StepKind::in_context, 0}}),
        machine);
    ASSERT_EQ(records.size(), 6U);
    RepetitionTimes const times{
        .iterations = 5, .time_ms = 1, .fast_ms = 1, .steady = true, .warmup = 1};
    EXPECT_EQ(records[0].content, SampleContent{EnvironmentLine{}});
    EXPECT_EQ(records[1].content, (SampleContent{DriftLine{.probe = "bandwidth", .time_ms = 1}}));
    EXPECT_EQ(records[2].launch, 3);
    EXPECT_EQ(records[2].sequence, 1);
    EXPECT_EQ(records[2].content,
              (SampleContent{IsolatedLine{
                  .case_key = "x", .model = "a", .batch = 1, .subgraph = 4, .times = times}}));
    EXPECT_EQ(records[3].content,
              (SampleContent{WholeLine{.model = "a", .batch = 1, .times = times}}));
    EXPECT_EQ(records[4].content,
              (SampleContent{InContextLine{
                  .model = "a", .batch = 1, .time_ms = 3, .subgraph_ms = {1, 2}, .warmup = 1}}));
    auto const& end = std::get<LaunchEndLine>(records[5].content);
    EXPECT_EQ(end.reason, "complete");
    EXPECT_NEAR(end.loading_s, 1.0, 1e-9);
}

TEST(RunLaunch, LoadsAModelAtItsFirstStepAndFreesItAfterItsLast) {
    SyntheticMachine machine;
    (void)records_of(plan_of({{isolated, 0}, {isolated, 2}, {isolated, 0}}), machine);
    EXPECT_EQ(machine.log, "load 0; case 0; load 1; case 2; unload 1; case 0; unload 0; ");
}

TEST(RunLaunch, RecordsAFailureOnceAndGoesOn) {
    SyntheticMachine machine;
    auto const records =
        records_of(plan_of({{isolated, 1}, {isolated, 1}, {isolated, 0}}), machine);
    ASSERT_EQ(records.size(), 4U);
    EXPECT_EQ(records[1].content,
              (SampleContent{FailureLine{.case_key = "y",
                                         .model = "a",
                                         .batch = 1,
                                         .subgraph = 0,
                                         .reason = "operator aten::new is not in this LibTorch"}}));
    EXPECT_EQ(std::get<IsolatedLine>(records[2].content).case_key, "x");
}

TEST(RunLaunch, LeavesOutTheStepsOfAModelThatCannotBeLoaded) {
    SyntheticMachine machine;
    auto const records = records_of(
        plan_of({{StepKind::whole, 2}, {StepKind::in_context, 2}, {isolated, 0}}), machine);
    ASSERT_EQ(records.size(), 4U);
    EXPECT_EQ(
        records[1].content,
        (SampleContent{FailureLine{.model = "too_large", .batch = 1, .reason = "no memory"}}));
}

TEST(RunLaunch, LeavesOutWhatIsDone) {
    SyntheticMachine machine;
    auto plan = plan_of({{isolated, 2}, {isolated, 0}, {isolated, 2}});
    plan.done = {0, 2};
    (void)records_of(plan, machine);
    EXPECT_EQ(machine.log, "load 0; case 0; unload 0; ");
}

TEST(RunLaunch, EndsAtTheFirstStepAfterTheLimit) {
    SyntheticMachine machine;
    auto plan = plan_of({{isolated, 0}, {isolated, 0}});
    plan.time_limit_s = 0.5;  // loading takes 1 s
    auto const records = records_of(plan, machine);
    EXPECT_EQ(std::get<LaunchEndLine>(records.back().content).reason, "time_limit");
    EXPECT_EQ(records.size(), 3U);
}

TEST(RunLaunch, WritesEveryRepetitionOfAPeak) {
    SyntheticMachine machine;
    auto plan = plan_of({});
    plan.peaks = true;
    auto const records = records_of(plan, machine);
    ASSERT_EQ(records.size(), 4U);
    EXPECT_EQ(records[2].content,
              (SampleContent{PeakLine{.probe = "fma", .per_second = 2e9, .unit = "flop"}}));
}

TEST(Launch, GoesOnWithoutPeaksThatCannotBeTaken) {
    class WithoutPeaks : public SyntheticMachine {
      public:
        std::vector<PeakResult> measure_peaks() override { throw CannotTime{"out of memory"}; }
    };
    WithoutPeaks machine;
    auto plan = plan_of({{StepKind::isolated, 0}});
    plan.peaks = true;
    std::vector<std::string_view> kinds;
    for (auto const& record : records_of(plan, machine)) kinds.push_back(kind_of(record.content));
    EXPECT_EQ(kinds, (std::vector<std::string_view>{"environment", "isolated", "launch_end"}));
}

}  // namespace
}  // namespace derate
