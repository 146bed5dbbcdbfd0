#pragma once
#include <span>
#include <vector>

#include "campaign/campaign_settings.hpp"

namespace derate {

/// Of models at further batch sizes, the kernels to be timed there too, so that one calibration
/// prices every batch.
///
/// All kernels at every batch would take many times as long as the first batch alone, and most of
/// it on what is known already. So at each batch kernels are chosen one after the other: that which
/// promises most for its time. A kernel promises the share of time that kernels of its kind (type
/// and regime) hold in the models, times how far its sizes lie (logarithms:
/// core/kernel_features.hpp) from any kernel of that kind that is timed already. Its time is that
/// of a repetition, and of the run of its model up to it, in which its tensors are captured: deep
/// in a model a kernel is dear until another one there is chosen. Equal models give an equal
/// choice.
///
/// \param timed     models at their first batch size, each of whose kernels is timed
/// \param further   the same or others at further batch sizes
/// \param settings  of the campaign: how often `timed` are timed in a launch, the choice once
/// \param share     time for the choice, an equal part for each batch, of that which `timed` take;
///                  both by guess
/// \return `further` with the chosen kernels alone, as sparse and partial models; those without
///         are left out
[[nodiscard]] std::vector<CampaignModel> kernels_at_further_batches(
    std::span<CampaignModel const> timed, std::vector<CampaignModel> further,
    CampaignSettings const& settings, double share);

/// Of models at further batch sizes, whole runs to compare estimates with: at each batch the
/// quickest of each family, from the quickest on, for as long as the share lasts.
///
/// \param share  time, an equal part for each batch, of that which whole runs of `timed` take
/// \return  sparse models
[[nodiscard]] std::vector<CampaignModel> wholes_at_further_batches(
    std::span<CampaignModel const> timed, std::vector<CampaignModel> further,
    CampaignSettings const& settings, double share);

}  // namespace derate
