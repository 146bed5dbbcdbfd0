#include "estimator/default_calibration.hpp"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace derate {
namespace {

DefaultRule const& rule_for(DefaultRules const& rules, OperationType type) {
    for (auto const name : {to_string(type), to_string(parent_of(type)), std::string_view{"any"}}) {
        auto const found = rules.rules.find(std::string{name});
        if (found != rules.rules.end()) return found->second;
    }
    throw std::invalid_argument{"default rules without \"any\""};
}

std::optional<PeakRate> compute_peak(DefaultRules const& rules,
                                     std::optional<Hardware> const& hardware, Precision precision) {
    Hardware const assumed{.compute_peaks = rules.fallback_compute_peaks};
    for (auto const* source : {hardware ? &*hardware : &assumed, &assumed}) {
        for (auto const wanted : {precision, Precision::fp32}) {
            if (auto peak = source->compute_peak(wanted)) return peak;
        }
    }
    return std::nullopt;
}

std::optional<PeakRate> bandwidth_peak(DefaultRules const& rules,
                                       std::optional<Hardware> const& hardware) {
    if (hardware) {
        if (auto peak = hardware->bandwidth_peak()) return peak;
    }
    return rules.fallback_bandwidth_peak;
}

EfficiencyCurve curve_of(DefaultRule const& rule, OperationType type, bool zero_flop,
                         double peak_flops, double peak_bandwidth) {
    AdditiveRoofline const roofline{
        .kernel_seconds = rule.kernel_seconds,
        .flop_coefficient = zero_flop ? 0 : 1 / (rule.compute_efficiency * peak_flops),
        .flop_exponent = 1,
        .byte_coefficient = 1 / (rule.bandwidth_efficiency * peak_bandwidth),
        .byte_exponent = 1,
    };
    EfficiencyCurve curve{.type = type,
                          .zero_flop = zero_flop,
                          .axis = zero_flop ? WorkAxis::bytes : WorkAxis::flops,
                          .source = CurveSource::conservative_default};
    curve.fitted_curve = FittedCurve{.form = roofline};
    curve.log_variance = rule.log_variance;
    // The rule is a median; the mean of a log-normal is exp(v / 2) above it.
    curve.mean_correction = std::exp(rule.log_variance / 2);
    return curve;
}

}  // namespace

Calibration default_calibration(Calibration const& defaults,
                                std::optional<Hardware> const& hardware, Precision precision) {
    if (!defaults.default_rules) throw std::invalid_argument{"a calibration without default rules"};
    auto const& rules = *defaults.default_rules;
    auto const peak_flops = compute_peak(rules, hardware, precision);
    auto const peak_bandwidth = bandwidth_peak(rules, hardware);
    if (!peak_flops || !peak_bandwidth) {
        throw std::invalid_argument{"neither hardware nor default rules state a peak"};
    }
    Calibration calibration{defaults};
    calibration.condition.precision = precision;
    calibration.peak_flops = peak_flops;
    calibration.peak_bandwidth = peak_bandwidth;
    calibration.intervals = {.same_type_correlation = rules.same_type_correlation,
                             .cross_type_correlation = rules.cross_type_correlation,
                             .model_log_variance = rules.model_log_variance,
                             .degrees_of_freedom = rules.degrees_of_freedom,
                             .t_quantile = rules.t_quantile};
    for (auto const type : all_operation_types) {
        for (bool const zero_flop : {false, true}) {
            calibration.curves.push_back(curve_of(rule_for(rules, type), type, zero_flop,
                                                  peak_flops->per_second,
                                                  peak_bandwidth->per_second));
        }
    }
    return calibration;
}

}  // namespace derate
