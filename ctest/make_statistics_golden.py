#!/usr/bin/env python3
"""Writes statistics/testdata/golden.json: inputs and what scipy and statsmodels answer to them.

The C++ tests read the file; this script runs only when a statistic is added:

    python3 -m venv golden_env
    golden_env/bin/pip install numpy==2.1.3 scipy==1.14.1 pandas==2.2.3 statsmodels==0.14.4
    golden_env/bin/python ctest/make_statistics_golden.py

Inputs are chosen so that a neighbouring formula gives another answer: unequal group sizes and
variances (Welch or pooled), few values (n or n - 1), ties (tie correction), 0 of n (one-sided ends).
"""
import json
import pathlib
import platform

import numpy as np
import pandas as pd
import scipy
import statsmodels
from scipy import stats
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.diagnostic import het_breuschpagan, normal_ad
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

rng = np.random.default_rng(20260101)


def rounded(values, digits=6):
    return [float(f"{v:.{digits}g}") for v in values]


SAMPLES = {
    "launch medians": [0.512, 0.498, 0.507, 0.561, 0.503],
    "three values": [1.0, 2.0, 4.5],
    "large offset": [1e6 + v for v in (0.1, 0.4, -0.3, 0.2, 0.9, -0.6, 0.15)],
    "normal 30": rounded(rng.normal(0.02, 0.05, 30)),
    "log-normal 40": rounded(rng.lognormal(-1.0, 0.6, 40)),
    "heavy tails 60": rounded(rng.standard_t(3, 60)),
    "bimodal 24": rounded(np.concatenate([rng.normal(0, 0.1, 12), rng.normal(2, 0.1, 12)])),
    "with ties": [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 5.0, 5.0, 7.0, 8.0, 8.0],
    "normal 200": rounded(rng.normal(5, 2, 200)),
    "uniform 1000": rounded(rng.uniform(0, 1, 1000), 5),
}
UNIT = {
    "efficiencies 25": rounded(rng.beta(4, 7, 25)),
    "near one 40": rounded(rng.beta(30, 2, 40)),
    "u-shaped 50": rounded(np.clip(rng.beta(0.6, 0.5, 50), 1e-4, 1 - 1e-4)),
}
PAIRS = {
    "unequal sizes and variances": (rounded(rng.normal(1.0, 0.05, 6)), rounded(rng.normal(1.1, 0.4, 17))),
    "equal": (rounded(rng.normal(0, 1, 12)), rounded(rng.normal(0.2, 1, 12))),
    "tiny": ([0.31, 0.35, 0.36], [0.52, 0.48]),
    "ties": ([1.0, 2.0, 2.0, 3.0, 3.0], [2.0, 3.0, 4.0, 4.0, 5.0, 6.0]),
    "large": (rounded(rng.normal(0, 1, 40)), rounded(rng.normal(0.5, 1.5, 55))),
}


def t_one_sample():
    for name, x in SAMPLES.items():
        for mean in (0.0, 0.5):
            r = stats.ttest_1samp(x, mean)
            ci = r.confidence_interval(0.95)
            yield dict(name=name, values=x, hypothesis=mean, statistic=r.statistic, p_value=r.pvalue,
                       degrees_of_freedom=r.df, lower=ci.low, upper=ci.high)


def t_two_sample():
    for name, (a, b) in PAIRS.items():
        for equal in (False, True):
            r = stats.ttest_ind(a, b, equal_var=equal)
            yield dict(name=name, a=a, b=b, equal_variance=equal, statistic=r.statistic,
                       p_value=r.pvalue, degrees_of_freedom=r.df)


def tost_one_sample():
    for name, lower, upper in (("normal 30", -0.05, 0.05), ("launch medians", 0.45, 0.55),
                               ("three values", 0.0, 5.0), ("heavy tails 60", -0.5, 0.1)):
        p, low, high = DescrStatsW(SAMPLES[name]).ttost_mean(lower, upper)
        yield dict(name=name, values=SAMPLES[name], lower=lower, upper=upper, p_value=p,
                   statistic_lower=low[0], p_lower=low[1], statistic_upper=high[0], p_upper=high[1])


def tost_two_sample():
    for name, (a, b) in PAIRS.items():
        compared = CompareMeans(DescrStatsW(a), DescrStatsW(b))
        p, (low, high) = compared.ttost_ind(-0.3, 0.3, usevar="unequal")
        yield dict(name=name, a=a, b=b, lower=-0.3, upper=0.3, p_value=p,
                   statistic_lower=low[0], p_lower=low[1], statistic_upper=high[0], p_upper=high[1])


