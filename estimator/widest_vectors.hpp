#pragma once
#include <bit>
#include <cstdint>

#include "estimator/compiled_calibration.hpp"

// Before a function: one source, three instruction sets, of which the processor that runs it picks
// the widest. Elsewhere the plain version is built.
#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define DERATE_WIDEST_VECTORS \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
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

/// The same number in all lanes.
[[gnu::always_inline]] inline Lanes broadcast(double number) { return number - Lanes{}; }

[[gnu::always_inline]] inline void store(Lanes const& lanes, double* to) {
    __builtin_memcpy(to, &lanes, sizeof lanes);
}

/// a * b + c, rounded once. What a compiler fuses by itself it fuses on some processors only; this
/// has the same bits on all, where need be by a function call.
[[gnu::always_inline]] inline double fused(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}
[[gnu::always_inline]] inline Lanes fused(Lanes const& a, Lanes const& b, Lanes const& c) {
    Lanes sums;
    for (int i = 0; i < point_lanes; ++i) sums[i] = __builtin_fma(a[i], b[i], c[i]);
    return sums;
}

/// Bits of a double, or of several.
using Words [[gnu::vector_size(point_lanes * sizeof(std::uint64_t))]] = std::uint64_t;
[[gnu::always_inline]] inline std::uint64_t words_of(double x) {
    return std::bit_cast<std::uint64_t>(x);
}
[[gnu::always_inline]] inline Words words_of(Lanes const& x) { return std::bit_cast<Words>(x); }

/// exp(x) for |x| <= 700 to 2 ulp, without a branch, so that a loop of it vectorises.
///
/// x = k log 2 + r with |r| <= log(2) / 2; exp(r) by its Taylor polynomial of degree 13, whose rest
/// is below 2^-57; 2^k by its exponent bits.
template <class Number>
[[gnu::always_inline]] inline Number exponential(Number x) {
    constexpr double log2_e = 1.4426950408889634;
    constexpr double log_2_high = 6.93147180369123816490e-01;
    constexpr double log_2_low = 1.90821492927058770002e-10;
    constexpr double round_to_integer = 6755399441055744.0;  // 1.5 * 2^52
    auto const all = [](double number) { return number - Number{}; };
    Number const shifted = fused(x, all(log2_e), all(round_to_integer));
    Number const k = shifted - round_to_integer;
    Number const r = fused(k, all(-log_2_low), fused(k, all(-log_2_high), x));
    Number p = fused(all(1.0 / 6227020800), r, all(1.0 / 479001600));
    p = fused(p, r, all(1.0 / 39916800));
    p = fused(p, r, all(1.0 / 3628800));
    p = fused(p, r, all(1.0 / 362880));
    p = fused(p, r, all(1.0 / 40320));
    p = fused(p, r, all(1.0 / 5040));
    p = fused(p, r, all(1.0 / 720));
    p = fused(p, r, all(1.0 / 120));
    p = fused(p, r, all(1.0 / 24));
    p = fused(p, r, all(1.0 / 6));
    p = fused(p, r, all(0.5));
    p = fused(p, r, all(1));
    p = fused(p, r, all(1));
    return std::bit_cast<Number>(words_of(p) + (words_of(shifted) << 52U));
}

[[gnu::always_inline]] inline double sum_of(Lanes const& p) {
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
}

/// What a residual model's points say of a kernel.
struct KnownOfPoints {
    double residual = 0;
    double explained = 0;  ///< of its variance
};

/// Eight partial sums, whose order does not depend on the instruction set.
[[gnu::always_inline]] inline KnownOfPoints known_of_points(CompiledCurve const& curve,
                                                            double const* vector,
                                                            double const* whitened) {
    auto const* weights = curve.weights.data();
    int const padded = padded_points(curve.points);
    Lanes residuals{};
    Lanes explained{};
    for (int i = 0; i < padded; i += point_lanes) {
        residuals = fused(load(weights + i), load(vector + i), residuals);
        Lanes const part = load(whitened + i);
        explained = fused(part, part, explained);
    }
    return {.residual = sum_of(residuals), .explained = sum_of(explained)};
}

}  // namespace derate
