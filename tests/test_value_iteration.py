"""The tabular candidate against values that can be counted by hand."""

import numpy as np
import pytest

from stitchrl.dataset import Choices, Dataset
from stitchrl.value_iteration import ValueIteration


def one_step(counts: dict[tuple[int, int], list[float]], states: int) -> Dataset:
    """One-step episodes: rewards seen in each (state, action)."""
    rows = [(s, a, r) for (s, a), rewards in counts.items() for r in rewards]
    state, action, reward = map(np.array, zip(*rows))
    return Dataset.create(
        observation=np.eye(states)[state],
        action=action,
        reward=reward,
        terminated=np.ones(len(rows), bool),
        truncated=np.zeros(len(rows), bool),
        actions=Choices(("a", "b", "c")),
        state_id=state,
        final_state_id=np.full(len(rows), -1),
        state_count=states,
    )


def test_the_best_action_seen_often_enough_is_chosen():
    # Action 2 paid 9, but once; action 1 pays .6 on average, five times.
    seen = {(0, 0): [0.5] * 5, (0, 1): [0.0, 1.0, 1.0, 1.0, 0.0], (0, 2): [9.0]}
    policy = ValueIteration(least_count=5).fit(one_step(seen, 1))
    np.testing.assert_array_equal(policy.probabilities, [[0, 1, 0]])
    np.testing.assert_allclose(policy.values, [0.6])


def test_a_rare_state_is_left_to_the_log_and_an_unseen_one_to_chance():
    seen = {(0, 0): [1.0], (0, 2): [0.0, 0.0, 0.0]}
    policy = ValueIteration(least_count=5).fit(one_step(seen, 2))
    np.testing.assert_allclose(policy.probabilities[0], [0.25, 0, 0.75])
    np.testing.assert_allclose(policy.probabilities[1], [1 / 3] * 3)
    np.testing.assert_allclose(policy.values, [0.25, 0.0])


def test_values_are_carried_back_and_truncation_bootstraps():
    # 0 -> 1 -> end with reward 2; one more episode is cut off in state 1.
    state, following = np.array([0, 1, 0]), np.array([-1, 1])
    log = Dataset.create(
        observation=np.eye(2)[state],
        action=np.zeros(3),
        reward=np.array([0.0, 2.0, 0.0]),
        terminated=np.array([False, True, False]),
        truncated=np.array([False, False, True]),
        final_observation=np.array([[np.nan, np.nan], [0, 1]]),
        actions=Choices(("only",)),
        state_id=state,
        final_state_id=following,
        state_count=2,
    )
    policy = ValueIteration(least_count=1, discount=0.5).fit(log)
    np.testing.assert_allclose(policy.values, [1.0, 2.0])


def test_a_log_without_state_ids_is_refused():
    log = Dataset.create(
        observation=np.zeros((1, 1)),
        action=[0],
        reward=[0],
        terminated=[True],
        truncated=[False],
        actions=Choices(("only",)),
    )
    with pytest.raises(ValueError, match="needs a log with discrete actions.*map one"):
        ValueIteration().fit(log)


def test_endless_rewards_without_discount_are_refused():
    log = Dataset.create(
        observation=np.zeros((1, 1)),
        action=[0],
        reward=[1.0],
        terminated=[False],
        truncated=[True],
        final_observation=[[0.0]],
        actions=Choices(("only",)),
        state_id=[0],
        final_state_id=[0],
        state_count=1,
    )
    with pytest.raises(ValueError, match="add up without end"):
        ValueIteration(least_count=1, discount=1.0).fit(log)


def test_rows_whose_next_state_is_unknown_are_left_out():
    # The observation after the cut is known, but not which state it is.
    log = Dataset.create(
        observation=np.eye(2)[[0, 1, 0]],
        action=np.zeros(3),
        reward=np.array([0.0, 2.0, 9.0]),
        terminated=np.array([False, True, False]),
        truncated=np.array([False, False, True]),
        final_observation=np.array([[np.nan, np.nan], [0, 1]]),
        actions=Choices(("only",)),
        state_id=np.array([0, 1, 0]),
        final_state_id=np.array([-1, -1]),
        state_count=2,
    )
    policy = ValueIteration(least_count=1, discount=0.5).fit(log)
    np.testing.assert_allclose(policy.values, [1.0, 2.0])
