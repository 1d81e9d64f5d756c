"""Whether what was promised of a policy came true, once it has made episodes of its own.

The gap is realized less promised, both with their errors. The two logs have no episode in
common, but the people in them, the season and the machines may be the same, and one promise
may be held against several logs. So ends are combined by `base.difference`, which needs no
independence and is conservative for it: where both intervals are equally wide and the logs
independent, a right promise is called wrong 0.6 times in 100 instead of 10. How returns are
spread is compared by Kolmogorov's distance within the bands of Dvoretzky, Kiefer, Wolfowitz
and Massart (Massart 1990, doi 10.1214/aop/1176990746), that of the prediction included.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from stitchrl.ope.base import Estimate, Family, Interval, Label, Source, difference
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.distribution import ReturnDistribution
from stitchrl.ope.empirical_likelihood import weighted_mean
from stitchrl.ope.intervals import in_units_of, student_t
from stitchrl.ope.refusals import FEWEST_GROUPS, MISSED_SHARE
from stitchrl.ope.weights import Weights

VAGUE_SHARE = 0.5  # Of the spread of returns: an interval as wide promises nothing.
ROUNDING = 1e-9  # Relative: returns that differ by less are the same.


class Kept(StrEnum):
    """What became of a promise."""

    HELD = "held"  # Not contradicted, though it might have been: see `gap_of`.
    FELL_SHORT = "fell short"
    EXCEEDED = "exceeded"
    TOO_FEW = "too few to say"


@dataclass(frozen=True)
class Gap:
    """One estimator's promise beside what came."""

    promised: Estimate
    realized: Estimate
    value: float  # Realized less promised, in units of returns.
    interval: Interval  # Of this; each side misses with at most 1 - level of `realized`.
    kept: Kept


@dataclass(frozen=True)
class Calibration:
    """The predicted distribution of returns beside the realized one."""

    distance: float  # Largest difference of the two distribution functions.
    allowed: float  # Half widths of both bands, added.
    level: float  # At which a right prediction differs by no more.
    point: float  # The return at which they differ most.
    promised: float  # Predicted share of episodes that return at most so much.
    realized: float

    @property
    def fits(self) -> bool:
        """Whether the bands meet everywhere."""
        return self.distance <= self.allowed


def realized_mean(
    returns: np.ndarray, group: np.ndarray, bounds: ReturnBounds, *, level: float
) -> Estimate:
    """Mean of returns (episodes,), with Student's t over groups 0, 1, … (episodes,).

    Equal returns have no variance to go by: then an empirical likelihood, with one added
    group at the end of declared bounds; without these, the interval is open.
    """
    interval = student_t(returns, group, level=level)
    groups = int(group.max()) + 1
    if np.ptp(returns) == 0:
        interval = _of_equal_returns(returns, group, bounds, level=level)
    return Estimate("realized", Family.DATA, float(returns.mean()), interval, groups)


def gap_of(
    promised: Estimate,
    returns: np.ndarray,
    group: np.ndarray,
    bounds: ReturnBounds,
    *,
    level: float = 0.95,
) -> Gap:
    """Realized less promised, and whether the promise held.

    `returns` and `group` are those of the policy's own episodes (episodes,). Both intervals
    have the promise's level, or `level` if it has none, and the gap's is 1 - 2 (1 - level):
    each side misses with at most 1 - level. Without an interval the promise is its number,
    and only the new log errs. A promise that is not contradicted held only if there are 30
    groups, their mean is known to a tenth of the spread of returns, and the promise's
    interval is not wider than half of it.
    """
    if promised.interval is not None:
        level = promised.interval.level
    realized = realized_mean(returns, group, bounds, level=level)
    own = realized.interval
    assert own is not None
    if promised.interval is None:
        both_sides = 1 - 2 * (1 - level)
        alone = realized_mean(returns, group, bounds, level=both_sides).interval
        assert alone is not None
        low, high = alone.low - promised.value, alone.high - promised.value
        interval = replace(alone, low=low, high=high)
    else:
        interval = difference(own, promised.interval)
    kept = _kept(interval, promised, realized, _spread(returns, bounds))
    value = realized.value - promised.value
    return Gap(promised, realized, value, interval, kept)


def calibration(
    points: np.ndarray,
    predicted: np.ndarray,
    returns: np.ndarray,
    group: np.ndarray,
    *,
    band: float,
    level: float,
) -> Calibration:
    """Kolmogorov's distance of the `predicted` shares (n,) of returns up to `points` (n,).

    `band` is half the width of the prediction's own, at `level`; that of the new log is
    counted in groups, at the same level. Just below the first point nothing is predicted.
    Between points nothing is compared, which can only hide a difference.
    """
    own = Weights(np.zeros(len(returns)), group)
    found = ReturnDistribution.of(returns, own)
    slack = ROUNDING * np.maximum(np.abs(points), 1.0)
    looked = np.concatenate([[points[0] - slack[0]], points + slack])
    promised = np.concatenate([[0.0], predicted])
    realized = found.probability_up_to(looked)
    worst = int(np.abs(realized - promised).argmax())
    return Calibration(
        distance=float(np.abs(realized - promised)[worst]),
        allowed=min(band + found.band(level=level), 1.0),
        level=1 - 2 * (1 - level),
        point=float(points[max(worst - 1, 0)]),
        promised=float(promised[worst]),
        realized=float(realized[worst]),
    )


def _of_equal_returns(
    returns: np.ndarray, group: np.ndarray, bounds: ReturnBounds, *, level: float
) -> Interval:
    if bounds.source is not Source.DECLARED:
        return Interval(-np.inf, np.inf, level, Label.ASYMPTOTIC, "one return")
    episodes = np.bincount(group).astype(np.float64)
    scaled = np.clip(bounds.scale(returns), 0.0, 1.0)
    found = weighted_mean(episodes, np.bincount(group, scaled), level=level)
    return in_units_of(bounds, found)


def _spread(returns: np.ndarray, bounds: ReturnBounds) -> float:
    """The 95 % less the 5 % quantile of returns; their range if these are equal."""
    low, high = np.quantile(returns, [0.05, 0.95])
    return float(high - low) or float(np.ptp(returns)) or bounds.width


def _kept(gap: Interval, promised: Estimate, realized: Estimate, spread: float) -> Kept:
    assert realized.interval is not None
    if realized.groups < FEWEST_GROUPS:
        return Kept.TOO_FEW
    if gap.high < 0:
        return Kept.FELL_SHORT
    if gap.low > 0:
        return Kept.EXCEEDED
    is_vague = realized.value - realized.interval.low > MISSED_SHARE * spread
    if promised.interval is not None:
        is_vague |= promised.interval.width > VAGUE_SHARE * spread
    return Kept.TOO_FEW if is_vague else Kept.HELD