def chi_squared():
    for name in ("three values", "normal 30", "heavy tails 60", "bimodal 24"):
        x = np.array(SAMPLES[name])
        s = float(np.sum(x**2))
        n = len(x)
        v = float(np.sum((x - x.mean())**2) / 0.5)
        yield dict(name=name, values=SAMPLES[name],
                   about_zero=dict(statistic=s, degrees_of_freedom=n, p_greater=stats.chi2.sf(s, n),
                                   p_less=stats.chi2.cdf(s, n)),
                   variance=dict(hypothesis=0.5, statistic=v, degrees_of_freedom=n - 1,
                                 p_greater=stats.chi2.sf(v, n - 1), p_less=stats.chi2.cdf(v, n - 1)))


def proportions():
    for k, n in ((0, 5), (5, 5), (14, 15), (31, 33), (90, 120), (1, 2)):
        for confidence in (0.95, 0.9):
            cp = proportion_confint(k, n, alpha=1 - confidence, method="beta")
            w = proportion_confint(k, n, alpha=1 - confidence, method="wilson")
            yield dict(successes=k, trials=n, confidence=confidence,
                       clopper_pearson=list(map(float, np.nan_to_num(cp, nan=0.0))),
                       wilson=list(map(float, w)), cdf_at_095=stats.binom.cdf(k, n, 0.95))


def multiplicity():
    for p in ([0.01, 0.04, 0.03, 0.005], [0.2, 0.9, 0.04, 0.04, 0.001, 0.5], [0.03],
              [0.049, 0.049, 0.049, 0.001, 1.0, 0.0]):
        yield dict(p_values=p, holm=list(multipletests(p, method="holm")[1]),
                   benjamini_hochberg=list(multipletests(p, method="fdr_bh")[1]))


def mann_whitney():
    for name, (a, b) in PAIRS.items():
        tied = len(set(a) | set(b)) < len(a) + len(b)
        exact = not tied and max(len(a), len(b)) <= 20
        r = stats.mannwhitneyu(a, b, method="exact" if exact else "asymptotic")
        yield dict(name=name, a=a, b=b, exact=exact, u=r.statistic, p_value=r.pvalue)


def shapiro():
    for name, x in SAMPLES.items():
        if name == "large offset":
            continue  # scipy shifts by the median, which costs digits on one side only
        r = stats.shapiro(x)
        yield dict(name=name, values=x, w=r.statistic, p_value=r.pvalue)


def anderson():
    for name, x in SAMPLES.items():
        if len(x) >= 8:
            a, p = normal_ad(np.array(x))
            yield dict(name=name, values=x, a_squared=a, p_value=p)


def breusch_pagan():
    for name, slope in (("constant", 0.0), ("growing", 0.5), ("shrinking", -0.3)):
        x = np.linspace(5, 9, 40)
        e = rng.normal(0, 1, 40) * np.exp(slope * (x - 7))
        e, x = np.array(rounded(e)), np.array(rounded(x))
        lm, p, _, _ = het_breuschpagan(e, np.column_stack([np.ones(40), x]))
        yield dict(name=name, residuals=list(e), regressor=list(x), statistic=lm, p_value=p)


def fits():
    for name, x in {**UNIT, "launch medians": SAMPLES["launch medians"], "log-normal 40": SAMPLES["log-normal 40"]}.items():
        x = np.array(x)
        row = dict(name=name, values=list(x))
        families = dict(normal=(stats.norm, stats.norm.fit(x)), log_normal=None, beta=None)
        logs = np.log(x)
        families["log_normal"] = (stats.lognorm, (float(logs.std()), 0, float(np.exp(logs.mean()))))
        if x.max() < 1:
            families["beta"] = (stats.beta, stats.beta.fit(x, floc=0, fscale=1))
        for family, fit in families.items():
            if fit is None:
                continue
            ll = float(np.sum(fit[0].logpdf(x, *fit[1])))
            first, second = ((float(logs.mean()), float(logs.std())) if family == "log_normal"
                             else (float(fit[1][0]), float(fit[1][1])))
            row[family] = dict(first=first, second=second, log_likelihood=ll, aic=4 - 2 * ll,
                               bic=2 * float(np.log(len(x))) - 2 * ll)
        yield row


def quantiles():
    for name in ("launch medians", "with ties", "normal 30", "log-normal 40"):
        x = np.array(SAMPLES[name])
        row = dict(name=name, values=list(x), quantiles={str(p): float(np.quantile(x, p)) for p in (0, 0.025, 0.25, 0.5, 0.9, 1)},
                   mad=float(stats.median_abs_deviation(x)), skewness=float(stats.skew(x)),
                   excess_kurtosis=float(stats.kurtosis(x)))
        if x.min() > 0:
            low, high = np.quantile(np.log(x), [0.25, 0.75])
            row["log_fences"] = [float(np.exp(low - 1.5 * (high - low))), float(np.exp(high + 1.5 * (high - low)))]
        yield row


