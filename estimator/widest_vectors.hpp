#pragma once
#include "estimator/compiled_calibration.hpp"

// Before a function: one source, three instruction sets, of which the processor that runs it picks
// the widest. Elsewhere the plain version is built.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define DERATE_WIDEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DERATE_WIDEST_VECTORS
#endif

namespace derate {

/// Eight doubles: one register, or two, or four.
using Lanes [[gnu::vector_size(point_lanes * sizeof(double))]] = double;

[[gnu::always_inline]] inline Lanes load(double const* from) {
    Lanes lanes;
    __builtin_memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

[[gnu::always_inline]] inline void store(Lanes const& lanes, double* to) {
    __builtin_memcpy(to, &lanes, sizeof lanes);
}

}  // namespace derate
