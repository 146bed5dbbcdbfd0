#!/usr/bin/env python3
"""Writes calibration/testdata/curve_fits_golden.json: weighted fits by scipy and statsmodels.

Needs numpy, scipy and statsmodels; their versions are written into the file. Run once, when a case is
added: python3 ctest/make_curve_fit_golden.py
"""

import json
import pathlib

import numpy
import scipy
import scipy.optimize
import statsmodels
import statsmodels.api
from statsmodels.stats.meta_analysis import combine_effects


def kernels():
    """Kernels of three models about a sigmoid, by a fixed recipe; spreads differ by a factor of 20."""
    draw = numpy.random.Generator(numpy.random.PCG64(20261101))
    log_work = numpy.sort(draw.uniform(5.2, 9.8, 24))
    curve = 0.8 / (1 + numpy.exp(-1.4 * (log_work - 7.1)))
    efficiency = curve * numpy.exp(draw.normal(0, 0.12, log_work.size))
    std = efficiency * draw.uniform(0.005, 0.1, log_work.size)
    return [
        {
            "work": float(numpy.float64(10**x)),
            "efficiency": float(e),
            "efficiency_std": float(s),
            "standard_error": float(s / 3),
            "model": "abc"[i % 3],
        }
        for i, (x, e, s) in enumerate(zip(log_work, efficiency, std))
    ]


def half_decade(work):
    decade = 10.0 ** numpy.floor(numpy.log10(work))
    return decade if work < 3 * decade else 3 * decade


def knots(data):
    bins = {}
    for kernel in data:
        bins.setdefault(half_decade(kernel["work"]), []).append(numpy.log10(kernel["work"]))
    return numpy.array([numpy.mean(bins[edge]) for edge in sorted(bins)])


def hats(x, at):
    """Design of a piecewise linear curve: column j is 1 at knot j, 0 at the others."""
    return numpy.column_stack([numpy.interp(x, at, row) for row in numpy.eye(len(at))])


def sigmoid(x, ceiling, steepness, midpoint):
    return ceiling / (1 + numpy.exp(-steepness * (x - midpoint)))


def line(x, intercept, slope):
    return intercept + slope * x


def entry(form, weighting, parameters, covariance, chi_squared, tau=None):
    return {
        "form": form,
        "weighting": weighting,
        "parameters": list(map(float, parameters)),
        "covariance": [list(map(float, row)) for row in covariance],
        "chi_squared": float(chi_squared),
        "tau": None if tau is None else float(tau),
    }


def by_curve_fit(form, weighting, function, start, x, y, sigma):
    parameters, covariance = scipy.optimize.curve_fit(
        function, x, y, start, sigma=sigma, absolute_sigma=False,
        ftol=1e-15, xtol=1e-15, gtol=1e-15, maxfev=100000)
    residuals = (y - function(x, *parameters)) / (1 if sigma is None else sigma)
    return entry(form, weighting, parameters, covariance, residuals @ residuals)


def by_wls(form, weighting, design, y, weights, tau=None):
    result = statsmodels.api.WLS(y, design, weights=weights).fit()
    chi_squared = numpy.sum(weights * result.resid**2)
    return entry(form, weighting, result.params, result.cov_params(), chi_squared, tau), result


def by_random_effects(form, design, y, error):
    """Paule-Mandel with a scatter relative to the curve, solved by brentq."""

    def fit(tau):
        curve = y
        for _ in range(500):
            weights = 1 / (error**2 + tau**2 * curve**2)
            result = statsmodels.api.WLS(y, design, weights=weights).fit()
            if numpy.max(numpy.abs(result.fittedvalues - curve)) < 1e-15:
                break
            curve = result.fittedvalues
        return weights, numpy.sum(weights * result.resid**2)

    freedom = len(y) - design.shape[1]
    tau = scipy.optimize.brentq(lambda t: fit(t)[1] - freedom, 1e-5, 5, xtol=1e-14, rtol=1e-14)
    return by_wls(form, "random_effects", design, y, fit(tau)[0], tau)[0]


def main():
    data = kernels()
    x = numpy.log10([kernel["work"] for kernel in data])
    y = numpy.array([kernel["efficiency"] for kernel in data])
    std = numpy.array([kernel["efficiency_std"] for kernel in data])
    error = numpy.array([kernel["standard_error"] for kernel in data])
    straight = statsmodels.api.add_constant(x)
    piecewise = hats(x, knots(data))

    weighted_line, line_result = by_wls("log_linear", "inverse_variance", straight, y, 1 / std**2)
    start = [0.8, 1.4, 7.1]
    fits = [
        weighted_line,
        by_wls("piecewise_linear", "inverse_variance", piecewise, y, 1 / std**2)[0],
        by_curve_fit("sigmoid", "inverse_variance", sigmoid, start, x, y, std),
        by_curve_fit("log_linear", "log_error", lambda x, *b: numpy.log(line(x, *b)),
                     [-0.6, 0.14], x, numpy.log(y), None),
        by_curve_fit("sigmoid", "log_error", lambda x, *b: numpy.log(sigmoid(x, *b)), start, x,
                     numpy.log(y), None),
        by_curve_fit("piecewise_linear", "log_error",
                     lambda x, *b: numpy.log(hats(x, knots(data)) @ numpy.array(b)),
                     numpy.linalg.lstsq(piecewise, y, rcond=None)[0], x, numpy.log(y), None),
        by_random_effects("log_linear", straight, y, error),
        by_random_effects("piecewise_linear", piecewise, y, error),
    ]
    at = 8.25
    prediction = line_result.get_prediction([[1, at]])

    # One bin: the piecewise linear curve is a constant, and the fit a plain meta-analysis.
    effects = numpy.array([0.40, 0.44, 0.36, 0.52, 0.41, 0.47])
    errors = numpy.array([0.010, 0.030, 0.020, 0.015, 0.040, 0.025])
    pooled = combine_effects(effects, errors**2, method_re="iterated", atol=1e-14, maxiter=1000)

    golden = {
        "made_by": "ctest/make_curve_fit_golden.py",
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "statsmodels": statsmodels.__version__,
        "kernels": data,
        "fits": fits,
        "weighted_line_at": {
            "log10_work": at,
            "efficiency": float(prediction.predicted_mean[0]),
            "standard_error": float(prediction.se_mean[0]),
            "t": float(scipy.stats.t.ppf(0.975, len(y) - 2)),
        },
        "one_bin": {
            "efficiency": list(effects),
            "standard_error": list(errors),
            "pooled_mean": float(pooled.mean_effect_re),
            "tau_squared": float(pooled.tau2),
        },
    }
    path = pathlib.Path(__file__).parent.parent / "calibration/testdata/curve_fits_golden.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
