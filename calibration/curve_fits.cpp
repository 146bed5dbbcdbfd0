#include "calibration/curve_fits.hpp"

#include <algorithm>
#include <boost/math/tools/toms748_solve.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <set>
#include <stdexcept>
#include <tuple>

#include "calibration/least_squares.hpp"
#include "statistics/distributions.hpp"

namespace derate {
namespace {

constexpr int max_reweightings = 60;
constexpr double reweighting_tolerance = 1e-11;

using Parameters = std::span<long double const>;

template <class Real>
Real interpolate(std::span<double const> knots, std::span<Real const> values, double log_work) {
    if (log_work <= knots.front()) return values.front();
    if (log_work >= knots.back()) return values.back();
    auto const right = static_cast<std::size_t>(
        std::upper_bound(knots.begin(), knots.end(), log_work) - knots.begin());
    Real const share = (static_cast<Real>(log_work) - static_cast<Real>(knots[right - 1])) /
                       (static_cast<Real>(knots[right]) - static_cast<Real>(knots[right - 1]));
    return values[right - 1] + share * (values[right] - values[right - 1]);
}

// The three forms as functions of their parameters. `knots` in log10 of work.
template <class Real>
Real value_of(CurveForm form, std::span<double const> knots, std::span<Real const> parameters,
              double log_work) {
    switch (form) {
        case CurveForm::piecewise_linear:
            return interpolate(knots, parameters, log_work);
        case CurveForm::log_linear:
            return parameters[0] + parameters[1] * static_cast<Real>(log_work);
        case CurveForm::sigmoid:
            return parameters[0] /
                   (1 + std::exp(-parameters[1] * (static_cast<Real>(log_work) - parameters[2])));
    }
    throw std::logic_error{"unknown curve form"};
}

struct Observation {
    double log_work;  // log10
    double efficiency;
    double run_std;         // over repetitions; 0 where it is not needed
    double standard_error;  // of the kernel's mean
};

std::optional<Observation> observation_of(KernelEfficiency const& kernel, FitWeighting weighting) {
    Observation result{std::log10(kernel.work), kernel.efficiency, 0, 0};
    if (weighting == FitWeighting::log_error) return result;
    if (weighting == FitWeighting::inverse_variance) {
        if (!kernel.efficiency_std || !(*kernel.efficiency_std > 0)) return std::nullopt;
        result.run_std = *kernel.efficiency_std;
        return result;
    }
    if (kernel.standard_error) {
        result.standard_error = *kernel.standard_error;
    } else if (kernel.efficiency_std) {  // no launches known: the best there is
        result.standard_error =
            *kernel.efficiency_std / std::sqrt(static_cast<double>(kernel.observations));
    } else {
        return std::nullopt;
    }
    return result;
}

std::vector<KernelEfficiency> in_fixed_order(std::span<KernelEfficiency const> kernels) {
    std::vector<KernelEfficiency> sorted{kernels.begin(), kernels.end()};
    std::ranges::sort(sorted, [](KernelEfficiency const& a, KernelEfficiency const& b) {
        return std::tie(a.work, a.efficiency, a.efficiency_std, a.source_subgraphs) <
               std::tie(b.work, b.efficiency, b.efficiency_std, b.source_subgraphs);
    });
    return sorted;
}

std::vector<double> knots_of(std::span<KernelEfficiency const> kernels) {
    std::vector<double> knots;
    for (auto const& point : data_points_of(kernels)) knots.push_back(std::log10(point.work));
    return knots;
}

struct Problem {
    CurveForm form;
    std::vector<double> knots;
    std::vector<Observation> observations;

    [[nodiscard]] std::vector<double> column(double Observation::*field) const {
        std::vector<double> values;
        for (auto const& observation : observations) values.push_back(observation.*field);
        return values;
    }

    [[nodiscard]] double value(std::span<double const> parameters, double log_work) const {
        return value_of<double>(form, knots, parameters, log_work);
    }

    [[nodiscard]] std::size_t parameter_count() const {
        switch (form) {
            case CurveForm::piecewise_linear:
                return knots.size();
            case CurveForm::log_linear:
                return 2;
            case CurveForm::sigmoid:
                return 3;
        }
        throw std::logic_error{"unknown curve form"};
    }

