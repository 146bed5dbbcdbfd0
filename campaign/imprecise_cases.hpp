#pragma once
#include <optional>
#include <string>
#include <vector>

#include "campaign/run_campaign.hpp"
#include "campaign/session_checks.hpp"

namespace derate {

/// A case whose interval of the mean stayed wider than asked, and why it was not timed further.
struct ImpreciseCase {
    std::string key;
    std::string name;   ///< "conv2d/9b2f00c3a1d4e587"
    std::string model;  ///< model_label() of the model it was timed in
    int subgraph = 0;
    std::optional<double> time_ms;     ///< empty: it has no time
    std::optional<double> half_width;  ///< relative; empty below two launches
    double share_of_time = 0;          ///< of the isolated time, each distinct case once
    StopReason stopped = StopReason::budget;
    int launches = 0;
    std::optional<TwoPeaks> two_peaks;  ///< the machine runs it in two ways
    std::string failure;                ///< why it has no time; else empty
};

/// Every case that is not counted in `precise_share(result, limit)`, the longest first.
[[nodiscard]] std::vector<ImpreciseCase> imprecise_cases(CampaignResult const& result,
                                                         CampaignSettings const& settings,
                                                         double limit);

/// Why, in words: "noise_floor: 10 launches did not narrow it; two speeds, 1.2 and 1.5 ms".
[[nodiscard]] std::string reason_text(ImpreciseCase const& imprecise);

}  // namespace derate
