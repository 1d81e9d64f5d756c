"""Intervals for means, for shares, and for any weights at all.

Student t holds as n grows, Clopper-Pearson at any n of draws of 0 or 1, betting bounds at
any n (Waudby-Smith and Ramdas 2024, arXiv 2010.09686; for importance weights,
Karampatziakis et al. 2021, arXiv 2102.09540). All take the two-sided level and put half the
error on each side.
"""

from dataclasses import replace

import numpy as np
import scipy

from stitchrl.ope.base import Interval, Label, Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.weights import Weights

BETS = 33
SMALLEST_MEAN = 1e-12  # Lower bounds below this are 0.


def student_t(values: np.ndarray, group: np.ndarray, *, level: float) -> Interval:
    """Mean of per-episode `values` with whole groups as units, in closed form.

    Infinite with a single group, of which no variance is known.
    """
    groups = int(group.max()) + 1
    mean = float(values.mean())
    if groups < 2:
        return Interval(-np.inf, np.inf, level, Label.ASYMPTOTIC, "Student t")
    residual = np.bincount(group, values - mean, minlength=groups)
    error = np.sqrt(groups / (groups - 1) * (residual**2).sum()) / len(values)
    half = float(scipy.stats.t.ppf((1 + level) / 2, groups - 1) * error)
    return Interval(mean - half, mean + half, level, Label.ASYMPTOTIC, "Student t")


def clopper_pearson(share: float, size: float, *, level: float) -> Interval:
    """Interval of a share of `size` draws, which may be any real, as an ESS is.

    The whole of [0, 1] if `size` is 0.
    """
    share = float(np.clip(share, 0.0, 1.0)) if size > 0 else 0.0
    error = (1 - level) / 2
    hits, misses = share * size, (1 - share) * size
    low, high = 0.0, 1.0
    if hits > 0:
        low = float(scipy.stats.beta.ppf(error, hits, misses + 1))
        low = low if low > SMALLEST_MEAN else 0.0  # Of almost no hits: 1e-308, say.
    if misses > 0:
        high = float(scipy.stats.beta.ppf(1 - error, hits + 1, misses))
    return Interval(low, high, level, Label.ASYMPTOTIC, "Clopper-Pearson")


def bets(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the capital put on each of `size` values, and how the money is spread.

    Log-normal around 2 / √size, with a factor of e as deviation. The best single share is
    √(2 log(1 / error) / size) m / σ; m / σ is about 2 for returns that are seldom 0, 1/2
    for weights as of policies that can be judged at all. Fixed before any data, so that
    whatever they are the bound holds.
    """
    z = np.linspace(-3, 3, BETS)
    shares, weights = 2 / np.sqrt(size) * np.exp(z), np.exp(-(z**2) / 2)
    kept = shares < 0.98
    return shares[kept], weights[kept] / weights[kept].sum()


def betting_lower(values: np.ndarray, *, error: float) -> float:
    """A lower bound, missing with probability ≤ `error`, of the mean of values ≥ 0.

    The smallest m at which bettors against "the mean is m" have not multiplied their money
    by 1 / error: K(m) = Σ_f p(f) Π_i (1 + f (x_i / m - 1)), with p of `bets`. Values need
    no upper limit. Raises `ValueError` if one is negative.
    """
    if values.min() < 0:
        raise ValueError(f"Values must be ≥ 0, but one is {values.min():.6g}.")
    shares, weights = bets(len(values))

    def excess(mean: float) -> float:
        """log K(m) - log(1 / error): falls in m."""
        with np.errstate(over="ignore"):
            ratio = np.minimum(values / mean, 1e300)
        capital = np.log((1 - shares)[:, None] + shares[:, None] * ratio).sum(axis=1)
        return float(np.logaddexp.reduce(capital + np.log(weights)) + np.log(error))

    if excess(SMALLEST_MEAN) < 0:
        return 0.0
    high = max(float(values.mean()), SMALLEST_MEAN)
    while excess(high) >= 0:
        high *= 2
    bracket = (SMALLEST_MEAN, high)
    return float(scipy.optimize.root_scalar(excess, bracket=bracket, method="brentq").root)


def betting(
    weights: Weights,
    returns: np.ndarray,
    bounds: ReturnBounds,
    *,
    level: float,
    propensities_known: bool,
) -> Interval:
    """J(π) from X = W (G - low) / (high - low) ≥ 0 and, as E[W] = 1, from W (1 - G).

    Guaranteed at any n, however heavy the weights. Units are groups (their mean X); the
    label falls to asymptotic if propensities were fitted, if the bounds were read off the
    log, or if groups differ in size (then means of groups are not means of episodes).
    """
    scaled = np.clip(bounds.scale(returns), 0.0, 1.0)
    episodes = weights.sum_by_group(np.ones(weights.episodes))
    error = (1 - level) / 2
    # The bound of a mean above 1 says that weights are off; `mean` of the weights tells.
    low = min(
        betting_lower(
            weights.sum_by_group(weights.values * scaled) / episodes, error=error
        ),
        1.0,
    )
    lost = weights.sum_by_group(weights.values * (1 - scaled)) / episodes
    high = max(1 - betting_lower(lost, error=error), low)
    label = rests_on(bounds, episodes, propensities_known=propensities_known)
    return Interval(bounds.unscale(low), bounds.unscale(high), level, label, "betting")


def rests_on(
    bounds: ReturnBounds, episodes: np.ndarray, *, propensities_known: bool
) -> Label:
    """The label of betting bounds, with `episodes` (groups,) in each group."""
    is_guaranteed = (
        propensities_known
        and bounds.source is Source.DECLARED
        and (episodes == episodes[0]).all()
    )
    return Label.GUARANTEED if is_guaranteed else Label.ASYMPTOTIC


def in_units_of(bounds: ReturnBounds, interval: Interval) -> Interval:
    """From [0, 1] back to returns."""
    return replace(
        interval, low=bounds.unscale(interval.low), high=bounds.unscale(interval.high)
    )
