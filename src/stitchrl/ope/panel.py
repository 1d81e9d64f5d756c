"""What every estimator says that a policy is worth: one table, by families.

Intervals are given where simulations show that they hold (benchmarks/coverage.py): of sums
of weighted rewards, whose variance may be infinite, there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Estimate, Family, Interval
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.cross_fitting import HeldOut
from stitchrl.ope.doubly_robust import RowValues, doubly_robust, weighted_doubly_robust
from stitchrl.ope.importance import wis
from stitchrl.ope.intervals import student_t
from stitchrl.ope.magic import magic
from stitchrl.ope.marginal import marginal
from stitchrl.ope.per_decision import (
    consistent_per_decision,
    importance_sampling,
    per_decision,
)
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import Weights

MOST_THIN = 0.01  # Share of decisions; with more, DRL's errors are not its influence's.


@dataclass(frozen=True, eq=False)
class Panel:
    """One policy on one log."""

    dataset: Dataset
    ratios: np.ndarray  # float64 (size,): log π/β of logged actions.
    bounds: ReturnBounds
    discount: float
    level: float
    draws: np.ndarray  # float64 (replicates, episodes): of MAGIC, by `times_drawn`.

    @property
    def groups(self) -> int:
        """Independent units behind every estimate."""
        return self.dataset.groups

    @cached_property
    def weights(self) -> Weights:
        return Weights.of(self.dataset, self.ratios)

    @cached_property
    def steps(self) -> StepWeights:
        return StepWeights.of(self.dataset, self.ratios)

    @cached_property
    def weighted(self) -> Estimate:
        """WIS, the one of them with an interval."""
        return wis(
            self.dataset,
            self.weights,
            self.bounds,
            discount=self.discount,
            level=self.level,
        )

    def by_weights(self) -> list[Estimate]:
        """IS, PDIS, CWPDIS and WIS: nothing is asked of the process."""
        dataset, discount = self.dataset, self.discount
        whole = importance_sampling(dataset, self.weights, discount=discount)
        stepwise = per_decision(dataset, self.steps, discount=discount)
        consistent = consistent_per_decision(dataset, self.steps, discount=discount)
        return [
            self._estimate("IS", Family.WEIGHTS, whole.mean()),
            self._estimate("PDIS", Family.WEIGHTS, stepwise.mean()),
            self._estimate("CWPDIS", Family.WEIGHTS, consistent),
            self.weighted,
        ]

    def by_own_frequencies(self, ratios: np.ndarray) -> Estimate:
        """RIS, normalized: WIS with log ratios (size,) to what the log itself shows.

        Better than with the true propensities, for it corrects how often each action
        happened to be drawn (Hanna, Niekum, Stone 2019, arXiv 1806.01347). Without
        normalizing, what the policy does elsewhere would count as 0.
        """
        weights = Weights.of(self.dataset, ratios)
        found = wis(
            self.dataset, weights, self.bounds, discount=self.discount, level=self.level
        )
        return self._estimate("RIS-WIS", Family.WEIGHTS, found.value)

    def by_visits(self, parts: Sequence[HeldOut], *, is_known: bool) -> Estimate:
        """DRL with values and visits in models of the other folds.

        With Student's t of its influence function, if `is_known` what the policy does (of
        a mixture: what the behavior does), and unless many decisions are thin.
        """
        found = marginal(self.dataset, parts)
        interval = None
        if is_known and found.thin_share <= MOST_THIN:
            group = self.dataset.episode_group
            interval = student_t(found.robust, group, level=self.level)
        return self._estimate("DRL", Family.MARGINAL, found.robust.mean(), interval)

    def combined(self, values: RowValues) -> list[Estimate]:
        """DR, WDR and MAGIC. V̂ must be the mean of Q̂ under the policy that is weighed."""
        dataset, discount, steps = self.dataset, self.discount, self.steps
        robust = doubly_robust(dataset, steps, values, discount=discount)
        shared = weighted_doubly_robust(dataset, steps, values, discount=discount)
        blend = magic(dataset, steps, values, discount=discount, draws=self.draws)
        return [
            self._estimate("DR", Family.COMBINED, robust.mean()),
            self._estimate("WDR", Family.COMBINED, shared.sum()),
            self._estimate("MAGIC", Family.COMBINED, blend.value),
        ]

    def _estimate(
        self, name: str, family: Family, value: float, interval: Interval | None = None
    ) -> Estimate:
        value = float(value) if np.isfinite(value) else float("nan")
        return Estimate(name, family, value, interval, self.groups)
