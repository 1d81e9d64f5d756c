"""How often intervals contain the truth, where the truth is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Interval, Label
from stitchrl.ope.bounds import return_bounds
from stitchrl.ope.importance import wis
from stitchrl.ope.intervals import betting, clopper_pearson
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.ope.weights import Weights, log_ratio


@dataclass(frozen=True)
class Coverage:
    """Of one kind of interval over many simulated logs."""

    covered: int
    repeats: int
    width: float  # Median.

    @property
    def rate(self) -> float:
        return self.covered / self.repeats

    @property
    def interval(self) -> Interval:
        """Of the rate, at 95 %."""
        return clopper_pearson(self.rate, float(self.repeats), level=0.95)


def measure(
    draw: Callable[[int], Mapping[str, Interval]], *, truth: float, repeats: int, seed: int
) -> dict[str, Coverage]:
    """Draw intervals for one truth from `repeats` logs, seeded `seed`, `seed` + 1, …"""
    drawn = [draw(seed + number) for number in range(repeats)]
    result = {}
    for name in drawn[0]:
        intervals = [intervals[name] for intervals in drawn]
        covered = sum(interval.covers(truth) for interval in intervals)
        width = float(np.median([interval.width for interval in intervals]))
        result[name] = Coverage(covered, repeats, width)
    return result


def value_intervals(
    dataset: Dataset, policy: PolicyTable, *, share: float = 1.0, level: float = 0.95
) -> dict[str, Interval]:
    """The interval of each label for J of (1 - a) π_β + a π, a = `share`, undiscounted."""
    bounds, returns = return_bounds(dataset, 1.0), dataset.returns()
    behavior = Behavior.logged(dataset)
    acting = policy.of_logged_action(dataset)
    weights = Weights.of(dataset, log_ratio(acting, behavior.propensity, share=share))
    bets = betting(weights, returns, bounds, level=level, propensities_known=True)
    weighted = wis(dataset, weights, bounds, discount=1.0, level=level).interval
    if weighted is None:  # No logged episode could have come from the policy.
        weighted = replace(bets, low=bounds.low, high=bounds.high, label=Label.ASYMPTOTIC)
    return {"asymptotic": weighted, "guaranteed": bets}
