"""Which intervals of Δ = J(π) - J(π_β) there are, on what is known of the behavior."""

import numpy as np

from stitchrl.ope.base import Interval, difference
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.paired import paired, paired_betting
from stitchrl.ope.weights import Weights


def gains(
    weights: Weights,
    returns: np.ndarray,
    bounds: ReturnBounds,
    *,
    of_policy: Interval | None,
    present: Interval | None,
    is_known: bool,
    level: float,
) -> tuple[Interval | None, Interval | None]:
    """Guaranteed and asymptotic, two-sided at `level`; None where there is none.

    `of_policy` and `present` are asymptotic intervals of J(π) and J(π_β). Where
    propensities are logged (`is_known`), Δ is paired. Estimated ones guarantee nothing, and
    then the asymptotic interval is one less the other, end by end: pairing takes away the
    noise that both share, which leaves no room for the error of the estimate, nor for what
    made who acted act so and is not in the log. Of 1,000 logs on which hidden reasons make
    a bad policy look good, one deployed it by the paired interval, none by this one
    (benchmarks/trap.py).
    """
    if not is_known:
        if of_policy is None or present is None:
            return None, None
        return None, difference(of_policy, present)
    if weights.effective_size < bounds.fewest_effective:
        return None, None
    known = {"level": level, "propensities_known": True}
    guaranteed = paired_betting(weights, returns, bounds, **known)
    if weights.effective_size == 0:
        return guaranteed, None
    return guaranteed, paired(weights, returns, bounds, level=level)
