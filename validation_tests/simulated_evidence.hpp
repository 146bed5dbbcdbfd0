#pragma once
#include <cstdint>

#include "core/evidence.hpp"

namespace derate {

/// Timings of a machine that obeys an additive roofline, to be fitted and judged.
///
/// Models of ten families share kernels of six types; every kernel has its own factor on the
/// roofline (8 %) and each launch its own noise (1 %). A campaign moves every kernel by 2 % more.
/// Equal seeds give equal models and kernels, equal campaigns equal times.
struct SimulatedMachine {
    int models = 15;
    std::uint64_t seed = 1;
    int campaign = 1;
    /// Every other model took longer by: its whole time and the kernels first met in it.
    double slowed_percent = 0;
};

[[nodiscard]] Evidence simulate_evidence(SimulatedMachine const& machine);

}  // namespace derate
