#pragma once
#include <string>
#include <vector>

#include "campaign/run_campaign.hpp"
#include "campaign/trust_grade.hpp"
#include "core/measurement.hpp"

namespace derate {

/// What a measurement file says of one model of a campaign, from its samples alone.
///
/// A case that several models share was timed once; each of them gets its times. A subgraph that
/// was not timed alone has a failure that says so.
///
/// \param model     one of `settings.models`
/// \param state     of the isolated timings
/// \param hardware  what is known of the machine, peaks included
[[nodiscard]] Measurement measurement_of(CampaignResult const& result,
                                         CampaignSettings const& settings,
                                         CampaignModel const& model, CacheState state,
                                         Hardware const& hardware, std::string const& samples_file,
                                         std::string const& tool_version);

/// The machine as an environment block and the peak probes show it.
[[nodiscard]] Hardware hardware_of(Samples const& samples, std::string const& hardware_id,
                                   Execution const& execution, Precision precision);

/// Whole over the sum of its isolated parts, and over the sum of its in-context parts; empty where
/// something was not timed.
struct ContextRatio {
    std::string model;  ///< model_label()
    double whole_ms = 0;
    std::optional<double> whole_over_isolated;
    std::optional<double> whole_over_in_context;
};

[[nodiscard]] std::vector<ContextRatio> context_ratios(CampaignResult const& result,
                                                       CampaignSettings const& settings,
                                                       CacheState state);

/// How far the session can be believed, as judge_trust() asks.
[[nodiscard]] MeasuredQuality quality_of(CampaignResult const& result, bool quick);

/// Share of the isolated time (each distinct case once) in cases whose relative half-width is at
/// most `limit`; of models that are timed throughout, not of sparse ones.
[[nodiscard]] double precise_share(CampaignResult const& result, double limit);

}  // namespace derate
