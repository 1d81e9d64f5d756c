"""Fitted Q evaluation of discrete states in closed form.

The fixed point of FQE with squared loss (Le, Voloshin, Yue 2019, arXiv 1903.08738) is the
value of the policy in the maximum-likelihood model of the log: one linear solve. What the
log says nothing about is filled in three ways, which give a lower value, a point and an
upper value.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Completions, Source
from stitchrl.ope.bounds import return_to_go_bounds
from stitchrl.ope.chain import NEGLIGIBLE, Chain
from stitchrl.ope.empirical_model import EmpiricalModel, Transitions


@dataclass(frozen=True, eq=False)
class TabularLog:
    """A log prepared once, from which models of any of its episodes are fitted fast."""

    transitions: Transitions
    low: np.ndarray  # float64 (S,): smallest return-to-go.
    high: np.ndarray  # float64 (S,): largest return-to-go.
    bounds_source: Source
    returns: np.ndarray  # float64 (episodes,): discounted.
    discount: float
    horizon: int | None  # Declared, and used because some episodes were cut.

    @classmethod
    def of(cls, dataset: Dataset, *, discount: float) -> "TabularLog":
        """Index the log and bound its returns-to-go. Raises `ValueError` without state ids.

        Where episodes were cut and the horizon is declared, values are up to that horizon,
        by as many backups; else they are of whole episodes, by linear solve.
        """
        transitions = Transitions.of(dataset)
        bounds = return_to_go_bounds(dataset, discount)
        return cls(
            transitions,
            *transitions.bounds(bounds),
            bounds.source,
            dataset.returns(discount),
            discount,
            dataset.horizon if dataset.truncated.any() else None,
        )

    def fit(
        self,
        episode_weight: np.ndarray | None = None,
        start_weight: np.ndarray | None = None,
        tolerance: float = 0.0,
    ) -> "TabularFQE":
        """The model of these episodes, evaluated at the starts of the same or others.

        A `tolerance` above 0 allows iterative solves: for bootstrap replicates.
        """
        if episode_weight is None:
            episode_weight = np.ones(self.transitions.episodes)
        model = self.transitions.model(episode_weight, start_weight)
        mean = float(episode_weight @ self.returns / episode_weight.sum())
        return TabularFQE(self, model, mean, tolerance)


@dataclass(frozen=True, eq=False)
class TabularValue:
    """What one policy is worth in one empirical model."""

    lower: float  # Unseen actions are worth the least possible return-to-go.
    value: float  # … what the behavior is worth there: the point estimate.
    upper: float  # … the most possible.
    unseen_share: float  # Of the policy's decisions: actions the log never took there.
    unseen_per_episode: float  # Expected number of them until the first, in [0, 1].
    unknown_share: float  # Of the policy's visits: states in which the log never acted.
    endless: int  # States from which, in the log, this policy never ends.
    state_values: np.ndarray  # float64 (S,), as `value`.


@dataclass(frozen=True, eq=False)
class TabularFQE:
    """One fitted model; evaluates any number of policies."""

    log: TabularLog
    model: EmpiricalModel
    mean_return: float  # Of the fitted episodes: for states in which none of them acted.
    tolerance: float = 0.0

    @cached_property
    def behavior(self) -> "PolicyInModel":
        """Who made the fitted episodes, by how often each action was taken."""
        return self.of(self.model.behavior)

    @cached_property
    def behavior_values(self) -> np.ndarray:
        """V^β (S,), or (horizon, S) by steps to go, clipped to the bounds of returns-to-go.

        The mean return of the log in states that the log reached but never acted in.
        """
        mean = np.full(len(self.log.low), self.mean_return)
        found = self.behavior.at_all_horizons(mean)
        return np.clip(found, self.log.low, self.log.high)

    def of(self, policy: np.ndarray, share: float = 1.0) -> "PolicyInModel":
        """A policy (S, count), or its mixture with the behavior, in this model."""
        mixed = self.model.mix(policy, share) if share < 1 else policy
        return PolicyInModel(self, mixed)

    def value(self, policy: np.ndarray, share: float = 1.0) -> float:
        """The point estimate alone, which is faster."""
        return self.of(policy, share).value

    def evaluate(self, policy: np.ndarray, share: float = 1.0) -> TabularValue:
        """Value of a policy (S, count), or of its mixture with the behavior.

        In states the log never acted in, and where with γ = 1 the policy never ends in the
        log, the value is the completion itself: lower bound, behavior's value, upper bound.
        """
        here = self.of(policy, share)
        completions = here.completions
        visits = here.chain.visits(self.model.start)
        acted = self.model.state_count > 0
        # Visits after a state in which the log never acted are nobody's.
        unseen_action = np.where(acted, here.unseen, 0.0)
        total = visits.sum()
        return TabularValue(
            lower=completions.lower,
            value=completions.behavior,
            upper=completions.upper,
            unseen_share=float(visits @ unseen_action / total),
            unseen_per_episode=float(visits @ unseen_action),
            unknown_share=float(visits @ ~acted / total),
            endless=int(here.chain.endless.sum()),
            state_values=np.atleast_2d(here.state_values)[-1],
        )


@dataclass(frozen=True, eq=False)
class PolicyInModel:
    """One policy in one fitted model; its chain is solved once for all that is asked."""

    fitted: TabularFQE
    policy: np.ndarray  # float64 (S, count)

    @cached_property
    def _followed(self) -> tuple[Chain, np.ndarray, np.ndarray]:
        following, reward, seen = follow(self.fitted.model, self.policy)
        unseen = 1 - seen
        unseen[unseen < NEGLIGIBLE] = 0.0
        log = self.fitted.log
        chain = Chain(following, log.discount, log.horizon, self.fitted.tolerance)
        return chain, reward, unseen

    @property
    def chain(self) -> Chain:
        """Through seen actions only."""
        return self._followed[0]

    @property
    def reward(self) -> np.ndarray:
        """float64 (S,): mean reward of the next step, unseen actions earning nothing."""
        return self._followed[1]

    @property
    def unseen(self) -> np.ndarray:
        """float64 (S,): the policy's mass on actions that the model has not seen."""
        return self._followed[2]

    def filled(self, completion: np.ndarray) -> np.ndarray:
        """Mean reward, `completion` (S,) or (horizon, S) standing in for unseen actions."""
        chain, reward, unseen = self._followed
        return np.where(chain.endless, completion, reward + unseen * completion)

    @property
    def value(self) -> float:
        """From the start: unseen actions are worth what the behavior is."""
        fitted = self.fitted
        sums = self.chain.sums(self.filled(fitted.behavior_values))
        return float(fitted.model.start @ sums)

    @cached_property
    def state_values(self) -> np.ndarray:
        """V^π (S,), or (horizon, S) by steps to go: unseen actions as in `value`."""
        return self.at_all_horizons(self.fitted.behavior_values)

    def values_later(self, steps_left: int) -> np.ndarray:
        """V^π (S,) after one more step; without a horizon whatever `steps_left` is."""
        if self.chain.horizon is None:
            return self.state_values
        return (
            self.state_values[steps_left - 2]
            if steps_left > 1
            else np.zeros(self.chain.states)
        )

    def action_values(self, steps_left: int) -> np.ndarray:
        """Q̂ (S, count) with so many steps to go; unseen actions as in `value`."""
        fitted, horizon = self.fitted, self.chain.horizon
        model, of = fitted.model, fitted.model.transitions
        completion = fitted.behavior_values
        if horizon is not None:
            completion = completion[steps_left - 1]
        q = np.repeat(completion[:, None], of.actions, axis=1)
        seen = model.pair_count > 0
        values = model.backup(self.values_later(steps_left), self.chain.discount)
        q[of.pair_state[seen], of.pair_action[seen]] = values[seen]
        return q

    def at_all_horizons(self, completion: np.ndarray) -> np.ndarray:
        """Values (S,), or (horizon, S) by steps to go, with this completion."""
        chain = self.chain
        sums = chain.sums if chain.horizon is None else chain.sums_by_steps_left
        return sums(self.filled(completion))

    @property
    def completions(self) -> Completions:
        """From the start: unseen actions worth the least, as the behavior, the most."""
        log, start = self.fitted.log, self.fitted.model.start
        value = np.atleast_2d(self.state_values)[-1]
        low, high = (self.chain.sums(self.filled(end)) for end in (log.low, log.high))
        return Completions(float(start @ low), float(start @ value), float(start @ high))

    def visits(self, start: np.ndarray) -> np.ndarray:
        """float64 (S,), or (horizon, S) by step: Σ γ^t P(s_t = s) from `start` (S,)."""
        chain = self.chain
        return (chain.visits if chain.horizon is None else chain.visits_by_step)(start)


def follow(
    model: EmpiricalModel, policy: np.ndarray
) -> tuple["scipy.sparse.csr_array", np.ndarray, np.ndarray]:
    """P̂_π (S, S) through seen actions only, r̂_π (S,), and π's mass (S,) on them."""
    return along(model, model.pair_policy(policy))


def along(
    model: EmpiricalModel, taken: np.ndarray
) -> tuple["scipy.sparse.csr_array", np.ndarray, np.ndarray]:
    """As `follow`, of seen pairs that are taken with these probabilities (pairs,)."""
    of, states = model.transitions, len(model.transitions.states)
    goes_on = of.triple_next < states
    pair = of.triple_pair[goes_on]
    following = scipy.sparse.csr_array(
        (
            taken[pair] * model.triple_probability[goes_on],
            (of.pair_state[pair], of.triple_next[goes_on]),
        ),
        shape=(states, states),
    )
    following.eliminate_zeros()  # Actions not taken are no paths.
    reward = np.bincount(of.pair_state, taken * model.pair_reward, states)
    return following, reward, np.bincount(of.pair_state, taken, states)
