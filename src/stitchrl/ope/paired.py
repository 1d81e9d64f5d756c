"""Intervals for Δ = J(π) - J(π_β), from both of them on the same episodes.

A log that came out well makes both look good, most of all where π is nearly π_β: then the
interval of one less that of the other, end by end, is many times as wide as it must be.
Here each group says what it says of the difference: (W - 1) x.
"""

import numpy as np
import scipy

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.empirical_likelihood import METHOD, deviance
from stitchrl.ope.intervals import betting_lower, rests_on
from stitchrl.ope.weights import Weights

PAIRED = f"paired {METHOD}"
MOST = 1e9  # Of a deviance that may be infinite, so that a root can be bracketed.


def paired_betting(
    weights: Weights,
    returns: np.ndarray,
    bounds: ReturnBounds,
    *,
    level: float,
    propensities_known: bool,
) -> Interval:
    """Δ from 1 + (W - 1) x ≥ 0 and, as E[W] = 1, from 1 + (W - 1) (1 - x).

    Guaranteed at any n under the conditions of `intervals.betting`, and labeled alike.
    """
    scaled = np.clip(bounds.scale(returns), 0.0, 1.0)
    episodes = weights.sum_by_group(np.ones(weights.episodes))
    error = (1 - level) / 2

    def least(outcome: np.ndarray) -> float:
        gain = weights.sum_by_group(1 + (weights.values - 1) * outcome) / episodes
        return min(betting_lower(np.maximum(gain, 0.0), error=error) - 1, 1.0)

    low = least(scaled)
    high = max(-least(1 - scaled), low)
    label = rests_on(bounds, episodes, propensities_known=propensities_known)
    return Interval(low * bounds.width, high * bounds.width, level, label, "paired betting")


def paired(
    weights: Weights, returns: np.ndarray, bounds: ReturnBounds, *, level: float
) -> Interval:
    """Δ of WIS and the mean return, by empirical likelihood with a group added.

    Of groups (W, W x, n, x), which are sums over their episodes of returns scaled to
    [0, 1], Δ is where the mean of W (x - b - Δ) / W̄ - (x - n b) / n̄ is 0. That b, W̄ and n̄
    are means of the same log does not move it to first order, so that they are put in
    (Hjort, McKeague and Van Keilegom 2009, doi 10.1214/07-AOS555). The added group is as
    much heavier than its share, (Σ d² / Σ d of d = W / W̄ - n / n̄ > 0), as groups are where
    the policy goes on from the behavior, and returned 0; for the upper end 1.
    """
    scaled = np.clip(bounds.scale(returns), 0.0, 1.0)
    relative = weights.relative
    if not relative.any():
        return Interval(-bounds.width, bounds.width, level, Label.ASYMPTOTIC, PAIRED)

    def least(outcome: np.ndarray) -> float:
        sums = (relative, np.ones(weights.episodes), relative * outcome, outcome)
        return _lower(*(weights.sum_by_group(one) for one in sums), level=level)

    low = least(scaled)
    high = max(-least(1 - scaled), low)
    low, high = low * bounds.width, high * bounds.width
    return Interval(low, high, level, Label.ASYMPTOTIC, PAIRED)


def _lower(
    weight: np.ndarray,
    size: np.ndarray,
    weighted: np.ndarray,
    outcome: np.ndarray,
    *,
    level: float,
) -> float:
    """The smallest Δ whose likelihood ratio is within χ²'s quantile."""
    weighted, outcome = weighted / weight.mean(), outcome / size.mean()
    weight, size = weight / weight.mean(), size / size.mean()
    more = np.maximum(weight - size, 0.0)
    heavier = float((more**2).sum() / more.sum()) if more.any() else 0.0
    weight, size = np.append(weight, 1 + heavier), np.append(size, 1.0)
    weighted, outcome = np.append(weighted, 0.0), np.append(outcome, 0.0)
    present = outcome.sum() / size.sum()
    gained = (weighted - present * weight) / weight.mean()
    gained -= (outcome - present * size) / size.mean()
    share = weight / weight.mean()
    limit = float(scipy.stats.chi2.ppf(level, 1))

    def excess(gain: float) -> float:
        return min(deviance(gained - gain * share), MOST) - limit

    if excess(-1.0) <= 0:
        return -1.0
    best = float(gained.mean())
    return float(scipy.optimize.root_scalar(excess, bracket=(-1.0, best), xtol=1e-12).root)
