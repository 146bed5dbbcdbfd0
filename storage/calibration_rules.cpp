#include "storage/calibration_rules.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace derate {
namespace {

using nlohmann::json;

/// Collects violations; pointers are written where one is found.
class Rules {
  public:
    void require(bool holds, json::json_pointer const& pointer, std::string problem,
                 std::string required) {
        if (holds) return;
        violations.push_back({pointer.to_string(), std::move(problem), std::move(required)});
    }

    std::vector<Violation> violations;
};

void check_interval(Rules& rules, std::optional<Interval> const& interval,
                    json::json_pointer const& pointer) {
    rules.require(!interval || interval->lower <= interval->upper, pointer, "ends below its start",
                  "lower <= upper");
}

void check_data_points(Rules& rules, EfficiencyCurve const& curve,
                       json::json_pointer const& pointer) {
    // Extremes of a bin and its mean are rounded apart: equal values may differ in the last digits.
    constexpr double rounding = 1 + 1e-9;
    std::string const axis = curve.axis == WorkAxis::flops ? "flops" : "bytes";
    for (std::size_t i = 0; i < curve.data_points.size(); ++i) {
        auto const& point = curve.data_points[i];
        auto const place = pointer / "data_points" / i;
        rules.require(i == 0 || curve.data_points[i - 1].work < point.work, place / axis,
                      "does not increase", "data points by increasing work");
        rules.require(
            !point.efficiency_min || *point.efficiency_min <= point.efficiency_mean * rounding,
            place / "efficiency_min", "is above the mean", "min <= mean <= max");
        rules.require(
            !point.efficiency_max || *point.efficiency_max * rounding >= point.efficiency_mean,
            place / "efficiency_max", "is below the mean", "min <= mean <= max");
        check_interval(rules, point.confidence_interval_of_mean,
                       place / "confidence_interval_of_mean");
        check_interval(rules, point.prediction_interval, place / "prediction_interval");
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

void check_knots(Rules& rules, PiecewiseLinear const& form, json::json_pointer const& parameters) {
    rules.require(form.work.size() == form.efficiency.size(), parameters / "efficiency",
                  "has another length than work", "one a knot");
    rules.require(!form.work.empty(), parameters / "work", "is empty", "one knot or more");
    for (std::size_t i = 1; i < form.work.size(); ++i) {
        rules.require(form.work[i - 1] < form.work[i], parameters / "work" / i, "does not increase",
                      "knots by increasing work");
    }
}

void check_fitted(Rules& rules, FittedCurve const& fitted, json::json_pointer const& pointer) {
    if (auto const* knots = std::get_if<PiecewiseLinear>(&fitted.form)) {
        check_knots(rules, *knots, pointer / "parameters");
    }
    rules.require(fitted.parameter_covariance.size() <=
                      packed_size(std::visit(ParameterCount{}, fitted.form)),
                  pointer / "parameter_covariance", "has more entries than the parameters",
                  "a packed lower triangle");
}

void check_residual(Rules& rules, ResidualModel const& model, json::json_pointer const& pointer) {
    auto const count = model.weights.size();
    rules.require(model.points.size() == count * model.features.size(), pointer / "points",
                  "has another length than weights times features", "one row a weight");
    rules.require(model.point_regimes.size() == count, pointer / "point_regimes",
                  "has another length than weights", "one a point");
    rules.require(model.packed_factor.size() == packed_size(count), pointer / "packed_factor",
                  "is not a triangle of the points", "points (points + 1) / 2 numbers");
}

void check_curve(Rules& rules, EfficiencyCurve const& curve, json::json_pointer const& pointer) {
    check_data_points(rules, curve, pointer);
    if (curve.fitted_curve) {
        check_fitted(rules, *curve.fitted_curve, pointer / "fitted_curve");
    }
    for (std::size_t i = 0; i < curve.diagnostics.size(); ++i) {
        check_fitted(rules, curve.diagnostics[i], pointer / "diagnostics" / i);
    }
    if (curve.residual_model) {
        check_residual(rules, *curve.residual_model, pointer / "residual_model");
    }
    check_interval(rules, curve.work_range, pointer / "work_range");
    check_interval(rules, curve.byte_range, pointer / "byte_range");
    rules.require(curve.fitted_curve || !curve.data_points.empty(), pointer / "data_points",
                  "is empty and nothing is fitted", "a data point or a fitted curve");
}

}  // namespace

std::vector<Violation> broken_rules(Calibration const& calibration) {
    Rules rules;
    for (auto const& curve : calibration.curves) {
        check_curve(rules, curve, json::json_pointer{"/efficiency_curves"} / curve_key(curve));
    }
    for (auto const& [key, curve] : calibration.parent_curves) {
        check_curve(rules, curve, json::json_pointer{"/parent_curves"} / key);
    }
    bool const is_legacy = calibration.source == CurveSource::legacy_hardcoded;
    bool const is_default = calibration.source == CurveSource::conservative_default;
    rules.require(is_legacy == calibration.legacy_rules.has_value(),
                  json::json_pointer{"/legacy_rules"},
                  is_legacy ? "is missing" : "stands beside another source",
                  "where source is legacy_hardcoded");
    rules.require(
        is_default == calibration.default_rules.has_value(), json::json_pointer{"/default_rules"},
        is_default ? "is missing" : "stands beside another source", "where source is default");
    bool const has_curves = !calibration.curves.empty() || !calibration.parent_curves.empty();
    rules.require(is_legacy || is_default || has_curves, json::json_pointer{"/efficiency_curves"},
                  "is empty", "a curve where source is measured or imported");
    return std::move(rules.violations);
}

}  // namespace derate
