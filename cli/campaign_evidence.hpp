#pragma once
#include <filesystem>

#include "campaign/campaign_settings.hpp"
#include "campaign/run_campaign.hpp"
#include "campaign/trust_grade.hpp"
#include "core/evidence.hpp"
#include "core/hardware.hpp"

namespace derate::cli {

/// A campaign's models as one body of evidence, with the hash of its samples and its trust grade;
/// models that were timed outside the budget are held out.
[[nodiscard]] Evidence evidence_of_campaign(CampaignResult const& result,
                                            CampaignSettings const& settings,
                                            Hardware const& hardware,
                                            std::filesystem::path const& samples,
                                            Trust const& trust);

}  // namespace derate::cli
