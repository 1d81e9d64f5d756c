"""The problems that the other tests here train on are what they say they are."""

import numpy as np
import pytest

from stitchrl.problems.bandits import (
    CORNERS,
    DISCOUNT,
    FEATURES,
    LEFT,
    LEFT_VALUE,
    RIGHT,
    SAFE,
    WAIT,
    WAIT_VALUE,
    cliff,
    one_step,
    overestimation_bandit,
    regret,
)
from stitchrl.value_iteration import ValueIteration


def test_regret_is_zero_for_the_best_action_only():
    continuous = one_step("continuous", size=100)
    assert regret(continuous, continuous.observation) < 1e-12
    off = continuous.observation + np.array([0.3, -0.4], np.float32)
    assert regret(continuous, off) == pytest.approx(0.25, rel=1e-5)
    discrete = one_step("discrete", size=100)
    best = 2 * (discrete.observation[:, 0] > 0) + (discrete.observation[:, 1] > 0)
    assert regret(discrete, best) == 0
    # From the nearest corner to the one across x: |s + e|² - |s - e|² with |e_x| = ½.
    across = np.abs(discrete.observation[:, 0]).astype(float)
    assert regret(discrete, (best + 2) % 4) == pytest.approx(2 * across.mean(), rel=1e-6)


def test_regret_of_what_is_closed_is_infinite():
    masked = one_step("masked", size=100)
    closed = np.argmin(masked.valid_actions, axis=1)  # The first that is closed, if any.
    assert regret(masked, closed) == np.inf
    assert regret(masked, masked.action) < np.inf


def test_logged_rewards_are_those_of_the_logged_actions():
    for kind in ("discrete", "masked"):
        log = one_step(kind, size=100)
        distance = np.square(CORNERS[log.action] - log.observation).sum(axis=1)
        np.testing.assert_allclose(log.reward, -distance, rtol=1e-5, atol=1e-6)
        assert log.terminated.all() and set(log.action.tolist()) == {0, 1, 2, 3}
    assert log.valid_actions[np.arange(100), log.action].all()


def test_the_bandit_pays_as_it_says_and_never_logs_waiting_in_the_first_state():
    log = overestimation_bandit(rounds=2)
    in_first = (log.observation == FEATURES[0].astype(np.float32)).all(axis=1)
    pairs = set(zip(log.action[in_first].tolist(), log.reward[in_first].tolist()))
    assert pairs == {(LEFT, 5.0), (LEFT, 4.0), (RIGHT, 3.0), (RIGHT, 2.0)}
    assert set(log.action[~in_first].tolist()) == {WAIT}
    assert set(log.reward[~in_first].tolist()) == {10.0, 9.0}
    assert (np.diff(in_first.astype(int)) != 0).all()  # s1 and s2 follow each other.
    np.testing.assert_array_equal(log.next_observation[:-1], log.observation[1:])
    # Always left, from s1: 4.5 + γ (9.5 + γ ...), each reward the mean of its two.
    rewards = np.tile([4.5, 9.5], 300) * DISCOUNT ** np.arange(600)
    assert rewards.sum() == pytest.approx(LEFT_VALUE, rel=1e-12)


def test_a_table_goes_left():
    planned = ValueIteration(least_count=1, discount=DISCOUNT).fit(overestimation_bandit())
    assert planned.probabilities.argmax(axis=1).tolist() == [LEFT, WAIT]
    assert planned.values[0] == pytest.approx(LEFT_VALUE, rel=1e-9)
    rewards = np.tile([-100.0, 9.5], 300) * DISCOUNT ** np.arange(600)
    assert rewards.sum() == pytest.approx(WAIT_VALUE, rel=1e-12)


def test_the_cliff_is_not_in_its_log():
    log = cliff(size=64)
    assert np.abs(log.action).max() <= SAFE and not log.terminated.any()
    np.testing.assert_allclose(log.reward, 1 + log.action[:, 0], atol=1e-6)
