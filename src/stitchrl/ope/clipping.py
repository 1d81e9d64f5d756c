"""Weights with a cap: less variance, paid for with a bias whose size is known.

What lies above the cap belongs to decisions that are not looked at; the policy earns
something between the bounds of returns there (Ionides 2008; Su et al. 2020, arXiv
1907.09623).
"""

from dataclasses import dataclass

import numpy as np

from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.weights import Weights


@dataclass(frozen=True)
class Clipped:
    """One cap and what it does."""

    cap: float
    value: float  # WIS with min(W, cap); NaN if no episode has weight.
    deviation: float  # Standard error of it, by the delta method; NaN likewise.
    clipped_share: float  # Of episodes.
    lost: float  # 1 - mean of min(W, cap), at least 0: the policy's share not looked at.
    low: float  # Mean of min(W, cap) G, and the least for what is lost.
    high: float  # … and the most.


def clipped(
    weights: Weights, returns: np.ndarray, bounds: ReturnBounds, *, cap: float
) -> Clipped:
    """Weigh `returns` (episodes,) by min(W, `cap`). Raises `ValueError` unless cap > 0.

    An infinite cap clips nothing.

    Between `low` and `high` lies what IS would say of infinitely many episodes, as far as
    the cap is concerned: sampling error comes on top.
    """
    if not cap > 0:
        raise ValueError(f"'cap' must be above 0, but is {cap:.6g}.")
    kept = np.minimum(weights.values, cap)
    mean, earned = float(kept.mean()), float((kept * returns).mean())
    lost = max(1 - mean, 0.0)
    value = earned / mean if mean > 0 else float("nan")
    off = weights.sum_by_group(kept * (returns - value))
    deviation = float(np.sqrt((off**2).sum()) / kept.sum()) if mean > 0 else float("nan")
    return Clipped(
        cap=float(cap),
        value=value,
        deviation=deviation,
        clipped_share=float((weights.log > np.log(cap)).mean()),
        lost=lost,
        low=earned + lost * bounds.low,
        high=earned + lost * bounds.high,
    )
