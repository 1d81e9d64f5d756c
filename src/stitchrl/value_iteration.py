"""The tabular candidate: value iteration over actions the log shows often enough.

For logs whose observations have discrete ids. No network and no tuning.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from stitchrl.dataset import Choices, Dataset

TOLERANCE = 1e-10
MAX_SWEEPS = 10_000


@dataclass(frozen=True)
class ValueIteration:
    """Plan on the counts of a log, choosing only among actions seen `least_count` times.

    Where no action of a state was seen so often, do as the log did there; in a state the
    log never shows, each valid action is equally likely. An unseen state is worth nothing.
    """

    least_count: int = 20
    discount: float = 0.99  # γ

    def fit(self, dataset: Dataset) -> "TabularPolicy":
        """Plan on this log (the training split).

        Raises `ValueError` if it has no discrete states and actions, or if values grow
        without bound (a discount of 1 and rewards on a cycle).
        """
        if dataset.state_id is None or not isinstance(dataset.actions, Choices):
            raise ValueError(
                "Value iteration needs a log with discrete actions and a 'state_id' "
                "column; map one, or leave it out with tabular=False."
            )
        kept = dataset.terminated | (dataset.next_state_id >= 0)
        states, actions = dataset.state_count, dataset.actions.count
        pair = dataset.state_id[kept] * actions + dataset.action[kept]
        count = np.bincount(pair, minlength=states * actions).astype(np.float64)
        total = np.maximum(count, 1)
        reward = np.bincount(pair, dataset.reward[kept], minlength=len(count)) / total
        goes_on = ~dataset.terminated[kept]
        following = dataset.next_state_id[kept][goes_on]
        ones = np.ones(len(following))
        entries = (ones / total[pair[goes_on]], (pair[goes_on], following))
        transition = csr_array(entries, shape=(len(count), states))

        count = count.reshape(states, actions)
        behavior = _shares(count, _valid(dataset))
        allowed = count >= self.least_count
        is_free = np.asarray(allowed.any(axis=1))
        values, change = np.zeros(states), np.inf
        for _ in range(MAX_SWEEPS):
            q = (reward + self.discount * (transition @ values)).reshape(states, actions)
            best = np.where(allowed, q, -np.inf).max(axis=1)
            new = np.where(is_free, best, (behavior * q).sum(axis=1))
            change, values = np.abs(new - values).max(), new
            if change < TOLERANCE:
                greedy = np.eye(actions)[np.where(allowed, q, -np.inf).argmax(axis=1)]
                table = np.where(is_free[:, None], greedy, behavior)
                return TabularPolicy(table, values)
        raise ValueError(
            f"Values still changed by {change:.3g} after {MAX_SWEEPS:,} sweeps: with a "
            f"discount of {self.discount} rewards add up without end. Lower it."
        )


@dataclass(frozen=True, eq=False)
class TabularPolicy:
    """What to do in each state, by its id."""

    probabilities: np.ndarray  # float64 (states, actions)
    values: np.ndarray  # float64 (states,): what planning believes each state is worth.


def _valid(dataset: Dataset) -> np.ndarray:
    """bool (states, actions): valid at least once where the log says so, else all."""
    shape = (dataset.state_count, dataset.spec.action.count)  # pyright: ignore[reportAttributeAccessIssue]
    if dataset.valid_actions is None or dataset.state_id is None:
        return np.ones(shape, bool)
    valid = np.zeros(shape, bool)
    np.logical_or.at(valid, dataset.state_id, dataset.valid_actions)
    return valid | ~valid.any(axis=1, keepdims=True)


def _shares(count: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Each action's share of a state's decisions; equal where there are none."""
    total = count.sum(axis=1, keepdims=True)
    equal = valid / valid.sum(axis=1, keepdims=True)
    return np.where(total > 0, count / np.maximum(total, 1), equal)
