#include "campaign/imprecise_cases.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace derate {

std::vector<ImpreciseCase> imprecise_cases(CampaignResult const& result,
                                           CampaignSettings const& settings, double limit) {
    std::vector<ImpreciseCase> found;
    double all_ms = 0;
    for (auto const& item : result.cases) {
        auto const& model = settings.models[item.model];
        ImpreciseCase entry{.key = item.key,
                            .name = item.name,
                            .model = model_label(model.name, model.batch),
                            .subgraph = item.subgraph};
        if (auto const timed = result.samples.isolated.find(item.key);
            timed != result.samples.isolated.end()) {
            if (auto const timing = timing_of(timed->second)) {
                entry.time_ms = timing->center_ms;
                entry.launches = static_cast<int>(timing->launches.size());
                all_ms += timing->center_ms;
            }
            entry.half_width = relative_half_width(timed->second);
            entry.two_peaks = find_two_peaks(timed->second);
        }
        if (entry.half_width && *entry.half_width <= limit) continue;
        if (auto const reason = result.stop_reasons.find(item.key);
            reason != result.stop_reasons.end()) {
            entry.stopped = reason->second;
        }
        for (auto const& name : {item.key, entry.model}) {
            auto const failure = result.samples.failures.find(name);
            if (failure != result.samples.failures.end()) entry.failure = failure->second;
        }
        found.push_back(std::move(entry));
    }
    for (auto& entry : found) {
        if (entry.time_ms && all_ms > 0) entry.share_of_time = *entry.time_ms / all_ms;
    }
    std::ranges::stable_sort(found, std::ranges::greater{}, &ImpreciseCase::share_of_time);
    return found;
}

std::string reason_text(ImpreciseCase const& imprecise) {
    auto text = std::string{to_string(imprecise.stopped)} + ": ";
    if (!imprecise.failure.empty()) return text + imprecise.failure;
    auto const launches =
        std::to_string(imprecise.launches) + (imprecise.launches == 1 ? " launch" : " launches");
    switch (imprecise.stopped) {
        case StopReason::noise_floor:
            text += launches + " show a spread that no more will mend";
            break;
        case StopReason::launches:
            text += launches + " were the most allowed";
            break;
        case StopReason::budget:
            text += "the time was spent after " + launches;
            break;
        case StopReason::exact:
            text += launches + " were asked for";
            break;
        case StopReason::precise:
            text += "the target was wider";
            break;
        case StopReason::failed:
            text += "it could not be timed";
            break;
    }
    if (imprecise.two_peaks) {
        text += fmt::format("; two speeds, {:.3g} and {:.3g} ms", imprecise.two_peaks->lower_ms,
                            imprecise.two_peaks->upper_ms);
    }
    return text;
}

}  // namespace derate
