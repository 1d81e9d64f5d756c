"""The tabular candidate: value iteration over actions the log shows often enough.

For logs whose observations have discrete ids. No network and no tuning.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from stitchrl.dataset import Choices, Dataset

TOLERANCE = 1e-10
MAX_SWEEPS = 10_000
ENDED = -1  # What follows where an episode was terminated.


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
        tried = TriedMoves.counted(
            dataset.state_id[kept],
            dataset.action[kept],
            np.where(dataset.terminated, ENDED, dataset.next_state_id)[kept],
            dataset.reward[kept],
            shape=(dataset.state_count, dataset.actions.count),
        )
        behavior = _shares(tried.count, _valid(dataset))
        values, change = np.zeros(dataset.state_count), np.inf
        for _ in range(MAX_SWEEPS):
            q = tried.backup(values, self.discount)
            new = tried.best(q, self.least_count, behavior)
            change, values = np.abs(new - values).max(), new
            if change < TOLERANCE:
                allowed = tried.count >= self.least_count
                greedy = np.eye(allowed.shape[1])[_of(allowed, q).argmax(axis=1)]
                is_free = allowed.any(axis=1, keepdims=True)
                return TabularPolicy(np.where(is_free, greedy, behavior), values)
        raise ValueError(
            f"Values still changed by {change:.3g} after {MAX_SWEEPS:,} sweeps: with a "
            f"discount of {self.discount} rewards add up without end. Lower it."
        )


@dataclass(frozen=True, eq=False)
class TriedMoves:
    """A log as a model: what each move from each state earned, and where it led."""

    count: np.ndarray  # float64 (states, actions): how often it was made.
    reward: np.ndarray  # float64 (states * actions,): its mean; 0 where never made.
    # float64 (states * actions, states): shares of where it led.
    transition: "scipy.sparse.csr_array"

    @classmethod
    def counted(
        cls,
        state: np.ndarray,
        action: np.ndarray,
        following: np.ndarray,
        reward: np.ndarray,
        *,
        shape: tuple[int, int],
    ) -> "TriedMoves":
        """From rows: int64 state, action, and what follows (ENDED if nothing does)."""
        states, actions = shape
        pair = state * actions + action
        count = np.bincount(pair, minlength=states * actions).astype(np.float64)
        total = np.maximum(count, 1)
        mean = np.bincount(pair, reward, minlength=len(count)) / total
        goes_on = following >= 0
        places = pair[goes_on], following[goes_on]
        transition = scipy.sparse.csr_array(
            (1 / total[places[0]], places), shape=(len(count), states)
        )
        return cls(count.reshape(shape), mean, transition)

    def backup(self, values: np.ndarray, discount: float) -> np.ndarray:
        """float64 (states, actions): reward and what follows, worth `values` (states,)."""
        q = self.reward + discount * (self.transition @ values)
        return q.reshape(self.count.shape)

    def best(self, q: np.ndarray, least_count: int, behavior: np.ndarray) -> np.ndarray:
        """float64 (states,): of moves made so often; without any, as `behavior`."""
        allowed = self.count >= least_count
        best = _of(allowed, q).max(axis=1)
        return np.where(allowed.any(axis=1), best, (behavior * q).sum(axis=1))


@dataclass(frozen=True, eq=False)
class TabularPolicy:
    """What to do in each state, by its id."""

    probabilities: np.ndarray  # float64 (states, actions)
    values: np.ndarray  # float64 (states,): what planning believes each state is worth.


def _of(allowed: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.where(allowed, q, -np.inf)


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
