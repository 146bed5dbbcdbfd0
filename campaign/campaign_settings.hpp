#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/subgraph.hpp"
#include "measuring/plan.hpp"
#include "workloads/model_set.hpp"

namespace derate {

/// What a campaign times of one model.
struct CampaignModel {
    std::string name{};
    std::string family{};
    std::optional<int> batch = 1;  ///< empty: its inputs share none
    Precision precision = Precision::fp32;
    std::filesystem::path file{};
    std::vector<BoundDimension> dimensions{};  ///< of a symbolic export
    std::vector<Subgraph> subgraphs{};
    double tensor_bytes = 0;  ///< weights and activations together: what it needs in memory
    bool isolated = true;     ///< its subgraphs, each alone
    bool in_context = true;   ///< its subgraphs inside whole runs
    bool whole = true;        ///< the model as a whole
    bool in_budget = true;    ///< false: time spent on it is counted apart (truth to compare with)
    /// Timed once a launch, and in no more launches than a campaign has at least.
    bool sparse = false;
    bool partial = false;  ///< `subgraphs` are some of its kernels: their sum is no model's time

    friend bool operator==(CampaignModel const&, CampaignModel const&) = default;
};

/// A loaded model with its subgraphs; everything of it is to be timed. Of the shipped probes, which
/// are single kernels in one file, only the parts are.
///
/// \throws InputError  it calls no operator
[[nodiscard]] CampaignModel campaign_model(LoadedModel const& loaded, Backend backend);

/// How long to go on: k launches x rounds x repetitions a visit.
struct CampaignRules {
    int min_launches = 5;
    int max_launches = 14;
    int rounds = 3;                    ///< times a launch comes back to every case
    int repetitions_per_visit = 2;     ///< in a row, once its tensors are prepared
    int whole_repetitions = 6;         ///< of each whole model, in a launch; spread over the rounds
    int in_context_repetitions = 2;    ///< of each model, in a launch
    double target_half_width = 0.02;   ///< of the mean's 95 % interval, relative
    std::optional<double> budget_s{};  ///< wall time of all launches, less what is counted apart
    /// Processes of each budgeted model, beside, that time it whole under the default allocator.
    int default_allocator_launches = 0;
    bool stop_early = true;  ///< false: exactly max_launches x rounds x repetitions_per_visit

    friend bool operator==(CampaignRules const&, CampaignRules const&) = default;
};

/// The same rules with fewer repetitions in a launch: a budget that cannot hold all of them is
/// spent on every case rather than on some.
///
/// Repetitions in a row go first, then whole runs beyond two, then rounds: whole models take most
/// of a launch's time, and two rounds of a case, a minute apart, differ as much as two launches.
///
/// \return empty where each case is visited once and timed once already
[[nodiscard]] std::optional<CampaignRules> with_fewer_repetitions(CampaignRules rules);

[[nodiscard]] CampaignRules standard_rules();
[[nodiscard]] CampaignRules quick_rules();
[[nodiscard]] CampaignRules publish_rules();
/// Exactly `runs` repetitions of each case where a launch structure divides it, else the next
/// number that one divides: 50 = 5 launches x 5 rounds x 2.
[[nodiscard]] CampaignRules exact_rules(int runs, std::optional<int> launches);

/// One line that says all of it; stored with the samples, compared before a run resumes.
[[nodiscard]] std::string to_string(CampaignRules const& rules);

struct CampaignSettings {
    std::uint64_t seed = 1;
    Execution execution{.threads = 1, .allocator = Allocator::pinned};
    std::vector<CacheState> states{CacheState::cold_all};
    RepetitionPolicy repetition{};
    bool peaks = false;
    CampaignRules rules{};
    std::vector<CampaignModel> models{};
};

/// Two models of one name and batch size would be taken for one: their times would be pooled.
/// \throws InputError  there are two
void refuse_equal_labels(CampaignSettings const& settings);

}  // namespace derate
