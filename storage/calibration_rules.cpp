#include "storage/calibration_rules.hpp"

#include <string_view>
#include <utility>

namespace derate {
namespace {

/// Collects violations; pointers are built where one is found.
class Rules {
  public:
    void require(bool holds, std::string pointer, std::string problem, std::string required) {
        if (holds) return;
        violations.push_back({std::move(pointer), std::move(problem), std::move(required)});
    }

    std::vector<Violation> violations;
};

std::string child(std::string_view parent, std::string_view name) {
    return std::string{parent}.append("/").append(name);
}

std::string child(std::string_view parent, std::string_view name, std::size_t index) {
    return child(child(parent, name), std::to_string(index));
}

void check_interval(Rules& rules, std::optional<Interval> const& interval,
                    std::string const& pointer) {
    rules.require(!interval || interval->lower <= interval->upper, pointer, "ends below its start",
                  "lower <= upper");
}

void check_data_points(Rules& rules, EfficiencyCurve const& curve, std::string const& pointer) {
    // Extremes of a bin and its mean are rounded apart: equal values may differ in the last digits.
    constexpr double rounding = 1 + 1e-9;
    char const* const axis = curve.axis == WorkAxis::flops ? "flops" : "bytes";
    for (std::size_t i = 0; i < curve.data_points.size(); ++i) {
        auto const& point = curve.data_points[i];
        auto const place = child(pointer, "data_points", i);
        rules.require(i == 0 || curve.data_points[i - 1].work < point.work, child(place, axis),
                      "does not increase", "data points by increasing work");
        rules.require(
            !point.efficiency_min || *point.efficiency_min <= point.efficiency_mean * rounding,
            child(place, "efficiency_min"), "is above the mean", "min <= mean <= max");
        rules.require(
            !point.efficiency_max || *point.efficiency_max * rounding >= point.efficiency_mean,
            child(place, "efficiency_max"), "is below the mean", "min <= mean <= max");
        check_interval(rules, point.confidence_interval_of_mean,
                       child(place, "confidence_interval_of_mean"));
        check_interval(rules, point.prediction_interval, child(place, "prediction_interval"));
    }
}

std::size_t packed_size(std::size_t rows) { return rows * (rows + 1) / 2; }

struct ParameterCount {
    std::size_t operator()(AdditiveRoofline const&) const { return 8; }
    std::size_t operator()(PiecewiseLinear const& form) const {
        return form.work.size() + form.efficiency.size();
    }
    std::size_t operator()(LogLinear const&) const { return 2; }
    std::size_t operator()(Sigmoid const&) const { return 3; }
};

void check_knots(Rules& rules, PiecewiseLinear const& form, std::string const& parameters) {
    rules.require(form.work.size() == form.efficiency.size(), child(parameters, "efficiency"),
                  "has another length than work", "one a knot");
    rules.require(!form.work.empty(), child(parameters, "work"), "is empty", "one knot or more");
    for (std::size_t i = 1; i < form.work.size(); ++i) {
        rules.require(form.work[i - 1] < form.work[i], child(parameters, "work", i),
                      "does not increase", "knots by increasing work");
    }
}

void check_fitted(Rules& rules, FittedCurve const& fitted, std::string const& pointer) {
    if (auto const* knots = std::get_if<PiecewiseLinear>(&fitted.form)) {
        check_knots(rules, *knots, child(pointer, "parameters"));
    }
    rules.require(fitted.parameter_covariance.size() <=
                      packed_size(std::visit(ParameterCount{}, fitted.form)),
                  child(pointer, "parameter_covariance"), "has more entries than the parameters",
                  "a packed lower triangle");
}

void check_residual(Rules& rules, ResidualModel const& model, std::string const& pointer) {
    auto const count = model.weights.size();
    rules.require(model.points.size() == count * model.features.size(), child(pointer, "points"),
                  "has another length than weights times features", "one row a weight");
    rules.require(model.point_regimes.size() == count, child(pointer, "point_regimes"),
                  "has another length than weights", "one a point");
    rules.require(model.packed_factor.size() == packed_size(count), child(pointer, "packed_factor"),
                  "is not a triangle of the points", "points (points + 1) / 2 numbers");
}

void check_curve(Rules& rules, EfficiencyCurve const& curve, std::string const& pointer) {
    check_data_points(rules, curve, pointer);
    if (curve.fitted_curve) {
        check_fitted(rules, *curve.fitted_curve, child(pointer, "fitted_curve"));
    }
    for (std::size_t i = 0; i < curve.diagnostics.size(); ++i) {
        check_fitted(rules, curve.diagnostics[i], child(pointer, "diagnostics", i));
    }
    if (curve.residual_model) {
        check_residual(rules, *curve.residual_model, child(pointer, "residual_model"));
    }
    check_interval(rules, curve.work_range, child(pointer, "work_range"));
    check_interval(rules, curve.byte_range, child(pointer, "byte_range"));
    rules.require(curve.fitted_curve || !curve.data_points.empty(), child(pointer, "data_points"),
                  "is empty and nothing is fitted", "a data point or a fitted curve");
}

}  // namespace

std::vector<Violation> broken_rules(Calibration const& calibration) {
    Rules rules;
    for (auto const& curve : calibration.curves) {
        check_curve(rules, curve, child("/efficiency_curves", curve_key(curve)));
    }
    for (auto const& [key, curve] : calibration.parent_curves) {
        check_curve(rules, curve, child("/parent_curves", key));
    }
    bool const is_legacy = calibration.source == CurveSource::legacy_hardcoded;
    bool const is_default = calibration.source == CurveSource::conservative_default;
    rules.require(is_legacy == calibration.legacy_rules.has_value(), "/legacy_rules",
                  is_legacy ? "is missing" : "stands beside another source",
                  "where source is legacy_hardcoded");
    rules.require(is_default == calibration.default_rules.has_value(), "/default_rules",
                  is_default ? "is missing" : "stands beside another source",
                  "where source is default");
    bool const has_curves = !calibration.curves.empty() || !calibration.parent_curves.empty();
    rules.require(is_legacy || is_default || has_curves, "/efficiency_curves", "is empty",
                  "a curve where source is measured or imported");
    return std::move(rules.violations);
}

}  // namespace derate
