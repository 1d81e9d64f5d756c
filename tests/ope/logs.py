"""Small logs written by hand, and policies for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.ope.policy_table import PolicyTable

Step = tuple[int, int, float]  # State, action, reward.


def write_log(
    episodes: Sequence[Sequence[Step]],
    *,
    final_states: Sequence[int] | None = None,
    states: int = 4,
    actions: int = 2,
    **declared: Any,
) -> Dataset:
    """Episodes of (state, action, reward); those with a final state ≥ 0 were truncated.

    -2 means truncated without anyone knowing where.
    """
    if final_states is None:
        final_states = [-1] * len(episodes)
    rows = [step for episode in episodes for step in episode]
    last = np.cumsum([len(episode) for episode in episodes]) - 1
    is_cut = np.array(final_states) != -1
    terminated, truncated = np.zeros((2, len(rows)), bool)
    terminated[last[~is_cut]] = True
    truncated[last[is_cut]] = True
    state, action, reward = map(np.array, zip(*rows))
    final = np.maximum(np.array(final_states), -1)
    return Dataset.create(
        observation=np.eye(states)[state],
        final_observation=np.where(final[:, None] >= 0, np.eye(states)[final], np.nan),
        action=action,
        actions=Choices(tuple(f"action {a}" for a in range(actions))),
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        episode=np.repeat(np.arange(len(episodes)), np.diff(last, prepend=-1)),
        state_id=state,
        final_state_id=final,
        state_count=states,
        **{"propensity": np.full(len(rows), 1 / actions), **declared},
    )


def always(dataset: Dataset, action: int, *, actions: int = 2) -> PolicyTable:
    """The policy that takes one action everywhere."""
    return PolicyTable.of_states(
        dataset, np.tile(np.eye(actions)[action], (dataset.state_count, 1))
    )
