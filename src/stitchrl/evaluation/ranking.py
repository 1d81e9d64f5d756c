"""Ranking candidates on one split: by FQE, after weights where there are many."""

from functools import cached_property

import numpy as np

from stitchrl.candidates import densities, table
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.behavior import behavior_of, imitations_of
from stitchrl.evaluation.network_values import NetworkValues
from stitchrl.evaluation.requests import Request
from stitchrl.ope import refusals as refuse
from stitchrl.ope.fqe_bootstrap import refits
from stitchrl.ope.fqe_tabular import TabularFQE, TabularLog
from stitchrl.ope.policy_table import Behavior
from stitchrl.ope.pooled_fqe import pooled_value
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.policies import Normalized
from stitchrl.selection.separation import Separation, separation, separation_by_halves

LEVEL = 0.95  # At which policies are told apart.


class Ranking:
    """The selection split, and everything that is computed on it once.

    `discount` is the estimand's, `updates` are those of every network.
    """

    def __init__(self, dataset: Dataset, *, discount: float, updates: int, seed: int):
        self.dataset, self.discount = dataset, discount
        self.updates, self.seed = updates, seed

    def values(self, requests: list[Request]) -> list[float]:
        """FQE of each request.

        Where states are discrete: of all of the split, with borrowed rows; nothing was
        learned here. Else by networks, cross-fitted in two folds.
        """
        if not requests:
            return []
        if self.dataset.is_tabular:
            fitted, states = self._log.fit(), self._states(requests)
            return self._pooled(fitted, states, requests)
        return self._networks.rank(requests)

    def separation(self, requests: list[Request], values: list[float]) -> Separation:
        """How far each request is surely behind the first, by their `values` as ranked.

        FQE fitted again for all of them together: where states are discrete on resampled
        groups, by networks on random halves of the groups.
        """
        if self.dataset.is_tabular:
            states = self._states(requests)
            fits = refits(self._log, seed=self.seed)
            found = [self._pooled(fit, states, requests) for fit in fits]
            return separation(np.array(values), np.transpose(found), level=LEVEL)
        halves = self._networks.by_halves(requests)
        return separation_by_halves(np.array(values), halves, level=LEVEL)

    def first_by_weights(self, requests: list[Request], keep: int) -> list[int]:
        """Positions, in order, of the `keep` best by WIS: a first stage that costs little.

        Of 96 policies for sepsis the best 24 by WIS, ranked by FQE, lost next to nothing
        (Tang and Wiens 2021, arXiv 2107.11003). A policy that has no weights, because it
        takes one continuous action with certainty or follows no logged episode, stays.
        """
        found = np.array([self._weighted(request) for request in requests])
        known = np.flatnonzero(~np.isnan(found))
        kept = known[np.argsort(-found[known], kind="stable")][:keep]
        return sorted([*kept.tolist(), *np.flatnonzero(np.isnan(found)).tolist()])

    def _weighted(self, request: Request) -> float:
        """WIS; NaN where there is none, or where propensities are refused."""
        candidate, dataset = request.candidate, self.dataset
        if self._has_bad_propensities:
            return float("nan")
        if isinstance(dataset.actions, Choices):
            policy = table(candidate, dataset)
        elif candidate.act == "mode":
            return float("nan")
        else:
            policy = densities(candidate, dataset)
        acting = policy.of_logged_action(dataset)
        ratios = log_ratio(acting, self._behavior.propensity, share=request.share)
        weight = Weights.of(dataset, ratios).relative
        total = float(weight.sum())
        if total == 0:
            return float("nan")
        return float((weight * dataset.returns(self.discount)).sum() / total)

    def _pooled(
        self, fitted: TabularFQE, states: list[np.ndarray], requests: list[Request]
    ) -> list[float]:
        return [
            pooled_value(fitted, policy, request.share)
            for policy, request in zip(states, requests)
        ]

    def _states(self, requests: list[Request]) -> list[np.ndarray]:
        """float64 (S, count) each: what policies do in each state of the log."""
        tables = (table(request.candidate, self.dataset) for request in requests)
        return [self._log.transitions.policy(one) for one in tables]

    @cached_property
    def _log(self) -> TabularLog:
        return TabularLog.of(self.dataset, discount=self.discount)

    @cached_property
    def _imitations(self) -> list[Normalized]:
        return imitations_of(self.dataset, updates=self.updates, seed=self.seed)

    @cached_property
    def _behavior(self) -> Behavior:
        found = behavior_of(self.dataset, lambda: self._imitations, seed=self.seed)
        return found.behavior

    @cached_property
    def _has_bad_propensities(self) -> bool:
        is_density = not isinstance(self.dataset.actions, Choices)
        known = self._behavior.propensity
        wrong = refuse.bad_propensity(known, is_density=is_density)
        return wrong is not None or refuse.at_bounds(self.dataset) is not None

    @cached_property
    def _networks(self) -> NetworkValues:
        return NetworkValues(
            self.dataset,
            self._imitations,
            discount=self.discount,
            updates=self.updates,
            seed=self.seed,
        )
