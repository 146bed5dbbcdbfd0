#include "calibration/rates_above_peak.hpp"

#include "core/format_quantity.hpp"

namespace derate {
namespace {

/// A place where the case occurs.
std::string place_of(Evidence const& evidence, int case_index) {
    for (auto const& model : evidence.models) {
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            if (model.cases[i] != case_index) continue;
            return place_in(model, i);
        }
    }
    return evidence.cases[static_cast<std::size_t>(case_index)].subgraph.fusion_pattern;
}

RatesAbovePeak judged_by(Evidence const& evidence, double peak_per_second, bool of_bandwidth) {
    RatesAbovePeak above{.of_bandwidth = of_bandwidth, .peak_per_second = peak_per_second};
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& [subgraph, timing, failure, campaign, probe] = evidence.cases[i];
        bool const zero_flop = !(subgraph.work.value() > 0);
        double const work = zero_flop ? subgraph.traffic.total().value() : subgraph.work.value();
        if (!timing || zero_flop != of_bandwidth || !(work > 0)) continue;
        ++above.of_kernels;
        double const share = work * ms_per_second / (timing->center_ms * peak_per_second);
        if (!(share > 1)) continue;
        ++above.kernels;
        if (share < above.largest) continue;
        above.largest = share;
        above.fastest = place_of(evidence, static_cast<int>(i));
    }
    return above;
}

}  // namespace

std::vector<RatesAbovePeak> rates_above_peak(Calibration const& calibration,
                                             Evidence const& evidence) {
    std::vector<RatesAbovePeak> all;
    for (bool const of_bandwidth : {false, true}) {
        auto const& peak = of_bandwidth ? calibration.peak_bandwidth : calibration.peak_flops;
        if (!peak) continue;
        auto above = judged_by(evidence, peak->per_second, of_bandwidth);
        if (above.kernels > 0) all.push_back(std::move(above));
    }
    return all;
}

std::string in_words(RatesAbovePeak const& above) {
    return std::to_string(above.kernels) + " of " + std::to_string(above.of_kernels) +
           " kernels run above the stated " +
           (above.of_bandwidth
                ? "bandwidth of " + format_rate(BytesPerSecond{above.peak_per_second})
                : "compute peak of " + format_rate(FlopsPerSecond{above.peak_per_second})) +
           ", up to " + format_significant(above.largest, 2) + " times (" + above.fastest +
           "): the peak is too low, or work is counted that is not done. Efficiencies are wrong " +
           "by as much; predicted times are not";
}

}  // namespace derate
