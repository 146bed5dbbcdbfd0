#include "campaign/plan_making.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

namespace derate {
namespace {

CampaignSettings settings_with(int models, int subgraphs) {
    CampaignSettings settings;
    for (int m = 0; m < models; ++m) {
        CampaignModel model{
            .name = std::string("m").append(std::to_string(m)), .file = "/m", .tensor_bytes = 1e9};
        for (int s = 0; s < subgraphs; ++s) {
            model.subgraphs.push_back({.id = s,
                                       .type = OperationType::linear,
                                       .work = Flops{1e6},
                                       .traffic = {Bytes{1}, Bytes{1}, Bytes{1}},
                                       .descriptor = std::to_string(m) + "/" + std::to_string(s)});
        }
        settings.models.push_back(std::move(model));
    }
    return settings;
}

LaunchContent everything(CampaignSettings const& settings, std::size_t cases) {
    LaunchContent content;
    for (std::size_t i = 0; i < cases; ++i) content.cases.push_back(i);
    for (std::size_t m = 0; m < settings.models.size(); ++m) {
        content.whole_models.push_back(m);
        content.in_context_models.push_back(m);
    }
    return content;
}

TEST(MakePlan, EqualSeedAndLaunchGiveTheSameOrder) {
    auto const settings = settings_with(3, 10);
    auto const cases = distinct_cases(settings);
    auto const content = everything(settings, cases.size());
    EXPECT_EQ(make_plan(settings, cases, content, "c", 1, 1e12),
              make_plan(settings, cases, content, "c", 1, 1e12));
    EXPECT_NE(make_plan(settings, cases, content, "c", 1, 1e12).steps,
              make_plan(settings, cases, content, "c", 2, 1e12).steps);
}

TEST(MakePlan, EveryCaseComesAsOftenAsTheRulesSay) {
    auto settings = settings_with(3, 10);
    settings.rules.rounds = 3;
    settings.rules.repetitions_per_visit = 2;
    settings.rules.whole_repetitions = 4;
    settings.rules.in_context_repetitions = 2;
    auto const cases = distinct_cases(settings);
    ASSERT_EQ(cases.size(), 30);
    auto const plan = make_plan(settings, cases, everything(settings, 30), "c", 0, 1e12);
    std::map<std::pair<StepKind, std::size_t>, int> times;
    for (auto const& step : plan.steps) ++times[{step.kind, step.index}];
    for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ((times[{StepKind::isolated, i}]), 6);
    for (std::size_t m = 0; m < 3; ++m) {
        EXPECT_EQ((times[{StepKind::whole, m}]), 4);
        EXPECT_EQ((times[{StepKind::in_context, m}]), 2);
    }
    EXPECT_EQ((times[{StepKind::drift, 0}]), 10);  // before all, and after each of 3 x 3 blocks
}

TEST(MakePlan, WhatIsSparseComesOnceALaunch) {
    auto settings = settings_with(3, 10);
    settings.models[1].sparse = true;
    auto const cases = distinct_cases(settings);
    auto const plan = make_plan(settings, cases, everything(settings, 30), "c", 0, 1e12);
    std::map<std::pair<StepKind, std::size_t>, int> times;
    for (auto const& step : plan.steps) ++times[{step.kind, step.index}];
    for (std::size_t i = 0; i < 30; ++i) {
        EXPECT_EQ((times[{StepKind::isolated, i}]), cases[i].model == 1 ? 1 : 6);
    }
    EXPECT_EQ((times[{StepKind::whole, 0}]), settings.rules.whole_repetitions);
    EXPECT_EQ((times[{StepKind::whole, 1}]), 1);
    EXPECT_EQ((times[{StepKind::drift, 0}]), 8);  // before all, and after each of 3 + 1 + 3 blocks
}

TEST(CampaignRules, ShrinkToOneVisitOfEveryCaseAndTwoOfWholeModels) {
    std::vector<std::array<int, 4>> steps;
    for (auto rules = std::optional{standard_rules()}; rules;
         rules = with_fewer_repetitions(*rules)) {
        steps.push_back({rules->rounds, rules->repetitions_per_visit, rules->whole_repetitions,
                         rules->in_context_repetitions});
    }
    std::vector<std::array<int, 4>> const expected{
        {3, 2, 6, 2}, {3, 1, 3, 1}, {3, 1, 2, 1}, {2, 1, 2, 1}, {1, 1, 2, 1}};
    EXPECT_EQ(steps, expected);
}

TEST(MakePlan, DriftProbesRunFirstAndLast) {
    auto const settings = settings_with(2, 2);
    auto const cases = distinct_cases(settings);
    auto const plan = make_plan(settings, cases, everything(settings, 4), "c", 0, 1e12);
    EXPECT_EQ(plan.steps.front().kind, StepKind::drift);
    EXPECT_EQ(plan.steps.back().kind, StepKind::drift);
}

TEST(MakePlan, ModelsThatDoNotFitTogetherAreTakenOneAfterTheOther) {
    auto const settings = settings_with(3, 4);  // 2 GB each, twice their tensors
    auto const cases = distinct_cases(settings);
    auto const plan = make_plan(settings, cases, everything(settings, 12), "c", 0, 3e9);
    std::vector<std::size_t> order;
    for (auto const& step : plan.steps) {
        if (step.kind == StepKind::drift) continue;
        auto const model = step.kind == StepKind::isolated ? cases[step.index].model : step.index;
        if (order.empty() || order.back() != model) order.push_back(model);
    }
    EXPECT_EQ(order.size(), 3) << "a model is loaded once";
}

TEST(MakePlan, WholeRunsLieAmongTheModelsOwnCases) {
    // Anchors minutes away from their parts would put the host's drift into the ratio.
    auto settings = settings_with(4, 50);
    auto const cases = distinct_cases(settings);
    auto const plan = make_plan(settings, cases, everything(settings, 200), "c", 0, 1e12);
    std::size_t model_of_block = 0;
    for (auto const& step : plan.steps) {
        if (step.kind == StepKind::isolated) model_of_block = cases[step.index].model;
        if (step.kind != StepKind::whole) continue;
        auto const here = &step - plan.steps.data();
        bool near = false;
        for (auto i = here; i < static_cast<std::ptrdiff_t>(plan.steps.size()); ++i) {
            if (plan.steps[i].kind == StepKind::drift) break;
            near = near || (plan.steps[i].kind == StepKind::isolated &&
                            cases[plan.steps[i].index].model == step.index);
        }
        EXPECT_TRUE(near || model_of_block == step.index);
    }
}

TEST(DistinctCases, StatesAreCasesOfTheirOwn) {
    auto settings = settings_with(1, 3);
    settings.states = {CacheState::hot, CacheState::cold_all};
    EXPECT_EQ(distinct_cases(settings).size(), 6);
}

TEST(ExactRules, GiveAtLeastTheRunsAskedFor) {
    for (int runs = 1; runs <= 100; ++runs) {
        auto const rules = exact_rules(runs, std::nullopt);
        int const total = rules.max_launches * rules.rounds * rules.repetitions_per_visit;
        EXPECT_GE(total, runs);
        EXPECT_LT(total, runs + rules.max_launches * 2);
    }
    auto const fifty = exact_rules(50, std::nullopt);
    EXPECT_EQ(fifty.max_launches, 5);
    EXPECT_EQ(fifty.rounds * fifty.repetitions_per_visit, 10);
}

}  // namespace
}  // namespace derate
