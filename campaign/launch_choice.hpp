#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>

#include "campaign/campaign_settings.hpp"
#include "campaign/plan_making.hpp"
#include "campaign/samples.hpp"
#include "campaign/stop_rule.hpp"

namespace derate {

/// What decides how a campaign goes on: what is asked for, and what has been timed.
struct CampaignState {
    CampaignSettings const& settings;
    std::span<DistinctCase const> cases;
    Samples const& samples;
};

/// Why each case and each whole model is not timed further, by case key and model_label().
[[nodiscard]] std::map<std::string, StopReason> stop_reasons(CampaignState const& state);

/// What the next launch has to time; empty when the campaign is over. One that was broken off has
/// its plan: then nothing, which says no more than that it goes on.
[[nodiscard]] std::optional<LaunchContent> next_content(CampaignState const& state);

struct ChosenPlan {
    Plan plan;
    int launches_to_come = 0;  ///< after this one, as far as can be foreseen
};

/// The plan of a launch that is begun anew, of as many repetitions as the budget holds when it is
/// shared with the launches to come.
///
/// \param launch    its number
/// \param slowness  how much longer than expected launches take
[[nodiscard]] ChosenPlan fresh_plan(CampaignState const& state, LaunchContent const& content,
                                    int launch, double slowness);

/// Wall time the first launches take, by guess, for `--dry-run`.
[[nodiscard]] double expected_campaign_seconds(CampaignSettings const& settings);

}  // namespace derate
