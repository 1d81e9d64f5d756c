"""Fitted Q evaluation of discrete states in closed form.

The fixed point of FQE with squared loss (Le, Voloshin, Yue 2019, arXiv 1903.08738) is the
value of the policy in the maximum-likelihood model of the log: one linear solve. What the
log says nothing about is filled in three ways, which give a lower value, a point and an
upper value.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

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
    value: float  # … what the behavior is worth there: the point estimate, and for ranking.
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
    def behavior_values(self) -> np.ndarray:
        """V^β (S,), or (horizon, S) by steps to go, clipped to the bounds of returns-to-go.

        The mean return of the log in states that the log reached but never acted in.
        """
        chain, reward, unseen = self._chain(self.model.behavior)
        filled = _fill(chain, reward, unseen, np.full(len(reward), self.mean_return))
        return np.clip(_at_all_horizons(chain, filled), self.log.low, self.log.high)

    def state_values(self, policy: np.ndarray) -> np.ndarray:
        """V^π (S,), or (horizon, S) by steps to go: unseen actions as in `value`."""
        chain, reward, unseen = self._chain(policy)
        return _at_all_horizons(chain, _fill(chain, reward, unseen, self.behavior_values))

    def visits(self, policy: np.ndarray) -> np.ndarray:
        """float64 (S,), or (horizon, S) by step: Σ γ^t P(s_t = s) through seen actions."""
        chain, _, _ = self._chain(policy)
        start = self.model.start
        return (chain.visits if chain.horizon is None else chain.visits_by_step)(start)

    def value(self, policy: np.ndarray, share: float = 1.0) -> float:
        """The point estimate alone, which is faster."""
        chain, reward, unseen = self._chain(self._mixed(policy, share))
        filled = _fill(chain, reward, unseen, self.behavior_values)
        return float(self.model.start @ chain.sums(filled))

    def evaluate(self, policy: np.ndarray, share: float = 1.0) -> TabularValue:
        """Value of a policy (S, count), or of its mixture with the behavior.

        In states the log never acted in, and where with γ = 1 the policy never ends in the
        log, the value is the completion itself: lower bound, behavior's value, upper bound.
        """
        chain, reward, unseen = self._chain(self._mixed(policy, share))
        completions = (self.log.low, self.behavior_values, self.log.high)
        lower, values, upper = (
            chain.sums(_fill(chain, reward, unseen, completion))
            for completion in completions
        )
        visits = chain.visits(self.model.start)
        acted = self.model.state_count > 0
        # Visits after a state in which the log never acted are nobody's.
        unseen_action = np.where(acted, unseen, 0.0)
        total = visits.sum()
        return TabularValue(
            lower=float(self.model.start @ lower),
            value=float(self.model.start @ values),
            upper=float(self.model.start @ upper),
            unseen_share=float(visits @ unseen_action / total),
            unseen_per_episode=float(visits @ unseen_action),
            unknown_share=float(visits @ ~acted / total),
            endless=int(chain.endless.sum()),
            state_values=values,
        )

    def _mixed(self, policy: np.ndarray, share: float) -> np.ndarray:
        return self.model.mix(policy, share) if share < 1 else policy

    def _chain(self, policy: np.ndarray) -> tuple[Chain, np.ndarray, np.ndarray]:
        """The chain of seen actions, their mean reward (S,), and the unseen mass (S,)."""
        following, reward, seen = follow(self.model, policy)
        unseen = 1 - seen
        unseen[unseen < NEGLIGIBLE] = 0.0
        log = self.log
        chain = Chain(following, log.discount, log.horizon, self.tolerance)
        return chain, reward, unseen


def _fill(
    chain: Chain, reward: np.ndarray, unseen: np.ndarray, completion: np.ndarray
) -> np.ndarray:
    """Reward of each state, with `completion` (S,) or (horizon, S) for unseen actions."""
    filled = reward + unseen * completion
    return np.where(chain.endless, completion, filled)


def _at_all_horizons(chain: Chain, reward: np.ndarray) -> np.ndarray:
    """Sums of `reward`: (S,), or (horizon, S) by steps to go."""
    sums = chain.sums if chain.horizon is None else chain.sums_by_steps_left
    return sums(reward)


def follow(
    model: EmpiricalModel, policy: np.ndarray
) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """P̂_π (S, S) through seen actions only, r̂_π (S,), and π's mass (S,) on them."""
    of, states = model.transitions, len(model.transitions.states)
    taken = model.pair_policy(policy)
    goes_on = of.triple_next < states
    pair = of.triple_pair[goes_on]
    following = csr_array(
        (
            taken[pair] * model.triple_probability[goes_on],
            (of.pair_state[pair], of.triple_next[goes_on]),
        ),
        shape=(states, states),
    )
    following.eliminate_zeros()  # Actions not taken are no paths.
    reward = np.bincount(of.pair_state, taken * model.pair_reward, states)
    return following, reward, np.bincount(of.pair_state, taken, states)


def cross_fitted(
    log: TabularLog, policy: np.ndarray, *, fold: np.ndarray, share: float = 1.0
) -> Completions:
    """Mean over folds of the values at its start states in the model of the other folds.

    `fold` (episodes,) keeps groups together (`stitchrl.splits.folds`). For selection, and
    wherever the policy may have been made from the same episodes. A single fold, as of a
    log with one group, is fitted to itself.
    """
    lower = value = upper = 0.0
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        others = held_out if held_out.all() else ~held_out
        fitted = log.fit(others, start_weight=held_out).evaluate(policy, share)
        lower += fitted.lower * held_out.mean()
        value += fitted.value * held_out.mean()
        upper += fitted.upper * held_out.mean()
    return Completions(float(lower), float(value), float(upper))
