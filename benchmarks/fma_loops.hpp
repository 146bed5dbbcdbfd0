#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/precision.hpp"

namespace derate::benchmarks {

/// A loop of independent multiply-adds that keeps everything in registers: what one core can
/// compute at most with this width of vectors.
struct FmaLoop {
    std::string_view name;  ///< "fma_scalar", "fma_avx2", "fma_avx512", "fma_avx512_bf16"
    Precision precision;
    double flops_per_round;             ///< 1 FMA = 2 FLOP
    float (*run)(std::int64_t rounds);  ///< the result only keeps the work alive
};

/// The loops that this processor can run.
[[nodiscard]] std::span<FmaLoop const> fma_loops();

}  // namespace derate::benchmarks
