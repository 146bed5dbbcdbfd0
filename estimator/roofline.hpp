#pragma once
#include <limits>

#include "core/calibration.hpp"
#include "core/kernel_features.hpp"

namespace derate {

/// Sizes up to which a curve's rates may grow, where its exponents let them. Beyond, time grows in
/// proportion: a parent prices types it has never seen, and what no kernel of it reached is no
/// rate.
struct TermLimits {
    double flops = std::numeric_limits<double>::infinity();
    double bytes = std::numeric_limits<double>::infinity();
};

/// What the coefficients of an additive roofline multiply: the row of a fit's design matrix, and
/// what a price is made of.
struct RooflineFactors {
    double kernels = 0;
    double flops = 0;         ///< F^flop_exponent
    double joined_flops = 0;  ///< F_joined^flop_exponent
    double bytes = 0;         ///< B^byte_exponent
    double cache_excess = 0;  ///< activation bytes beyond the last-level cache
};

/// An additive roofline's terms (s).
struct RooflineSeconds {
    double overhead = 0;
    double compute = 0;
    double memory = 0;
    [[nodiscard]] double total() const { return compute + memory + overhead; }
};

/// \param form    its exponents, its cache and, where it has one, its bound of joined FLOPs
/// \param limits  of parents
[[nodiscard]] RooflineFactors roofline_factors(AdditiveRoofline const& form,
                                               RooflineTerms const& terms,
                                               TermLimits const& limits = {});

/// The formula of AdditiveRoofline. Norms and activations that joined pass over what a convolution
/// or product has written, so their term is one of memory.
///
/// Always inline: fits, single kernels and the loop over whole models, which is built for several
/// instruction sets, price by these very lines and get the same bits.
[[nodiscard, gnu::always_inline]] inline RooflineSeconds roofline_seconds(
    AdditiveRoofline const& form, RooflineFactors const& factors) {
    return {.overhead = form.kernel_seconds * factors.kernels,
            .compute = form.flop_coefficient * factors.flops,
            .memory = form.joined_flop_coefficient * factors.joined_flops +
                      form.byte_coefficient * factors.bytes +
                      form.cache_byte_seconds * factors.cache_excess};
}

/// Joined FLOPs as far as the roofline's kernels show as many a byte.
[[nodiscard]] double shown_joined_flops(AdditiveRoofline const& form, RooflineTerms const& terms);

}  // namespace derate
