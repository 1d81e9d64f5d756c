"""How much more data would settle it, and when to stop a pilot."""

from math import ceil, log, log10
from typing import Literal, NamedTuple

import numpy as np

from stitchrl.ope.base import Interval
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.evidence import ENOUGH_EFFECTIVE, Evidence

BETS = np.geomspace(0.002, 0.95, 17)  # Shares of the capital, at whatever time one looks.


def required_groups(
    difference: Interval,
    value: float,
    *,
    margin: float,
    groups: int,
    effective_size: float,
    enough: float = ENOUGH_EFFECTIVE,
    part: float = 1.0,
) -> float | None:
    """Independent episodes in the whole log at which the bound of Δ would reach the margin.

    `groups` are those it was judged on, a `part` of the whole. Of these n' = (z sd / δ)²
    are needed, where δ = |`value` - margin| and z sd = (distance of `value` from the bound)
    √n is what the present interval implies, hence at the present ESS / n; and at least as
    many as bring the ESS to `enough`. None if the estimate sits on the margin.
    """
    gain = value - margin
    if abs(gain) < 1e-12 or effective_size <= 0 or not np.isfinite(gain):
        return None
    half = value - difference.low if gain > 0 else difference.high - value
    settled = groups * (max(half, 0.0) / gain) ** 2
    return round_up(max(settled, groups * enough / effective_size) / part)


def round_up(number: float) -> float:
    """To two significant digits."""
    if not np.isfinite(number) or number < 1:
        return number
    unit = 10.0 ** max(int(log10(number)) - 1, 0)
    return ceil(number / unit - 1e-9) * unit


class PilotTest(NamedTuple):
    """Values between which a pilot goes on, in the units of returns."""

    low: float  # Withdraw when the value is shown to be below.
    high: float  # Adopt when it is shown to be above.
    bounds: ReturnBounds


def pilot_test(evidence: Evidence) -> PilotTest | None:
    """Against the ends of the interval of J(π_β); None if one is a bound of returns."""
    interval, bounds = evidence.behavior.interval, evidence.bounds
    if interval is None or not bounds.low < interval.low <= interval.high < bounds.high:
        return None
    return PilotTest(interval.low, interval.high, bounds)


def betting_capital(
    returns: np.ndarray, mean: float, *, against: Literal["at most", "at least"]
) -> np.ndarray:
    """Capital after each return in [0, 1] of bets that J is not `against` `mean`.

    Against "J ≤ m": mean_f Π (1 + f (x / m - 1)); against "J ≥ m" the same of 1 - x and
    1 - m. If the claim is true it ever reaches 1 / α with probability at most α (Ville), so
    that one may look after every episode. Raises `ValueError` unless 0 < mean < 1.
    """
    if not 0 < mean < 1:
        raise ValueError(f"'mean' must lie strictly between 0 and 1, but is {mean:.6g}.")
    if against == "at least":
        returns, mean = 1 - returns, 1 - mean
    growth = np.log1p(BETS[:, None] * (returns / mean - 1)).cumsum(axis=1)
    return np.exp(np.logaddexp.reduce(growth, axis=0) - log(len(BETS)))


def expected_pilot(value: float, mean: float, *, error: float = 0.05) -> float:
    """Episodes after which the capital should reach 1 / `error`, if J is `value`.

    log(17 / error) over the growth of the best single bet on outcomes 0 and 1, which is
    KL(value || mean): the cost of not knowing the best bet is at most log 17. Infinite if
    the values are equal.
    """
    value = float(np.clip(value, 1e-9, 1 - 1e-9))
    growth = value * log(value / mean) + (1 - value) * log((1 - value) / (1 - mean))
    return round_up(log(len(BETS) / error) / growth) if growth > 0 else float("inf")
