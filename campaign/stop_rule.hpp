#pragma once
#include <optional>
#include <string_view>

#include "campaign/campaign_settings.hpp"
#include "campaign/samples.hpp"

namespace derate {

/// Why a case is not timed any more.
enum class StopReason {
    precise,      ///< the interval is as narrow as asked
    noise_floor,  ///< more launches do not narrow it
    launches,     ///< there may be no more of them
    budget,       ///< the time was spent first
    failed,       ///< it cannot be timed
    exact,        ///< as many repetitions as asked for
};

[[nodiscard]] std::string_view to_string(StopReason reason);

/// Relative half-width of the 95 % interval of the served time, interval_of_center().
///
/// Launches are the independent unit: t on k-1 degrees of freedom, whatever the number of
/// repetitions. Each launch's least is of all its repetitions, whatever LeastOf says: how far it
/// scatters matters here, not where it lies.
/// \return  fraction of the served time; empty below two launches
[[nodiscard]] std::optional<double> relative_half_width(Repetitions const& repetitions);

/// Looked at when a launch has ended, never inside one: looking at every repetition and stopping at
/// a lucky one would make intervals too narrow.
///
/// `noise_floor`: from the tenth launch on, when at this spread even max_launches would leave the
/// interval more than twice as wide as asked; `launches`: max_launches are done. Comparing with the
/// interval of half the launches would not do: that of five is itself known to 35 % only, and one
/// in eight cases of independent normal launches is not a tenth narrower after ten.
///
/// \return  empty while the case is to go on
[[nodiscard]] std::optional<StopReason> stop_reason(Repetitions const& repetitions,
                                                    CampaignRules const& rules);

}  // namespace derate
