"""An interval for a weighted mean that knows how the log might have come out otherwise.

Empirical likelihood (Owen 2001, ch. 2 and 3.4; for importance weights, Karampatziakis et
al. 2020, arXiv 1906.03323) asks how much less likely than the log itself a reweighting of
its groups has to be before the weighted mean becomes m. By itself it is too narrow where
few groups carry most of the weight: those that the log happens to lack are not among what
can be reweighted. So one group is added, which is the idea of Chen, Variyath and Abraham
2008 (doi 10.1198/106186008X321068), and what Clopper and Pearson's interval does with a
coin: one that returned 0 (for the upper end: 1), as heavy as groups are where they weigh,
Σ w² / Σ w. With an episode a group that is how heavy the policy's own episodes would be,
E_π[W] = E_β[W²]. That W averages 1 is not used.
"""

import numpy as np
import scipy

from stitchrl.ope.base import Interval, Label

METHOD = "empirical likelihood, a group added"
ENOUGH = 1e-9  # Relative error of λ, in which the deviance is stationary: 1e-18 there.
SMALLEST = 1e-12  # Lower ends below this are 0.


def weighted_mean(weight: np.ndarray, weighted: np.ndarray, *, level: float) -> Interval:
    """Of Σ `weighted` / Σ `weight` over independent groups, in [0, 1].

    `weight` (groups,) sums W ≥ 0 of a group's episodes, `weighted` W x with x in [0, 1];
    only ratios of weights matter. The whole of [0, 1] if all are 0.
    """
    top = weight.max(initial=0.0) or 1.0  # No square may overflow or vanish.
    weight, weighted = weight / top, weighted / top
    low = _lower(weight, weighted, level)
    high = 1 - _lower(weight, weight - weighted, level)
    return Interval(low, high, level, Label.ASYMPTOTIC, METHOD)


def _lower(weight: np.ndarray, weighted: np.ndarray, level: float) -> float:
    """The smallest mean m whose likelihood ratio is within χ²'s quantile."""
    if weighted.sum() <= 0:
        return 0.0
    scale = weight.mean()
    weight = np.append(weight, (weight**2).sum() / weight.sum()) / scale
    weighted = np.append(weighted, 0.0) / scale
    limit = float(scipy.stats.chi2.ppf(level, 1))

    def excess(mean: float) -> float:
        return deviance(weighted - mean * weight) - limit

    if excess(SMALLEST) <= 0:
        return 0.0
    best = float(weighted.sum() / weight.sum())
    return float(
        scipy.optimize.root_scalar(excess, bracket=(SMALLEST, best), xtol=1e-12).root
    )


def deviance(values: np.ndarray) -> float:
    """-2 log of how likely a reweighting (n,) with mean 0 can be, beside equal weights.

    2 Σ log(1 + λ z) with Σ z / (1 + λ z) = 0 (Owen 2001, section 2.9). Their mean must be
    ≥ 0; infinite if no value is negative and one is not 0.
    """
    smallest, mean = float(values.min()), float(values.mean())
    if mean <= 0 or smallest >= 0:
        return 0.0 if mean <= 0 else np.inf
    low, high = 0.0, -1 / smallest
    multiplier = min(mean / float((values**2).mean()), 0.5 * high)
    for _ in range(100):
        ratio = values / (1 + multiplier * values)
        slope, curvature = float(ratio.sum()), float(-(ratio**2).sum())
        low, high = (multiplier, high) if slope > 0 else (low, multiplier)
        new = multiplier - slope / curvature
        new = new if low < new < high else (low + high) / 2
        is_near = abs(new - multiplier) <= ENOUGH * new
        multiplier = new
        if is_near:
            break
    return float(2 * np.log1p(multiplier * values).sum())
