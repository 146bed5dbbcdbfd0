#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "campaign/campaign_settings.hpp"
#include "campaign/samples.hpp"
#include "measuring/plan.hpp"

namespace derate {

/// One distinct subgraph in one cache state: what is timed once for all models that contain it.
struct DistinctCase {
    std::string key;
    std::string name;       ///< "conv2d/9b2f00c3a1d4e587", for progress
    std::size_t model = 0;  ///< index into CampaignSettings::models: where it is timed
    int subgraph = 0;
    CacheState state = CacheState::cold_all;
    bool sparse = false;     ///< CampaignModel::sparse of that model
    double expected_ms = 0;  ///< a guess from its work and traffic, until it is timed
};

/// case_key() of a subgraph as these settings time it.
[[nodiscard]] std::string key_of_case(CampaignSettings const& settings, CampaignModel const& model,
                                      Subgraph const& subgraph, CacheState state);

/// A cautious guess of a kernel's time, only to plan with: 40 GFLOP/s a thread, 8 GB/s, 5 us a
/// call.
[[nodiscard]] double guessed_ms(Subgraph const& subgraph, int threads);

/// Of a repetition of a kernel alone: its inputs are brought, the caches filled anew.
inline constexpr double preparation_ms = 2;

/// What a repetition takes of something that takes `once_ms`: calls that never count, then as many
/// as the policy asks for.
[[nodiscard]] double expected_repetition_ms(RepetitionPolicy const& policy, double once_ms);

/// The distinct cases of all models whose subgraphs are to be timed alone, in order of appearance.
/// Subgraphs without work and traffic (pure views) are no cases: they cost nothing that a clock
/// sees.
[[nodiscard]] std::vector<DistinctCase> distinct_cases(CampaignSettings const& settings);

/// What is left to be timed.
struct LaunchContent {
    std::vector<std::size_t> cases;         ///< indices into distinct_cases()
    std::vector<std::size_t> whole_models;  ///< indices into CampaignSettings::models
    std::vector<std::size_t> in_context_models;
    Allocator allocator = Allocator::pinned;  ///< of the launch
};

/// The launches of a session, from its first, that run the peak probes: seven repetitions in each.
inline constexpr int launches_with_peaks = 5;

/// What the first launch has to time: all that the settings ask for.
[[nodiscard]] LaunchContent everything_of(CampaignSettings const& settings,
                                          std::span<DistinctCase const> cases);

/// The plan of one launch, every step in order.
///
/// Models that fit into memory together form a group. A group is gone through `rounds` times; in a
/// round each model is a block (a sparse one in one of the rounds), blocks in random order; in a
/// block the visits to the model's cases, its whole runs and its in-context runs are shuffled, so
/// that whole and parts see the same state of the host. Both drift probes run before the first
/// block, after each block and so at the end. Equal settings, launch and content give an equal
/// plan.
///
/// \param memory_bytes  what may be used for models
[[nodiscard]] Plan make_plan(CampaignSettings const& settings, std::span<DistinctCase const> cases,
                             LaunchContent const& content, std::string const& campaign, int launch,
                             double memory_bytes);

/// Without steps: what a campaign is about, to compare before it resumes.
[[nodiscard]] Plan plan_without_steps(CampaignSettings const& settings,
                                      std::span<DistinctCase const> cases,
                                      std::string const& campaign);

/// A guess of the wall time of a step: timed part, warm-up and preparation.
///
/// \param known  times of what was timed already
[[nodiscard]] double expected_seconds(PlannedStep const& step, CampaignSettings const& settings,
                                      std::span<DistinctCase const> cases, Plan const& plan,
                                      Samples const& known);

}  // namespace derate
