"""The process as a log of discrete states shows it: counts of (s, a, s'), mean rewards.

Everything is a function of the weight of each episode. Bootstrap replicates, folds and
whole logs differ in these weights only, so that the indexing is made once per log.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.ope.bounds import ReturnToGoBounds
from stitchrl.ope.policy_table import PolicyTable


@dataclass(frozen=True, eq=False)
class Transitions:
    """Which (s, a, s') each row of a log is; states are renumbered from 0."""

    states: np.ndarray  # int64 (S,): the `state_id` of each.
    actions: int
    size: int  # Rows of the log.
    kept: np.ndarray  # int64 (rows,): rows of which it is known what followed.
    row_triple: np.ndarray  # int64 (rows,): (s, a, s') of each kept row.
    row_reward: np.ndarray  # float64 (rows,)
    row_episode: np.ndarray  # int64 (rows,)
    triple_pair: np.ndarray  # int64 (triples,): its (s, a).
    triple_next: np.ndarray  # int64 (triples,): s', or S where the process ended.
    pair_state: np.ndarray  # int64 (pairs,)
    pair_action: np.ndarray  # int64 (pairs,)
    row_state: np.ndarray  # int64 (size,)
    final_state: np.ndarray  # int64 (episodes,): S where nothing follows or nobody knows.
    first_state: np.ndarray  # int64 (episodes,)
    group: np.ndarray  # int64 (episodes,)

    @classmethod
    def of(cls, dataset: Dataset) -> "Transitions":
        """Index a log. Raises `ValueError` without state ids or with continuous actions.

        A truncated row of which nobody knows what followed is left out: `unknown_ends`.
        """
        if dataset.state_id is None or not isinstance(dataset.actions, Choices):
            lack = "no state_id" if dataset.state_id is None else "continuous actions"
            raise ValueError(
                "Closed-form evaluation needs discrete states and actions, but this log "
                f"has {lack}. Name the states in a 'state_id' column, or fit a network."
            )
        final_id = dataset.final_state_id
        if final_id is None:
            final_id = np.full(dataset.episodes, -1)
        named = np.concatenate([dataset.state_id, final_id[final_id >= 0]])
        ids, index = np.unique(named, return_inverse=True)
        states, count = len(ids), dataset.actions.count
        row_state = index[: dataset.size]
        final_state = np.full(dataset.episodes, states)
        final_state[final_id >= 0] = index[dataset.size :]
        following = dataset.next_column(row_state, final_state)
        is_end = dataset.terminated | (dataset.horizon == 1)
        following = np.where(is_end, states, following)
        kept = np.flatnonzero(is_end | (following < states))
        pair_key = row_state[kept] * count + dataset.action[kept]
        pairs, row_pair = np.unique(pair_key, return_inverse=True)
        triples, row_triple = np.unique(
            row_pair * (states + 1) + following[kept], return_inverse=True
        )
        return cls(
            states=ids,
            actions=count,
            size=dataset.size,
            kept=kept,
            row_triple=row_triple,
            row_reward=dataset.reward[kept],
            row_episode=dataset.episode[kept],
            triple_pair=triples // (states + 1),
            triple_next=triples % (states + 1),
            pair_state=pairs // count,
            pair_action=pairs % count,
            row_state=row_state,
            final_state=final_state,
            first_state=row_state[dataset.first_row],
            group=dataset.episode_group,
        )

    @property
    def unknown_ends(self) -> int:
        """Rows left out because nobody knows what followed."""
        return self.size - len(self.kept)

    @property
    def episodes(self) -> int:
        return len(self.first_state)

    def policy(self, table: PolicyTable) -> np.ndarray:
        """float64 (S, count): its mean probabilities over all rows and ends in each state.

        Exact if the state says all that the policy looks at.
        """
        known = self.final_state < len(self.states)
        state = np.concatenate([self.row_state, self.final_state[known]])
        rows = np.concatenate([table.probabilities, table.final_probabilities[known]])
        is_known = ~np.isnan(rows).any(axis=1)
        return self.mean_by_state(rows[is_known], state[is_known])

    def frequency_of(self, action: np.ndarray) -> np.ndarray:
        """float64 (size,): N(s, a) / N(s) of each row and its `action` (size,)."""
        pair = self.row_state * self.actions + action
        taken, visits = np.bincount(pair), np.bincount(self.row_state)
        return taken[pair] / visits[self.row_state]

    def mean_by_state(self, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        """float64 (S, columns): mean of `rows` in each state; 0 in states without any."""
        seen = np.bincount(state, minlength=len(self.states))
        total = [np.bincount(state, column, len(self.states)) for column in rows.T]
        return np.stack(total, axis=1) / _or_one(seen)[:, None]

    def bounds(self, bounds: ReturnToGoBounds) -> tuple[np.ndarray, np.ndarray]:
        """Two float64 (S,): lowest and highest return-to-go from each state, at any row."""
        low, high = np.full(len(self.states), np.inf), np.full(len(self.states), -np.inf)
        np.minimum.at(low, self.row_state, bounds.low)
        np.maximum.at(high, self.row_state, bounds.high)
        known = self.final_state < len(self.states)
        np.minimum.at(low, self.final_state[known], bounds.final_low[known])
        np.maximum.at(high, self.final_state[known], bounds.final_high[known])
        return low, high

    def model(
        self,
        episode_weight: np.ndarray | None = None,
        start_weight: np.ndarray | None = None,
    ) -> "EmpiricalModel":
        """The maximum-likelihood model of these episodes, each counted by its weight.

        Start states are those of the same episodes unless `start_weight` says otherwise.
        """
        if episode_weight is None:
            episode_weight = np.ones(self.episodes)
        if start_weight is None:
            start_weight = episode_weight
        row_weight = episode_weight[self.row_episode].astype(np.float64)
        row_pair = self.triple_pair[self.row_triple]
        pairs = len(self.pair_state)
        triple_count = np.bincount(self.row_triple, row_weight, len(self.triple_pair))
        pair_count = np.bincount(row_pair, row_weight, pairs)
        reward = np.bincount(row_pair, row_weight * self.row_reward, pairs)
        start = np.bincount(self.first_state, start_weight, len(self.states))
        return EmpiricalModel(
            transitions=self,
            triple_probability=triple_count / _or_one(pair_count)[self.triple_pair],
            pair_count=pair_count,
            pair_reward=reward / _or_one(pair_count),
            start=start / start.sum(),
        )


@dataclass(frozen=True, eq=False)
class EmpiricalModel:
    """P̂(s' | s, a), r̂(s, a) and the start distribution; pairs with count 0 are unseen."""

    transitions: Transitions
    triple_probability: np.ndarray  # float64 (triples,): P̂(s' | s, a).
    pair_count: np.ndarray  # float64 (pairs,)
    pair_reward: np.ndarray  # float64 (pairs,)
    start: np.ndarray  # float64 (S,)

    @cached_property
    def state_count(self) -> np.ndarray:
        """float64 (S,): how often each state was acted in."""
        of = self.transitions
        return np.bincount(of.pair_state, self.pair_count, len(of.states))

    @cached_property
    def behavior(self) -> np.ndarray:
        """float64 (S, count): frequency of each action; 0 in states never acted in."""
        of = self.transitions
        result = np.zeros((len(of.states), of.actions))
        result[of.pair_state, of.pair_action] = self.pair_count
        return result / _or_one(self.state_count)[:, None]

    def backup(self, later: np.ndarray, discount: float) -> np.ndarray:
        """float64 (pairs,): r̂ + γ E[`later` (S,)]; after an end there is nothing."""
        of = self.transitions
        following = self.triple_probability * np.append(later, 0.0)[of.triple_next]
        expected = np.bincount(of.triple_pair, following, len(of.pair_state))
        return self.pair_reward + discount * expected

    def mix(self, policy: np.ndarray, share: float) -> np.ndarray:
        """float64 (S, count): (1 - a) β̂ + a π by state, β̂ being what the log shows."""
        return (1 - share) * self.behavior + share * policy

    def pair_policy(self, policy: np.ndarray) -> np.ndarray:
        """float64 (pairs,): π(a|s), 0 for the pairs that this model has not seen."""
        of = self.transitions
        return np.where(self.pair_count > 0, policy[of.pair_state, of.pair_action], 0.0)


def _or_one(counts: np.ndarray) -> np.ndarray:
    """A safe divisor: what is counted 0 times sums to 0 anyway."""
    return np.where(counts > 0, counts, 1.0)
