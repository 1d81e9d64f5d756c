"""Everything about one policy on one log, in closed form: the evidence for a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.ope import refusals as refuse
from stitchrl.ope.agreement import Agreement, agreement
from stitchrl.ope.base import (
    Completions,
    Estimate,
    Family,
    Interval,
    corrected_level,
)
from stitchrl.ope.bounds import ReturnBounds, return_bounds
from stitchrl.ope.cross_fitting import CrossFit, cross_fits, cross_fitted, in_folds
from stitchrl.ope.divergence import (
    Divergence,
    behavior_by_state,
    tabular_divergence,
    weighted_divergence,
)
from stitchrl.ope.dynamics import ModelValue
from stitchrl.ope.evidence import Evidence, Kind
from stitchrl.ope.fqe_bootstrap import bootstrap_interval, refits, replicates_for
from stitchrl.ope.fqe_tabular import TabularFQE, TabularLog
from stitchrl.ope.gains import gains
from stitchrl.ope.importance import data_mean
from stitchrl.ope.magic import REPLICATES
from stitchrl.ope.panel import Panel
from stitchrl.ope.policy_table import Behavior, DensityTable, PolicyTable
from stitchrl.ope.pooled_fqe import pooled_value
from stitchrl.ope.resampling import times_drawn
from stitchrl.ope.row_values import tabular_row_values
from stitchrl.ope.tails import pareto_shape
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.splits import folds

VOTES = {"WIS", "RIS-WIS", "FQE", "DRL"}  # Of estimates: who is asked whether they agree.


class FittedValue(NamedTuple):
    """FQE of one policy: from a table here, or from a network elsewhere."""

    completions: Completions
    interval: Interval | None
    unseen_share: float | None  # Of its decisions; None for continuous actions.
    divergence: Divergence | None = None  # None: from the tables or weights here.
    model: ModelValue | None = None  # Where models of the process were fitted.


@dataclass(frozen=True, eq=False)
class Certification:
    """What all policies that are judged on this log share, computed once."""

    dataset: Dataset
    behavior: Behavior
    discount: float
    candidates: int  # Certified together: each gets its share of the error.
    seed: int  # Of folds and resamples.
    calibration_error: float | None = None  # ECE of a fitted behavior.
    part: float = 1.0  # Of the whole log: this split.

    @property
    def level(self) -> float:
        """Of every interval, two-sided."""
        return corrected_level(self.candidates)

    @property
    def gain_level(self) -> float:
        """Of intervals of Δ, two-sided: each side is one test."""
        return 1 - 2 * (1 - self.level)

    @cached_property
    def returns(self) -> np.ndarray:
        """float64 (episodes,): discounted."""
        return self.dataset.returns(self.discount)

    @cached_property
    def bounds(self) -> ReturnBounds:
        """Of whole returns."""
        return return_bounds(self.dataset, self.discount)

    @cached_property
    def present(self) -> Estimate:
        """J(π_β) with its Student t interval."""
        return data_mean(self.dataset, discount=self.discount, level=self.level)

    @cached_property
    def log(self) -> TabularLog | None:
        """The log as discrete states; None where it has none."""
        if not self.dataset.is_tabular:
            return None
        return TabularLog.of(self.dataset, discount=self.discount)

    @cached_property
    def log_refusals(self) -> tuple[refuse.Refusal, ...]:
        """What the log itself lacks, whatever the policy."""
        dataset = self.dataset
        is_density = not isinstance(dataset.actions, Choices)
        found = (
            refuse.bad_propensity(self.behavior.propensity, is_density=is_density),
            refuse.at_bounds(dataset),
            refuse.no_ends(dataset),
            refuse.unbounded_horizon(dataset, self.discount),
            refuse.too_few(dataset.groups, part=self.part),
            refuse.bounds_broken(self.bounds, self.returns),
        )
        return tuple(refusal for refusal in found if refusal is not None)

    def weights(self, policy: PolicyTable | DensityTable, share: float = 1.0) -> Weights:
        """W of each episode under (1 - a) π_β + a π."""
        return self._panel(policy, share).weights

    def refusals_of(self, weights: Weights) -> tuple[refuse.Refusal | None, ...]:
        """MEANW, HEAVY and ESS_LOW, each as far as it is raised."""
        size, is_fitted = weights.effective_size, self.behavior.is_fitted
        return (
            refuse.mean_weight_off(weights.mean, weights.mean_error, is_fitted=is_fitted),
            refuse.heavy_tail(pareto_shape(weights)),
            refuse.low_effective_size(size, weights.groups, part=self.part),
        )

    def fitted_value(self, policy: PolicyTable, share: float = 1.0) -> FittedValue:
        """Tabular FQE, cross-fitted, its bootstrap interval, and the unseen share.

        Raises `ValueError` if the log has no discrete states.
        """
        states = self._states(policy)
        return FittedValue(
            cross_fitted(in_folds(self._fits, states, share)),
            bootstrap_interval(self._refits, states, level=self.level, share=share),
            self._fitted.evaluate(states, share).unseen_share,
        )

    def divergence(
        self, policy: PolicyTable | DensityTable, share: float = 1.0
    ) -> Divergence:
        """KL in bits: in the empirical model where states are discrete, else by weights."""
        if self.log is None or not isinstance(policy, PolicyTable):
            return weighted_divergence(self.weights(policy, share), self.dataset)
        return tabular_divergence(
            self._fitted.model,
            self._states(policy),
            self._behavior_states,
            groups=self.dataset.groups,
            horizon=int(self.dataset.lengths.max()),
            share=share,
        )

    def evidence(
        self,
        policy: PolicyTable | DensityTable | None,
        *,
        name: str,
        kind: Kind,
        share: float = 1.0,
        of: str | None = None,
        overestimates: bool = False,
        fitted: FittedValue | None = None,
        refusals: tuple[refuse.Refusal, ...] = (),
    ) -> Evidence:
        """All numbers about (1 - a) π_β + a π, a = `share`.

        `policy` is None where it takes one continuous action with certainty: then there are
        no weights, and DET_IS is raised. `fitted` is FQE by a network, where the log has no
        discrete states. `refusals` are those that only the caller can know: NO_PROP, QSANE,
        MEMORY.
        """
        if fitted is None and self.log is not None and isinstance(policy, PolicyTable):
            fitted = self.fitted_value(policy, share)
        evidence = Evidence(
            name=name,
            kind=kind,
            groups=self.dataset.groups,
            behavior=self.present,
            bounds=self.bounds,
            fqe=fitted.completions if fitted else None,
            fqe_interval=fitted.interval if fitted else None,
            model=fitted.model if fitted else None,
            unseen_share=fitted.unseen_share if fitted else None,
            has_fitted_behavior=self.behavior.is_fitted,
            calibration_error=self.calibration_error,
            overestimates=overestimates,
            refusals=(*refusals, *self.log_refusals),
            candidates=self.candidates,
            of=of,
            share=share,
            part=self.part,
        )
        if policy is None:
            certain = refuse.deterministic(
                is_continuous=True,
                effective_size=0.0,
                followed=0,
                episodes=self.dataset.episodes,
            )
            assert certain is not None
            return self._unweighed(evidence, fitted, certain)
        if any(refusal.code == "BAD_PROP" for refusal in evidence.refusals):
            return self._unweighed(evidence, fitted)
        return self._weighed(evidence, policy, fitted)

    def _unweighed(
        self, evidence: Evidence, fitted: FittedValue | None, *raised: refuse.Refusal
    ) -> Evidence:
        """Add what needs no weights."""
        estimates = _by_fits(fitted, self.dataset.groups)
        return replace(
            evidence,
            estimates=tuple(estimates),
            agreement=self._agreement(estimates, fitted) if estimates else None,
            refusals=(*evidence.refusals, *raised),
        )

    def _weighed(
        self,
        evidence: Evidence,
        policy: PolicyTable | DensityTable,
        fitted: FittedValue | None,
    ) -> Evidence:
        """Add everything that needs importance weights."""
        known = not self.behavior.is_fitted
        panel = self._panel(policy, evidence.share)
        weights, weighted = panel.weights, panel.weighted
        estimates = self._estimates(panel, policy, evidence.share, fitted)
        distance = fitted.divergence if fitted else None
        distance = distance or self.divergence(policy, evidence.share)
        guaranteed, asymptotic = gains(
            weights,
            self.returns,
            self.bounds,
            of_policy=weighted.interval,
            present=self.present.interval,
            is_known=known,
            level=self.gain_level,
        )
        shape = pareto_shape(weights)
        raised = (
            refuse.unsupported(distance.unsupported_share) if known else None,
            *self.refusals_of(weights),
            self._deterministic(policy, weights, evidence.share),
        )
        return replace(
            evidence,
            wis=weighted.value if np.isfinite(weighted.value) else None,
            estimates=tuple(estimates),
            guaranteed=guaranteed,
            asymptotic=asymptotic,
            effective_size=weights.effective_size,
            mean_weight=weights.mean,
            tail_shape=shape,
            kl_bits=distance.bits_per_episode,
            agreement=self._agreement(estimates, fitted),
            refusals=(*evidence.refusals, *(r for r in raised if r is not None)),
        )

    def _agreement(
        self, estimates: Sequence[Estimate], fitted: FittedValue | None
    ) -> Agreement:
        is_heard = fitted is not None and fitted.model is not None and fitted.model.is_heard
        votes = VOTES | {"MB"} if is_heard else VOTES
        return agreement([one for one in estimates if one.name in votes], self.returns)

    def estimates(
        self, policy: PolicyTable | DensityTable, share: float = 1.0
    ) -> tuple[Estimate, ...]:
        """What every estimator says of (1 - a) π_β + a π, without refits or refusals."""
        return tuple(self._estimates(self._panel(policy, share), policy, share, None))

    def _panel(self, policy: PolicyTable | DensityTable, share: float) -> Panel:
        return Panel(
            self.dataset,
            self._ratios(policy, self.behavior.propensity, share),
            self.bounds,
            self.discount,
            self.level,
            self._draws,
        )

    def _estimates(
        self,
        panel: Panel,
        policy: PolicyTable | DensityTable,
        share: float,
        fitted: FittedValue | None,
    ) -> list[Estimate]:
        """Of every estimator that this log has what it needs for."""
        found = panel.by_weights()
        found += _by_fits(fitted, panel.groups)
        if self.log is not None and isinstance(policy, PolicyTable):
            own = self._ratios(policy, self._own_frequencies, share)
            found.append(panel.by_own_frequencies(own))
            states = self._states(policy)
            value = pooled_value(self._fitted, states, share)
            found.append(Estimate("pooled FQE", Family.VALUES, value, None, panel.groups))
            parts = in_folds(self._fits, states, share)
            if fitted is None:
                value = cross_fitted(parts).behavior
                found.append(Estimate("FQE", Family.VALUES, value, None, panel.groups))
            if share < 1:  # Mixed with the behavior as weights know it, not as folds do.
                mixed = (1 - share) * self._behavior_states + share * states
                parts = in_folds(self._fits, mixed)
            is_known = share == 1 or not self.behavior.is_fitted
            found.append(panel.by_visits(parts, is_known=is_known))
            found += panel.combined(tabular_row_values(self.dataset, parts))
        return found

    def _ratios(
        self, policy: PolicyTable | DensityTable, propensity: np.ndarray, share: float
    ) -> np.ndarray:
        """float64 (size,): log of how much likelier the mixture does what was done."""
        return log_ratio(policy.of_logged_action(self.dataset), propensity, share=share)

    def _deterministic(
        self, policy: PolicyTable | DensityTable, weights: Weights, share: float
    ) -> refuse.Refusal | None:
        is_table = isinstance(policy, PolicyTable)
        if share < 1 or not is_table or (policy.probabilities.max(axis=1) < 1).any():
            return None
        return refuse.deterministic(
            is_continuous=False,
            effective_size=weights.effective_size,
            followed=int((weights.relative > 0).sum()),
            episodes=self.dataset.episodes,
        )

    @property
    def _tabular(self) -> TabularLog:
        if self.log is None:
            raise ValueError(
                "Tabular FQE needs discrete states and actions, which this log lacks; give "
                "`fitted` from a network."
            )
        return self.log

    @cached_property
    def _fitted(self) -> TabularFQE:
        return self._tabular.fit()

    @cached_property
    def _refits(self) -> tuple[TabularFQE, ...]:
        replicates = replicates_for(self.level)
        return refits(self._tabular, seed=self.seed, replicates=replicates)

    @cached_property
    def _fits(self) -> tuple[CrossFit, ...]:
        return cross_fits(self._tabular, folds(self.dataset, self.seed))

    @cached_property
    def _draws(self) -> np.ndarray:
        """float64 (replicates, episodes): resamples that all policies share."""
        group = self.dataset.episode_group
        return times_drawn(group, seed=self.seed, replicates=REPLICATES)

    @cached_property
    def _own_frequencies(self) -> np.ndarray:
        """float64 (size,): how often what was done was done in that state."""
        return self._tabular.transitions.frequency_of(self.dataset.action)

    @cached_property
    def _behavior_states(self) -> np.ndarray:
        transitions = self._tabular.transitions
        return behavior_by_state(self.dataset, transitions, self.behavior)

    def _states(self, policy: PolicyTable) -> np.ndarray:
        return self._tabular.transitions.policy(policy)


def _by_fits(fitted: FittedValue | None, groups: int) -> list[Estimate]:
    """FQE, and the model where there is one."""
    if fitted is None:
        return []
    value, interval = fitted.completions.behavior, fitted.interval
    found = [Estimate("FQE", Family.VALUES, value, interval, groups)]
    if fitted.model is not None:
        found.append(Estimate("MB", Family.MODEL, fitted.model.value, None, groups))
    return found
