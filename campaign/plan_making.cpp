#include "campaign/plan_making.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/value_rule.hpp"
#include "workloads/descriptor.hpp"

namespace derate {
namespace {

constexpr std::size_t compute_probe = 0;
constexpr std::size_t bandwidth_probe = 1;

/// Fisher-Yates with the remainder: std::shuffle's result differs between standard libraries, and
/// the bias of 2^64 modulo a few thousand is nothing.
template <class Item>
void shuffle(std::vector<Item>& items, std::mt19937_64& random) {
    for (std::size_t left = items.size(); left > 1; --left) {
        std::swap(items[left - 1], items[random() % left]);
    }
}

std::vector<std::vector<std::size_t>> memory_groups(CampaignSettings const& settings,
                                                    std::vector<std::size_t> const& models,
                                                    double memory_bytes) {
    std::vector<std::vector<std::size_t>> groups;
    double room = 0;
    for (auto const model : models) {
        // Tensors twice: once for whole runs, once as captured inputs of the cases.
        double const need = 2 * settings.models[model].tensor_bytes;
        if (groups.empty() || need > room) {
            groups.emplace_back();
            room = memory_bytes;
        }
        groups.back().push_back(model);
        room -= need;
    }
    return groups;
}

/// Of `total` items spread over `rounds`, those of one round.
int share_of_round(int total, int rounds, int round) {
    return total * (round + 1) / rounds - total * round / rounds;
}

}  // namespace

double guessed_ms(Subgraph const& subgraph, int threads) {
    return ms_per_second *
           (subgraph.work.value() / (40e9 * threads) + subgraph.traffic.total().value() / 8e9 +
            5e-6 * static_cast<double>(subgraph.nodes.size()));
}

double expected_repetition_ms(RepetitionPolicy const& policy, double once_ms) {
    return once_ms * policy.min_warmup_iterations +
           std::max(policy.min_timed_ms, once_ms * policy.min_iterations);
}

std::string key_of_case(CampaignSettings const& settings, CampaignModel const& model,
                        Subgraph const& subgraph, CacheState state) {
    return case_key(subgraph.descriptor, state, settings.execution, model.precision);
}

std::vector<DistinctCase> distinct_cases(CampaignSettings const& settings) {
    std::vector<DistinctCase> cases;
    std::unordered_set<std::string> seen;
    for (std::size_t m = 0; m < settings.models.size(); ++m) {
        auto const& model = settings.models[m];
        if (!model.isolated) continue;
        for (auto const& subgraph : model.subgraphs) {
            for (auto const state : settings.states) {
                auto key = key_of_case(settings, model, subgraph, state);
                if (!seen.insert(key).second) continue;
                cases.push_back(
                    {.key = std::move(key),
                     .name = case_name(subgraph.type, subgraph.descriptor),
                     .model = m,
                     .subgraph = subgraph.id,
                     .state = state,
                     .sparse = model.sparse,
                     .expected_ms = guessed_ms(subgraph, settings.execution.threads.value_or(1))});
            }
        }
    }
    return cases;
}

LaunchContent everything_of(CampaignSettings const& settings, std::span<DistinctCase const> cases) {
    LaunchContent content{.allocator = settings.execution.allocator.value_or(Allocator::pinned)};
    for (std::size_t i = 0; i < cases.size(); ++i) content.cases.push_back(i);
    for (std::size_t m = 0; m < settings.models.size(); ++m) {
        if (settings.models[m].whole) content.whole_models.push_back(m);
        if (settings.models[m].in_context) content.in_context_models.push_back(m);
    }
    return content;
}

Plan plan_without_steps(CampaignSettings const& settings, std::span<DistinctCase const> cases,
                        std::string const& campaign) {
    Plan plan{.campaign = campaign,
              .seed = settings.seed,
              .value_rule = std::string{value_rule},
              .execution = settings.execution,
              .repetition = settings.repetition,
              .peaks = settings.peaks};
    for (auto const& model : settings.models) {
        plan.models.push_back({.name = model.name,
                               .file = model.file.string(),
                               .batch = model.batch,
                               .precision = model.precision,
                               .dimensions = {},
                               .held_out = !model.in_budget,
                               .partial = model.partial});
        for (auto const& dimension : model.dimensions) {
            plan.models.back().dimensions.emplace(dimension.symbol, dimension.value);
        }
    }
    for (auto const& item : cases) {
        plan.cases.push_back(
            {.key = item.key, .model = item.model, .subgraph = item.subgraph, .state = item.state});
    }
    return plan;
}

Plan make_plan(CampaignSettings const& settings, std::span<DistinctCase const> cases,
               LaunchContent const& content, std::string const& campaign, int launch,
               double memory_bytes) {
    auto plan = plan_without_steps(settings, cases, campaign);
    plan.launch = launch;
    plan.execution.allocator = content.allocator;
    plan.peaks = settings.peaks && launch < launches_with_peaks;
    std::mt19937_64 random{settings.seed * 1000003 + static_cast<std::uint64_t>(launch)};

    std::map<std::size_t, std::vector<std::size_t>> cases_of_model;
    for (auto const index : content.cases) cases_of_model[cases[index].model].push_back(index);
    std::vector<std::size_t> models;
    for (std::size_t m = 0; m < settings.models.size(); ++m) {
        if (cases_of_model.contains(m) || std::ranges::count(content.whole_models, m) > 0 ||
            std::ranges::count(content.in_context_models, m) > 0) {
            models.push_back(m);
        }
    }
    // Models that share a group differ from launch to launch.
    shuffle(models, random);

    auto const& rules = settings.rules;
    auto const probe = [&plan] {
        plan.steps.push_back({StepKind::drift, compute_probe});
        plan.steps.push_back({StepKind::drift, bandwidth_probe});
    };
    if (!models.empty()) probe();
    for (auto& group : memory_groups(settings, models, memory_bytes)) {
        for (int round = 0; round < rules.rounds; ++round) {
            shuffle(group, random);
            for (auto const model : group) {
                bool const sparse = settings.models[model].sparse;
                if (sparse && static_cast<std::size_t>(round) !=
                                  model % static_cast<std::size_t>(rules.rounds))
                    continue;
                std::vector<std::pair<PlannedStep, int>> visits;
                for (auto const index : cases_of_model[model]) {
                    visits.push_back(
                        {{StepKind::isolated, index}, sparse ? 1 : rules.repetitions_per_visit});
                }
                auto const add_runs = [&](StepKind kind, std::vector<std::size_t> const& asked,
                                          int total) {
                    if (std::ranges::count(asked, model) == 0) return;
                    int const runs = sparse ? 1 : share_of_round(total, rules.rounds, round);
                    visits.insert(visits.end(), static_cast<std::size_t>(runs), {{kind, model}, 1});
                };
                add_runs(StepKind::whole, content.whole_models, rules.whole_repetitions);
                add_runs(StepKind::in_context, content.in_context_models,
                         rules.in_context_repetitions);
                if (visits.empty()) continue;
                shuffle(visits, random);
                for (auto const& [step, times] : visits) {
                    plan.steps.insert(plan.steps.end(), static_cast<std::size_t>(times), step);
                }
                probe();
            }
        }
    }
    return plan;
}

double expected_seconds(PlannedStep const& step, CampaignSettings const& settings,
                        std::span<DistinctCase const> cases, Plan const& plan,
                        Samples const& known) {
    auto const last_ms = [](auto const& by_name, std::string const& name) -> std::optional<double> {
        auto const found = by_name.find(name);
        if (found == by_name.end() || found->second.empty()) return std::nullopt;
        return found->second.rbegin()->second.times_ms.back();
    };
    if (step.kind == StepKind::drift) return 20 / ms_per_second;
    auto const& policy = settings.repetition;
    if (step.kind == StepKind::isolated) {
        auto const& item = cases[step.index];
        double const once = last_ms(known.isolated, item.key).value_or(item.expected_ms);
        return (expected_repetition_ms(policy, once) + preparation_ms) / ms_per_second;
    }
    auto const& model = plan.models[step.index];
    double once = 0;
    if (auto const known_ms = last_ms(known.whole, model_label(model.name, model.batch))) {
        once = *known_ms;
    } else {
        for (auto const& subgraph : settings.models[step.index].subgraphs) {
            once += guessed_ms(subgraph, settings.execution.threads.value_or(1));
        }
    }
    return expected_repetition_ms(policy, once) / ms_per_second;
}

}  // namespace derate
