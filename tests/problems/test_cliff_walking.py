"""Cliff walking against what the book says and what simulation finds."""

import numpy as np
import pytest

from stitchrl.problems.cliff_walking import (
    ACTIONS,
    BEST_VALUE,
    CLIFF,
    DOWN,
    GOAL,
    LEFT,
    RIGHT,
    START,
    STATES,
    UP,
    edge_path,
    log,
    mdp,
    safe_path,
    soft_policy,
)
from stitchrl.value_iteration import ValueIteration


def test_moves_and_costs():
    process = mdp()
    reached = process.transition.toarray().reshape(STATES, ACTIONS, STATES)

    def step(state: int, action: int) -> tuple[int, float]:
        return int(reached[state, action].argmax()), process.reward[state, action]

    assert step(START, UP) == (24, -1) and step(START, LEFT) == (START, -1)
    assert step(START, RIGHT) == (START, -100)  # Over the edge.
    assert step(25, DOWN) == (START, -100) and step(35, DOWN) == (GOAL, -1)
    assert step(0, UP) == (0, -1) and step(11, RIGHT) == (11, -1)
    assert process.terminal[[*CLIFF, GOAL]].all() and process.terminal.sum() == 11


def test_the_best_path_is_along_the_edge():
    process = mdp()
    best, q = process.optimal(1.0)
    assert process.value(best, 1.0) == pytest.approx(BEST_VALUE, abs=1e-9)
    edge, safe = (soft_policy(path(), 0.0) for path in (edge_path, safe_path))
    assert process.value(edge, 1.0) == pytest.approx(BEST_VALUE, abs=1e-9)
    assert process.value(safe, 1.0) == pytest.approx(-17, abs=1e-9)
    assert q[START].max() == pytest.approx(BEST_VALUE, abs=1e-9)
    discounted = -(1 - 0.9**13) / (1 - 0.9)
    assert process.value(process.optimal(0.9)[0], 0.9) == pytest.approx(discounted)


def test_who_slips_walks_better_at_a_distance():
    process = mdp()
    for exploration in (0.1, 0.3):
        edge, safe = (soft_policy(path(), exploration) for path in (edge_path, safe_path))
        assert process.value(safe, 1.0) > process.value(edge, 1.0) + 10


def test_a_log_agrees_with_the_process():
    process, dataset = mdp(), log(episodes=2000, seed=0)
    policy = soft_policy(safe_path(), 0.4)
    exact = process.value(policy, 1.0, horizon=200)
    returns = dataset.returns()
    assert abs(returns.mean() - exact) < 4 * returns.std() / np.sqrt(2000)
    assert not np.isin(dataset.state_id, [*CLIFF, GOAL]).any()
    assert dataset.propensity.min() == pytest.approx(0.4 / 4)
    assert dataset.lengths.max() <= 200 and dataset.observation.shape[1] == STATES


def test_planning_on_the_log_finds_the_edge_that_nobody_walked():
    process, dataset = mdp(), log(episodes=2000, seed=0)
    assert dataset.returns().max() < BEST_VALUE
    planned = ValueIteration(least_count=1, discount=0.99).fit(dataset).probabilities
    assert process.value(planned, 1.0) == pytest.approx(BEST_VALUE, abs=1e-9)