    // Weighted least squares of the efficiency itself.
    [[nodiscard]] LeastSquaresFit fit_efficiency(std::span<double const> weights) const {
        auto const efficiencies = column(&Observation::efficiency);
        if (form == CurveForm::sigmoid) {
            return nonlinear_least_squares(
                [this](Parameters b, std::size_t i) {
                    return value_of<long double>(form, knots, b, observations[i].log_work);
                },
                sigmoid_start(), efficiencies, weights);
        }
        auto const count = parameter_count();
        std::vector<long double> design;
        std::vector<long double> unit(count, 0);
        for (auto const& observation : observations) {
            for (std::size_t j = 0; j < count; ++j) {  // both forms are linear in their parameters
                unit[j] = 1;
                design.push_back(value_of<long double>(form, knots, unit, observation.log_work));
                unit[j] = 0;
            }
        }
        return linear_least_squares(design, efficiencies, weights);
    }

    // Least squares of the log efficiency.
    [[nodiscard]] LeastSquaresFit fit_log_efficiency() const {
        std::vector<double> logs;
        std::vector<double> relative_weights;
        for (auto const& observation : observations) {
            logs.push_back(std::log(observation.efficiency));
            relative_weights.push_back(1 / (observation.efficiency * observation.efficiency));
        }
        // To first order a log residual is a relative one: the start.
        auto start = form == CurveForm::sigmoid ? sigmoid_start()
                                                : fit_efficiency(relative_weights).parameters;
        double const least = std::ranges::min(column(&Observation::efficiency));
        if (form == CurveForm::piecewise_linear) {
            for (double& knot : start) knot = std::max(knot, 0.1 * least);
        }
        auto const positive = [&](std::span<double const> parameters) {
            return std::ranges::all_of(observations, [&](Observation const& observation) {
                return value(parameters, observation.log_work) > 0;
            });
        };
        if (!positive(start)) {  // a line that crosses zero: begin flat
            double mean_log = 0;
            for (double const log : logs) mean_log += log / static_cast<double>(logs.size());
            start = {std::exp(mean_log), 0.0};
        }
        return nonlinear_least_squares(
            [this](Parameters b, std::size_t i) {
                return std::log(value_of<long double>(form, knots, b, observations[i].log_work));
            },
            start, logs);
    }