# Models (or launches) as groups: sizes and variances that differ, and one group that stands out.
group_rng = np.random.default_rng(20260102)  # the rows above keep their draws
GROUPS = {
    "launches of five": [rounded(group_rng.normal(m, 0.01, 5)) for m in group_rng.normal(0.5, 0.03, 6)],
    "unequal sizes": [rounded(group_rng.normal(m, 0.2, n)) for m, n in ((0.0, 3), (0.1, 25), (0.0, 8), (0.6, 2))],
    "unequal variances": [rounded(group_rng.normal(0.0, s, n)) for s, n in ((0.05, 20), (0.5, 4), (0.1, 9))],
    "one observation in a group": [[0.12], [0.05, 0.09, 0.01], [0.31, 0.36]],
    "alike": [rounded(group_rng.normal(1.0, 0.3, 7)) for _ in range(4)],
}


def analysis_of_variance():
    for name, groups in GROUPS.items():
        r = stats.f_oneway(*groups)
        k, n = len(groups), sum(map(len, groups))
        yield dict(name=name, groups=groups, statistic=r.statistic, p_value=r.pvalue,
                   degrees_of_freedom_between=k - 1, degrees_of_freedom_within=n - k)


def variance_components():
    """Mean squares by statsmodels; in balanced data the moment estimator is REML's, which is there too."""
    for name, groups in GROUPS.items():
        frame = pd.DataFrame([(j, x) for j, group in enumerate(groups) for x in group], columns=["g", "x"])
        between, within = anova_lm(ols("x ~ C(g)", frame).fit())["mean_sq"]
        sizes = np.array([len(group) for group in groups])
        size = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(sizes) - 1)
        row = dict(name=name, groups=groups, within=within, between=max(0.0, (between - within) / size),
                   truncated=bool(between < within), effective_group_size=size, reml=None)
        if len(set(sizes)) == 1 and between > within:
            fit = mixedlm("x ~ 1", frame, groups=frame["g"]).fit(reml=True)
            row["reml"] = dict(between=float(fit.cov_re.iloc[0, 0]), within=float(fit.scale))
        yield row


def standard_scores():
    # The largest of eleven: 3.01 with divisor n - 1, 3.16 with n; no outlier among ten can pass 3.
    extreme = {"eleven, one far out": [0.0] * 5 + [1.0] * 5 + [90.0], "ten, one far out": [0.0] * 5 + [1.0] * 4 + [90.0]}
    for name, x in {**extreme, "heavy tails 60": SAMPLES["heavy tails 60"], "with ties": SAMPLES["with ties"]}.items():
        z = stats.zscore(np.array(x), ddof=1)
        yield dict(name=name, values=x, scores=list(z), beyond_3=[i for i, s in enumerate(z) if abs(s) > 3])


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, np.integer)):
        return value.item()
    return value


golden = dict(
    made_by="ctest/make_statistics_golden.py",
    versions=dict(python=platform.python_version(), numpy=np.__version__, scipy=scipy.__version__,
                  statsmodels=statsmodels.__version__),
    t_one_sample=t_one_sample(), t_two_sample=t_two_sample(), tost_one_sample=tost_one_sample(),
    tost_two_sample=tost_two_sample(), chi_squared=chi_squared(), proportions=proportions(),
    multiplicity=multiplicity(), mann_whitney=mann_whitney(), shapiro_wilk=shapiro(),
    anderson_darling=anderson(), breusch_pagan=breusch_pagan(), distribution_fits=fits(),
    quantiles=quantiles(), analysis_of_variance=analysis_of_variance(),
    variance_components=variance_components(), standard_scores=standard_scores())
golden = {k: plain(list(v)) if not isinstance(v, (str, dict)) else plain(v) for k, v in golden.items()}
target = pathlib.Path(__file__).parent.parent / "statistics/testdata/golden.json"
lines = ["{"]
for i, (key, value) in enumerate(golden.items()):
    if isinstance(value, list):
        rows = ",\n    ".join(json.dumps(row) for row in value)
        text = f"[\n    {rows}\n  ]"
    else:
        text = json.dumps(value)
    lines.append(f'  "{key}": {text}' + ("," if i + 1 < len(golden) else ""))
target.write_text("\n".join(lines + ["}"]) + "\n")
print(target, target.stat().st_size, "bytes")
