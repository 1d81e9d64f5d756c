"""FQE in closed form, for logs whose observations have discrete ids."""

import numpy as np

from stitchrl.candidates import table
from stitchrl.dataset import Dataset
from stitchrl.evaluation.values import Request, Values
from stitchrl.ope.divergence import behavior_by_state, tabular_divergence
from stitchrl.ope.fqe_bootstrap import Acting, bootstrap_values, percentile_interval
from stitchrl.ope.fqe_tabular import TabularLog, cross_fitted_value
from stitchrl.ope.policy_table import Behavior
from stitchrl.splits import folds


class TabularValues:
    """The value family on one split with discrete states and actions."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        discount: float,
        behavior: Behavior | None,
        seed: int,
    ):
        self.dataset, self.behavior, self.seed = dataset, behavior, seed
        self.log = TabularLog.of(dataset, discount=discount)
        self.tables: dict[str, np.ndarray] = {}

    def rank(self, requests: list[Request]) -> list[float]:
        """Point estimates, cross-fitted in two folds."""
        fold = folds(self.dataset, self.seed)
        return [
            cross_fitted_value(self.log, self._by_state(r), fold=fold, share=r.share)
            for r in requests
        ]

    def evaluate(self, requests: list[Request], *, level: float) -> list[Values]:
        """Three completions each, intervals by refits on resampled groups, and bits."""
        fitted = self.log.fit()
        acting = [Acting(self._by_state(r), r.share) for r in requests]
        refits = bootstrap_values(self.log, acting, seed=self.seed)
        found = []
        for (policy, share), column in zip(acting, refits.T):
            value = fitted.evaluate(policy, share)
            divergence = None
            if self.behavior is not None:
                divergence = tabular_divergence(
                    fitted.model,
                    policy,
                    behavior_by_state(self.dataset, self.log.transitions, self.behavior),
                    groups=self.dataset.groups,
                    horizon=int(self.dataset.lengths.max()),
                    share=share,
                )
            found.append(
                Values(
                    lower=value.lower,
                    value=value.value,
                    upper=value.upper,
                    unseen=value.unseen_share,
                    interval=percentile_interval(column, level=level),
                    divergence=divergence,
                )
            )
        return found

    def _by_state(self, request: Request) -> np.ndarray:
        """float64 (states, actions): computed once for each candidate."""
        candidate = request.candidate
        if candidate.name not in self.tables:
            rows = table(candidate, self.dataset)
            self.tables[candidate.name] = self.log.transitions.policy(rows)
        return self.tables[candidate.name]