    [[nodiscard]] std::vector<double> sigmoid_start() const {
        auto const efficiencies = column(&Observation::efficiency);
        auto const log_works = column(&Observation::log_work);
        auto const [least, most] = std::ranges::minmax(log_works);
        return {1.05 * *std::ranges::max_element(efficiencies), 2.0, least + (most - least) / 3};
    }
};

struct ReweightedFit {
    LeastSquaresFit fit;
    double tau = 0;
};

// Weights 1 / (SE^2 + tau^2 f^2) for a given tau, f from the fit before.
LeastSquaresFit fit_at_tau(Problem const& problem, double tau, std::vector<double>& curve) {
    LeastSquaresFit fit;
    std::vector<double> before;
    for (int round = 0; round < max_reweightings; ++round) {
        std::vector<double> weights;
        for (std::size_t i = 0; i < curve.size(); ++i) {
            double const error = problem.observations[i].standard_error;
            weights.push_back(1 / (error * error + tau * tau * curve[i] * curve[i]));
        }
        fit = problem.fit_efficiency(weights);
        double change = before.empty() ? 1 : 0;
        for (std::size_t i = 0; i < before.size(); ++i) {
            change = std::max(change, std::abs(fit.parameters[i] - before[i]) /
                                          (std::abs(before[i]) + reweighting_tolerance));
        }
        before = fit.parameters;
        for (std::size_t i = 0; i < curve.size(); ++i) {
            curve[i] = problem.value(fit.parameters, problem.observations[i].log_work);
        }
        if (change < reweighting_tolerance) break;
    }
    return fit;
}

// Paule and Mandel: the tau at which the weighted residuals are as large as they should be,
// chi^2 = degrees of freedom; 0 when they are not larger without any.
ReweightedFit fit_random_effects(Problem const& problem) {
    auto const efficiencies = problem.column(&Observation::efficiency);
    auto const errors = problem.column(&Observation::standard_error);
    bool const all_have_errors = std::ranges::all_of(errors, [](double e) { return e > 0; });

    auto curve = efficiencies;
    if (all_have_errors) {
        auto fit = fit_at_tau(problem, 0, curve);
        if (fit.chi_squared <= fit.degrees_of_freedom) return {std::move(fit), 0};
    }
    // chi^2 falls as tau grows. The curve of one tau is the start of the next, which is near.
    auto const excess = [&](double log_tau) {
        auto const fit = fit_at_tau(problem, std::exp(log_tau), curve);
        return std::log(fit.chi_squared / fit.degrees_of_freedom);
    };
    double const low = std::log(1e-6);
    double const high = std::log(10.0);
    if (problem.observations.size() <= problem.parameter_count()) {
        throw FitFailure{"no degree of freedom is left for a scatter"};
    }
    if (!(excess(low) > 0) || !(excess(high) < 0)) {
        throw FitFailure{"no scatter explains the residuals"};
    }
    std::uintmax_t evaluations = 100;
    auto const bracket = boost::math::tools::toms748_solve(
        excess, low, high, boost::math::tools::eps_tolerance<double>{44}, evaluations);
    ReweightedFit result;
    result.tau = std::exp((bracket.first + bracket.second) / 2);
    result.fit = fit_at_tau(problem, result.tau, curve);
    return result;
}

FittedForm fitted_form(CurveForm form, std::vector<double> const& knots,
                       std::vector<double> const& parameters) {
    switch (form) {
        case CurveForm::piecewise_linear: {
            PiecewiseLinear curve;
            for (double const knot : knots) curve.work.push_back(std::pow(10.0, knot));
            curve.efficiency = parameters;
            return curve;
        }
        case CurveForm::log_linear:
            return LogLinear{.intercept = parameters[0], .slope = parameters[1]};
        case CurveForm::sigmoid:
            return Sigmoid{
                .ceiling = parameters[0], .steepness = parameters[1], .midpoint = parameters[2]};
    }
    throw std::logic_error{"unknown curve form"};
}

std::vector<double> log_knots_of(FittedForm const& curve) {
    std::vector<double> knots;
    if (auto const* piecewise = std::get_if<PiecewiseLinear>(&curve)) {
        for (double const work : piecewise->work) knots.push_back(std::log10(work));
    }
    return knots;
}

// R^2 and spread of the served curve on log time = log work - log efficiency + a constant.
void judge(CurveFit& fit, std::span<KernelEfficiency const> kernels) {
    SampleSummary log_times;
    double squares = 0;
    for (auto const& kernel : kernels) {
        log_times = merge(
            log_times, {.count = 1, .mean = std::log(kernel.work) - std::log(kernel.efficiency)});
        double const residual =
            std::log(efficiency_at(fit.curve, kernel.work).value() / kernel.efficiency);
        squares += residual * residual;
    }
    if (log_times.sum_squared_deviations > 0) {
        fit.r_squared = 1 - squares / log_times.sum_squared_deviations;
    }
    if (fit.degrees_of_freedom > 0) {
        fit.residual_std = std::sqrt(squares / fit.degrees_of_freedom);
    }
}

}  // namespace

std::string_view to_string(CurveForm form) {
    switch (form) {
        case CurveForm::piecewise_linear:
            return "piecewise_linear";
        case CurveForm::log_linear:
            return "log_linear";
        case CurveForm::sigmoid:
            return "sigmoid";
    }
    return {};
}

std::string_view to_string(FitWeighting weighting) {
    switch (weighting) {
        case FitWeighting::log_error:
            return "log_error";
        case FitWeighting::inverse_variance:
            return "inverse_variance";
        case FitWeighting::random_effects:
            return "random_effects";
    }
    return {};
}

std::optional<double> efficiency_at(FittedForm const& curve, double work) {
    double const log_work = std::log10(work);
    if (auto const* piecewise = std::get_if<PiecewiseLinear>(&curve)) {
        return interpolate<double>(log_knots_of(curve), piecewise->efficiency, log_work);
    }
    if (auto const* line = std::get_if<LogLinear>(&curve)) {
        return line->intercept + line->slope * log_work;
    }
    if (auto const* sigmoid = std::get_if<Sigmoid>(&curve)) {
        return sigmoid->ceiling /
               (1 + std::exp(-sigmoid->steepness * (log_work - sigmoid->midpoint)));
    }
    return std::nullopt;
}

std::optional<CurveFit> fit_curve(std::span<KernelEfficiency const> kernels, CurveForm form,
                                  FitWeighting weighting) try {
    std::vector<KernelEfficiency> used;
    Problem problem{.form = form, .knots = {}, .observations = {}};
    for (auto const& kernel : in_fixed_order(kernels)) {
        if (auto const observation = observation_of(kernel, weighting)) {
            used.push_back(kernel);
            problem.observations.push_back(*observation);
        }
    }
    if (used.empty()) return std::nullopt;
    if (form == CurveForm::piecewise_linear) problem.knots = knots_of(used);

    CurveFit result{.form = form, .weighting = weighting};
    LeastSquaresFit fit;
    switch (weighting) {
        case FitWeighting::log_error:
            fit = problem.fit_log_efficiency();
            break;
        case FitWeighting::inverse_variance: {
            std::vector<double> weights;
            for (auto const& observation : problem.observations) {
                weights.push_back(1 / (observation.run_std * observation.run_std));
            }
            fit = problem.fit_efficiency(weights);
            break;
        }
        case FitWeighting::random_effects: {
            auto reweighted = fit_random_effects(problem);
            fit = std::move(reweighted.fit);
            result.tau = reweighted.tau;
            break;
        }
    }
    // Between two kernels a knot may fall below zero although the curve is above it at both.
    auto const needs_a_negative_efficiency = [&](double log_work) {
        return !(problem.value(fit.parameters, log_work) > 0);
    };
    if (std::ranges::any_of(problem.column(&Observation::log_work), needs_a_negative_efficiency) ||
        std::ranges::any_of(problem.knots, needs_a_negative_efficiency)) {
        return std::nullopt;
    }
    result.curve = fitted_form(form, problem.knots, fit.parameters);
    result.kernels = static_cast<int>(used.size());
    result.kernels_left_out = static_cast<int>(kernels.size() - used.size());
    result.parameters = std::move(fit.parameters);
    result.packed_covariance = std::move(fit.packed_covariance);
    result.degrees_of_freedom = fit.degrees_of_freedom;
    result.chi_squared = fit.chi_squared;
    judge(result, used);
    return result;
} catch (FitFailure const&) {
    return std::nullopt;
}

std::vector<CurveFit> fit_all_curves(std::span<KernelEfficiency const> kernels) {
    std::vector<CurveFit> fits;
    for (auto const form : all_curve_forms) {
        for (auto const weighting : all_fit_weightings) {
            if (auto fit = fit_curve(kernels, form, weighting)) fits.push_back(std::move(*fit));
        }
    }
    return fits;
}

std::optional<CurveBand> band_at(CurveFit const& fit, double work, double confidence) {
    auto const value = efficiency_at(fit.curve, work);
    if (!value || !(*value > 0) || fit.packed_covariance.empty() || !fit.residual_std) {
        return std::nullopt;
    }
    auto const knots = log_knots_of(fit.curve);
    double const log_work = std::log10(work);
    std::vector<double> gradient;
    auto moved = fit.parameters;
    for (std::size_t i = 0; i < moved.size(); ++i) {
        double const step = 1e-6 * std::max(std::abs(fit.parameters[i]), 1e-3);
        moved[i] = fit.parameters[i] + step;
        double const above = value_of<double>(fit.form, knots, moved, log_work);
        moved[i] = fit.parameters[i] - step;
        double const below = value_of<double>(fit.form, knots, moved, log_work);
        moved[i] = fit.parameters[i];
        gradient.push_back((above - below) / (2 * step));
    }
    double const curve_variance =
        quadratic_form(fit.packed_covariance, gradient) / (*value * *value);
    double const t = student_t_quantile(0.5 + confidence / 2, fit.degrees_of_freedom);
    auto const interval = [&](double log_variance) {
        double const factor = std::exp(t * std::sqrt(log_variance));
        return Interval{*value / factor, *value * factor};
    };
    return CurveBand{
        .efficiency = *value,
        .confidence = interval(curve_variance),
        .prediction = interval(curve_variance + *fit.residual_std * *fit.residual_std)};
}

std::optional<double> leave_one_model_out_error(std::span<KernelEfficiency const> kernels,
                                                CurveForm form, FitWeighting weighting) {
    std::set<std::string> models;
    for (auto const& kernel : kernels) models.insert(kernel.models.begin(), kernel.models.end());
    if (models.size() < 2) return std::nullopt;

    double squares = 0;
    int predicted = 0;
    for (auto const& left_out : models) {
        std::vector<KernelEfficiency> others;
        std::vector<KernelEfficiency> unseen;
        for (auto const& kernel : in_fixed_order(kernels)) {
            bool const only_there = kernel.models.size() == 1 && kernel.models.front() == left_out;
            (only_there ? unseen : others).push_back(kernel);
        }
        if (unseen.empty()) continue;
        auto const fit = fit_curve(others, form, weighting);
        if (!fit) return std::nullopt;
        for (auto const& kernel : unseen) {
            auto const value = efficiency_at(fit->curve, kernel.work);
            if (!value || !(*value > 0)) return std::nullopt;
            double const residual = std::log(*value / kernel.efficiency);
            squares += residual * residual;
            ++predicted;
        }
    }
    if (predicted == 0) return std::nullopt;
    return std::sqrt(squares / predicted);
}

FittedCurve to_fitted_curve(CurveFit const& fit) {
    return {.form = fit.curve,
            .r_squared = fit.r_squared,
            .residual_std = fit.residual_std,
            .parameter_covariance = fit.packed_covariance};
}

}  // namespace derate
