#include "campaign/campaign_settings.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "core/input_error.hpp"

namespace derate {

std::optional<CampaignRules> with_fewer_repetitions(CampaignRules rules) {
    constexpr int least_whole = 2;  // the truth: one repetition more than the least of a case
    if (rules.repetitions_per_visit > 1) {
        rules.repetitions_per_visit = 1;
        rules.whole_repetitions =
            std::min(rules.whole_repetitions, std::max(least_whole, rules.rounds));
    } else if (rules.whole_repetitions > least_whole) {
        rules.whole_repetitions = least_whole;
    } else if (rules.rounds > 1) {
        --rules.rounds;
    } else {
        return std::nullopt;
    }
    rules.in_context_repetitions = 1;
    return rules;
}

CampaignRules standard_rules() { return {}; }

CampaignRules quick_rules() {
    return {.min_launches = 3,
            .max_launches = 3,
            .rounds = 2,
            .repetitions_per_visit = 2,
            .whole_repetitions = 4,
            .in_context_repetitions = 1,
            .target_half_width = 0.05,
            .budget_s = 120};
}

CampaignRules publish_rules() {
    return {.min_launches = 10, .max_launches = 20, .target_half_width = 0.01};
}

CampaignRules exact_rules(int runs, std::optional<int> launches) {
    // Five launches are the least that estimate their own spread; fewer runs than that have none.
    int const k = launches.value_or(std::min(5, runs));
    int const each = (runs + k - 1) / k;
    int const visit = each % 2 == 0 ? 2 : 1;
    return {.min_launches = k,
            .max_launches = k,
            .rounds = each / visit,
            .repetitions_per_visit = visit,
            .whole_repetitions = each,
            .in_context_repetitions = each,
            .stop_early = false};
}

std::string to_string(CampaignRules const& rules) {
    auto text = fmt::format(
        "launches {}-{}, rounds {}, repetitions {}, whole {}, in context {}, target {:g}",
        rules.min_launches, rules.max_launches, rules.rounds, rules.repetitions_per_visit,
        rules.whole_repetitions, rules.in_context_repetitions, rules.target_half_width);
    if (rules.budget_s) text += fmt::format(", budget {:g} s", *rules.budget_s);
    if (rules.default_allocator_launches > 0) {
        text += fmt::format(", default allocator {}", rules.default_allocator_launches);
    }
    if (!rules.stop_early) text += ", exact";
    return text;
}

void refuse_equal_labels(CampaignSettings const& settings) {
    std::set<std::string> seen;
    for (auto const& model : settings.models) {
        auto const label = model_label(model.name, model.batch);
        if (!seen.insert(label).second) {
            throw InputError{"--model", "two models are called " + label,
                             "each model once, and files of different names"};
        }
    }
}

}  // namespace derate
