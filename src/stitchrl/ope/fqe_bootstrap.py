"""Intervals of tabular FQE: whole groups resampled, the model fitted again each time.

Resampling fixed values of start states instead would ignore that Q was estimated, and cover
almost never (Hao et al. 2021, arXiv 2102.03607).
"""

import math
from collections.abc import Sequence

import numpy as np

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.fqe_tabular import TabularFQE, TabularLog
from stitchrl.ope.resampling import times_drawn

REPLICATES = 100  # At least; more where the level is so high that ends would not be seen.
TOLERANCE = 1e-7  # Of solves; far below what resampling moves.


def replicates_for(level: float) -> int:
    """So many that the ends of an interval at this level lie among them."""
    return max(REPLICATES, math.ceil(2 / (1 - level) - 1e-9))


def refits(
    log: TabularLog, *, seed: int, replicates: int = REPLICATES
) -> tuple[TabularFQE, ...]:
    """Models fitted to resampled groups.

    One set serves all policies, so that differences between their values are paired.
    """
    counts = times_drawn(log.transitions.group, seed=seed, replicates=replicates)
    return tuple(log.fit(count, tolerance=TOLERANCE) for count in counts)


def bootstrap_interval(
    fitted: Sequence[TabularFQE], policy: np.ndarray, *, level: float, share: float = 1.0
) -> Interval:
    """Percentiles of the value of (1 - a) β + a π over refitted models, a = `share`.

    `policy` (S, count) is in the numbering of their log.
    """
    low, high = ends([model.value(policy, share) for model in fitted], level)
    method = f"percentiles of {len(fitted)} refits on resampled groups"
    return Interval(low, high, level, Label.MODEL_BASED, method)


def ends(values: Sequence[float], level: float) -> tuple[float, float]:
    """Between which `level` of the probability lies, given B draws.

    Between neighbors of the sorted draws lies 1 / (B + 1) of it, and as much beyond the
    first and the last.
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(values, tails, method="weibull")
    return float(low), float(high)
