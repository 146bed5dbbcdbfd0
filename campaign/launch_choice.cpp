#include "campaign/launch_choice.hpp"

#include <algorithm>
#include <utility>

#include "measuring/usable_memory.hpp"

namespace derate {
namespace {

constexpr int launches_in_context = 5;

/// Steps of held-out models are counted apart.
bool is_budgeted(PlannedStep const& step, CampaignSettings const& settings,
                 std::span<DistinctCase const> cases) {
    if (step.kind == StepKind::drift) return true;
    auto const model = step.kind == StepKind::isolated ? cases[step.index].model : step.index;
    return settings.models[model].in_budget;
}

/// What models may take together: of the machine's memory, or of the GPU's that they run on.
double memory_for_models_bytes(Environment const& environment) {
    double const bytes = usable_memory_bytes();
    return environment.gpu_memory_bytes ? std::min(bytes, *environment.gpu_memory_bytes / 2)
                                        : bytes;
}

std::string label(CampaignModel const& model) { return model_label(model.name, model.batch); }

/// \param owner  the model that the case is timed in
std::optional<StopReason> reason_for(CampaignState const& state, std::string const& name,
                                     std::map<std::string, Repetitions> const& timed,
                                     CampaignModel const& owner) {
    if (state.samples.failures.contains(name)) return StopReason::failed;
    std::optional<StopReason> reason;
    if (auto const found = timed.find(name); found != timed.end()) {
        auto rules = state.settings.rules;
        if (owner.sparse) rules.max_launches = rules.min_launches;
        reason = stop_reason(found->second, rules);
    }
    // What its owner leaves unfinished stays so.
    if (!reason && state.samples.failures.contains(label(owner))) return StopReason::failed;
    return reason;
}

/// A model that is due to be timed whole under the default allocator, in a process of its own:
/// glibc's thresholds follow what a process has freed before. After each of the first launches
/// every model has its turn, so that both states see the same drift of the host.
std::optional<LaunchContent> content_beside(CampaignState const& state, int ended) {
    int const due = std::min(ended, state.settings.rules.default_allocator_launches);
    for (std::size_t m = 0; m < state.settings.models.size(); ++m) {
        auto const& model = state.settings.models[m];
        auto const name = label(model);
        if (!model.whole || !model.in_budget || state.samples.failures.contains(name)) continue;
        auto const timed = state.samples.whole_default_allocator.find(name);
        int const had = timed == state.samples.whole_default_allocator.end()
                            ? 0
                            : static_cast<int>(timed->second.size());
        if (had >= due) continue;
        return LaunchContent{.cases = {},
                             .whole_models = {m},
                             .in_context_models = {},
                             .allocator = Allocator::untouched};
    }
    return std::nullopt;
}

/// Wall time of all launches, less what is counted apart.
double budgeted_s(CampaignState const& state) {
    double apart_s = 0;
    for (auto const& model : state.settings.models) {
        if (model.in_budget) continue;
        auto const spent = state.samples.spent_s.find(label(model));
        if (spent != state.samples.spent_s.end()) apart_s += spent->second;
    }
    return state.samples.wall_s() - apart_s;
}

bool budget_is_spent(CampaignState const& state) {
    return state.settings.rules.budget_s && budgeted_s(state) >= *state.settings.rules.budget_s;
}

/// Wall time a launch may take that shares what is left of the budget with others.
///
/// \param launches_left  1 or more, this one among them
double time_limit_s(CampaignState const& state, Plan const& plan, int launches_left) {
    double const left_s = std::max(0.0, *state.settings.rules.budget_s - budgeted_s(state));
    double all_s = 0;
    double budgeted = 0;
    for (auto const& step : plan.steps) {
        double const step_s =
            expected_seconds(step, state.settings, state.cases, plan, state.samples);
        all_s += step_s;
        if (is_budgeted(step, state.settings, state.cases)) budgeted += step_s;
    }
    double const stretch = budgeted > 0 ? all_s / budgeted : 1;
    return std::max(1.0, stretch * left_s / launches_left);
}

double expected_s(CampaignState const& state, Plan const& plan) {
    double all_s = 0;
    for (auto const& step : plan.steps) {
        all_s += expected_seconds(step, state.settings, state.cases, plan, state.samples);
    }
    return all_s;
}

}  // namespace

std::map<std::string, StopReason> stop_reasons(CampaignState const& state) {
    // Without an end of its own, a case was ended by the time.
    auto const otherwise = state.settings.rules.stop_early || state.settings.rules.budget_s
                               ? StopReason::budget
                               : StopReason::exact;
    std::map<std::string, StopReason> reasons;
    for (auto const& item : state.cases) {
        auto const& owner = state.settings.models[item.model];
        reasons[item.key] =
            reason_for(state, item.key, state.samples.isolated, owner).value_or(otherwise);
    }
    for (auto const& model : state.settings.models) {
        if (!model.whole) continue;
        auto const name = label(model);
        reasons[name] = reason_for(state, name, state.samples.whole, model).value_or(otherwise);
    }
    return reasons;
}

std::optional<LaunchContent> next_content(CampaignState const& state) {
    int const ended =
        static_cast<int>(std::ranges::count_if(state.samples.launches, [](auto const& launch) {
            return launch.second.ended && !launch.second.beside;
        }));
    // A launch that was broken off has its plan; what it timed so far decides nothing.
    if (state.samples.has_unfinished_launch()) return LaunchContent{};
    if (auto content = content_beside(state, ended)) return content;
    bool const least_done = ended >= state.settings.rules.min_launches;
    if (ended >= state.settings.rules.max_launches) return std::nullopt;
    if (least_done && budget_is_spent(state)) return std::nullopt;

    LaunchContent content{.allocator =
                              state.settings.execution.allocator.value_or(Allocator::pinned)};
    std::vector<bool> active(state.settings.models.size(), !least_done);
    for (std::size_t i = 0; i < state.cases.size(); ++i) {
        auto const& owner = state.settings.models[state.cases[i].model];
        if (state.samples.failures.contains(label(owner))) continue;
        if (reason_for(state, state.cases[i].key, state.samples.isolated, owner)) continue;
        content.cases.push_back(i);
        active[state.cases[i].model] = true;
    }
    for (std::size_t m = 0; m < state.settings.models.size(); ++m) {
        auto const& model = state.settings.models[m];
        if (state.samples.failures.contains(label(model))) continue;
        auto const name = label(model);
        if (model.whole && !reason_for(state, name, state.samples.whole, model)) active[m] = true;
        // What the curves are judged by is timed as long as what they are made of: a host that
        // gets faster or slower would part them. Once they have the least number of launches,
        // models that are only compared with take turns.
        if (model.whole && !model.sparse && !content.cases.empty()) active[m] = true;
        bool const has_turn =
            model.in_budget || !least_done || (static_cast<std::size_t>(ended) + m) % 2 == 0;
        if (!active[m] || !has_turn) continue;
        if (model.whole) content.whole_models.push_back(m);
        // No curve is made of these.
        if (model.in_context && ended < launches_in_context) {
            content.in_context_models.push_back(m);
        }
    }
    if (content.cases.empty() && content.whole_models.empty() &&
        content.in_context_models.empty()) {
        return std::nullopt;
    }
    return content;
}

ChosenPlan fresh_plan(CampaignState const& state, LaunchContent const& content, int launch,
                      double slowness) {
    auto settings = state.settings;
    double const memory_bytes = memory_for_models_bytes(state.samples.environment);
    auto const plan_of = [&] {
        return make_plan(settings, state.cases, content, state.samples.campaign, launch,
                         memory_bytes);
    };
    int const begun = state.samples.launches_begun();
    int const least_to_come = state.settings.rules.min_launches - begun;
    if (content.allocator != state.settings.execution.allocator.value_or(Allocator::pinned)) {
        settings.rules.rounds = 1;
        settings.rules.whole_repetitions = 2;
        ChosenPlan chosen{.plan = plan_of(), .launches_to_come = std::max(0, least_to_come)};
        chosen.plan.peaks = false;
        return chosen;
    }
    // Plans of ever fewer repetitions a launch.
    std::vector<Plan> plans;
    while (true) {
        plans.push_back(plan_of());
        plans.back().peaks = state.settings.peaks && begun < launches_with_peaks;
        auto const fewer = with_fewer_repetitions(settings.rules);
        if (!settings.rules.budget_s || !settings.rules.stop_early || !fewer) break;
        settings.rules = *fewer;
    }
    if (!state.settings.rules.budget_s) {
        return {.plan = std::move(plans.front()),
                .launches_to_come = std::max(0, least_to_come - 1)};
    }
    auto const fits = [&](Plan const& plan, int launches_left) {
        return slowness * expected_s(state, plan) <= time_limit_s(state, plan, launches_left);
    };
    // Launches are the independent unit: the budget is for many of them before it is for many
    // repetitions in each.
    int const least_launches = std::max(1, least_to_come);
    int launches_left = std::max(1, state.settings.rules.max_launches - begun);
    while (launches_left > least_launches && !fits(plans.back(), launches_left)) --launches_left;
    auto const fitting =
        std::ranges::find_if(plans, [&](Plan const& plan) { return fits(plan, launches_left); });
    ChosenPlan chosen{.plan = fitting != plans.end() ? *fitting : plans.back(),
                      .launches_to_come = launches_left - 1};
    chosen.plan.time_limit_s = time_limit_s(state, chosen.plan, launches_left);
    return chosen;
}

double expected_campaign_seconds(CampaignSettings const& settings) {
    auto const cases = distinct_cases(settings);
    auto const plan =
        make_plan(settings, cases, everything_of(settings, cases), "", 0, usable_memory_bytes());
    double launch_s = 1;
    double budgeted_s = 1;
    for (auto const& step : plan.steps) {
        double const step_s = expected_seconds(step, settings, cases, plan, {});
        launch_s += step_s;
        if (is_budgeted(step, settings, cases)) budgeted_s += step_s;
    }
    if (!settings.rules.budget_s) return launch_s * settings.rules.min_launches;
    return std::min(launch_s * settings.rules.max_launches,
                    launch_s / budgeted_s * *settings.rules.budget_s);
}

}  // namespace derate
