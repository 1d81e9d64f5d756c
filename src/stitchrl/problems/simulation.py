"""Drawing from sparse distributions, and turning what was drawn into a log."""

from typing import Any, NamedTuple

import numpy as np
import scipy

from stitchrl.dataset import Choices, Dataset


class Simulated(NamedTuple):
    """Rows of simulated episodes, episode after episode, in time order."""

    state: np.ndarray  # int64 (size,)
    action: np.ndarray  # int64 (size,)
    reward: np.ndarray  # float64 (size,)
    terminated: np.ndarray  # bool (size,)
    truncated: np.ndarray  # bool (size,)
    episode: np.ndarray  # int64 (size,)
    step: np.ndarray  # int64 (size,)
    propensity: np.ndarray  # float64 (size,): of the action taken.
    final_state: (
        np.ndarray
    )  # int64 (episodes,): where the last action led, terminal or not.

    def to_dataset(
        self,
        features: np.ndarray,
        *,
        feature_names: tuple[str, ...] | None,
        action_labels: tuple[str, ...],
        valid_actions: np.ndarray | None = None,
        **declared: Any,
    ) -> Dataset:
        """A log that shows features (S, F) of each state beside its id.

        Terminal states do not appear in it. `declared` (bounds, horizon, group) goes to
        `Dataset.create` unchanged.
        """
        features = np.asarray(features, np.float32)
        last = np.flatnonzero(np.diff(self.episode, append=-1))
        is_cut = self.truncated[last]
        if valid_actions is not None:
            declared["valid_actions"] = valid_actions[self.state]
            declared["final_valid_actions"] = (
                valid_actions[self.final_state] | ~is_cut[:, None]
            )
        final_observation = features[self.final_state]
        final_observation[~is_cut] = np.nan
        return Dataset.create(
            observation=features[self.state],
            feature_names=feature_names,
            action=self.action,
            actions=Choices(action_labels),
            reward=self.reward,
            terminated=self.terminated,
            truncated=self.truncated,
            episode=self.episode,
            step=self.step,
            propensity=self.propensity,
            state_id=self.state,
            state_count=len(features),
            final_state_id=np.where(is_cut, self.final_state, -1),
            final_observation=final_observation,
            **declared,
        )


class RowDraws:
    """Draws entries of a sparse matrix whose rows are probability distributions."""

    def __init__(self, rows: "scipy.sparse.csr_array"):
        self.column = rows.indices.astype(np.int64)
        self.first = rows.indptr.astype(np.int64)
        self.cumulative = np.concatenate([[0.0], np.cumsum(rows.data)])

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int64 (n,): for each of `rows`, the number of the entry drawn in it."""
        first, last = self.first[rows], self.first[rows + 1] - 1
        low, high = self.cumulative[first], self.cumulative[last + 1]
        sought = low + (high - low) * rng.random(len(rows))
        found = np.searchsorted(self.cumulative, sought, side="right") - 1
        return np.clip(found, first, last)
