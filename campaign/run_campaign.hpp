#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "campaign/campaign_settings.hpp"
#include "campaign/plan_making.hpp"
#include "campaign/samples.hpp"
#include "campaign/stop_rule.hpp"

namespace derate {

/// Where a campaign stands, for a person who waits.
struct CampaignProgress {
    int launch = 0;              ///< from 0
    std::size_t steps_done = 0;  ///< in this launch
    std::size_t steps = 0;
    std::size_t cases_settled = 0;  ///< of all distinct cases and whole models
    std::size_t cases = 0;
    std::string latest{};  ///< name of what was timed last
    std::optional<double> latest_ms{};
    std::optional<double> latest_half_width{};  ///< relative, over the launches so far
    double target_half_width = 0;
    double remaining_s = 0;  ///< a guess, of what is sure to come
};

struct CampaignResult {
    Samples samples;
    std::vector<DistinctCase> cases;
    std::map<std::string, StopReason> stop_reasons;  ///< by case key and model_label()
    bool resumed = false;                            ///< records of an earlier run were used
    bool complete = false;  ///< it was finished before: nothing was timed now
};

struct CampaignFiles {
    std::filesystem::path samples;        ///< X.samples.jsonl
    std::filesystem::path bench_program;  ///< find_bench_program()
};

/// Times what `settings` asks for, launch by launch, and returns what the samples say.
///
/// Every repetition is a line of the samples file before it counts. Called again after it was
/// killed it goes on where the file ends; called after it had finished it returns what the file
/// holds.
///
/// \param machine   the machine's half of the environment block, stored with the samples
/// \param progress  called a few times a second; may be empty
/// \throws InputError          the samples file belongs to other settings; it cannot be written
/// \throws EnvironmentRefused  another run has the file; the bench program refuses or keeps failing
[[nodiscard]] CampaignResult run_campaign(
    CampaignSettings const& settings, CampaignFiles const& files, Environment const& machine,
    std::function<void(CampaignProgress const&)> const& progress = {});

}  // namespace derate
