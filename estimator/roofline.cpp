#include "estimator/roofline.hpp"

#include <algorithm>
#include <cmath>

namespace derate {

double shown_joined_flops(AdditiveRoofline const& form, RooflineTerms const& terms) {
    if (!form.joined_flops_per_byte) return terms.joined_flops;
    return std::min(terms.joined_flops, *form.joined_flops_per_byte * terms.activation_bytes);
}

RooflineFactors roofline_factors(AdditiveRoofline const& form, RooflineTerms const& terms,
                                 TermLimits const& limits) {
    auto const power = [](double size, double exponent, double limit) {
        if (!(size > 0)) return 0.0;
        if (exponent == 1 && !(size > limit)) return size;  // which is what pow() gives, and slowly
        if (!(size > limit)) return std::pow(size, exponent);
        return std::pow(limit, exponent) * (size / limit);
    };
    RooflineFactors factors{
        .kernels = terms.kernels,
        .flops = power(terms.flops, form.flop_exponent, limits.flops),
        .bytes = power(terms.bytes, form.byte_exponent, limits.bytes),
        .cache_excess = std::max(0.0, terms.activation_bytes - form.last_level_cache_bytes)};
    double const shown = shown_joined_flops(form, terms);
    double joined = power(terms.joined_flops, form.flop_exponent, limits.flops);
    if (shown < terms.joined_flops && form.joined_flop_coefficient > 0) {
        // What joined is a product then, of no more work than the main one: it takes no longer.
        auto uncached = factors;
        uncached.cache_excess = 0;
        double const rest = roofline_seconds(form, uncached).total();
        double const most = std::max(power(shown, form.flop_exponent, limits.flops),
                                     rest / form.joined_flop_coefficient);
        joined = std::min(joined, most);
    }
    factors.joined_flops = joined;
    return factors;
}

}  // namespace derate
