#pragma once
#include <string>
#include <vector>

#include "core/calibration.hpp"
#include "core/evidence.hpp"

namespace derate {

/// Kernels that run faster than a stated peak: the peak is too low, or their work counted too high.
struct RatesAbovePeak {
    bool of_bandwidth = false;
    double peak_per_second = 0;  ///< as the calibration states it: FLOP/s or byte/s
    int kernels = 0;             ///< above it
    int of_kernels = 0;          ///< that are judged by it
    double largest = 1;          ///< rate over peak
    std::string fastest;         ///< "model/batch/position", or what the kernel is made of
};

/// What lies above the calibration's peaks, compute before bandwidth; empty where nothing does.
/// Kernels with FLOPs are judged by the compute peak, those without by the bandwidth.
[[nodiscard]] std::vector<RatesAbovePeak> rates_above_peak(Calibration const& calibration,
                                                           Evidence const& evidence);

/// A sentence: "3 of 4 kernels run above the stated compute peak of 100 GFLOP/s, up to 2.3 times
/// (m0/1/2): ...".
[[nodiscard]] std::string in_words(RatesAbovePeak const& above);

}  // namespace derate
