"""Ranking candidates on one split: by values, after weights where there are many."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stitchrl.candidates import densities, table
from stitchrl.dataset import Choices
from stitchrl.evaluation.requests import Request
from stitchrl.evaluation.split_models import SplitModels
from stitchrl.ope import refusals as refuse
from stitchrl.ope.fqe_bootstrap import refits
from stitchrl.ope.fqe_tabular import TabularFQE, TabularLog
from stitchrl.ope.pooled_fqe import pooled_value
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.selection.separation import Separation, separation, separation_by_halves

LEVEL = 0.95  # At which policies are told apart.


@dataclass(frozen=True, eq=False)
class Ranking(SplitModels):
    """The selection split, and everything that is computed on it once."""

    def values(self, requests: list[Request]) -> list[float]:
        """What each request is worth, as far as it takes to put them in order.

        Where states are discrete FQE of all of the split, with borrowed rows; nothing was
        learned here. Else FQE by networks, cross-fitted in two folds, or less where a model
        of the process that knows what the present behavior is worth says less: on logs of a
        linear process the lower of both ranked 12 policies at .95 and .99 (Spearman), FQE
        alone at .62.
        """
        if not requests:
            return []
        if self.dataset.is_tabular:
            fitted, states = self._log.fit(), self._states(requests)
            return self._pooled(fitted, states, requests)
        assert self.networks is not None
        fitted, modeled = self.networks.rank(requests), self.played(requests)
        return [
            min(value, model.value) if model and model.knows_present else value
            for value, model in zip(fitted, modeled)
        ]

    def separation(self, requests: list[Request], values: list[float]) -> Separation:
        """How far each request is surely behind the first, by their `values` as ranked.

        FQE is fitted again for all of them together: where states are discrete on resampled
        groups, by networks on random halves of the groups; models are not.
        """
        if self.dataset.is_tabular:
            states = self._states(requests)
            fits = refits(self._log, seed=self.seed)
            found = [self._pooled(fit, states, requests) for fit in fits]
            return separation(np.array(values), np.transpose(found), level=LEVEL)
        assert self.networks is not None
        halves = self.networks.by_halves(requests)
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
        ratios = log_ratio(acting, self.known.behavior.propensity, share=request.share)
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
    def _has_bad_propensities(self) -> bool:
        is_density = not isinstance(self.dataset.actions, Choices)
        known = self.known.behavior.propensity
        wrong = refuse.bad_propensity(known, is_density=is_density)
        return wrong is not None or refuse.at_bounds(self.dataset) is not None
