"""What is still possible: from rewards, from returns, over what remains."""

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.ope.base import Source
from stitchrl.ope.bounds import return_bounds, return_to_go_bounds, returns_to_go

EPISODES = [[(0, 0, 1.0), (1, 0, -1.0), (2, 0, 2.0)], [(0, 1, 0.5)]]


def test_returns_to_go_by_hand():
    dataset = write_log(EPISODES)
    np.testing.assert_allclose(returns_to_go(dataset, 1.0), [2, 1, 2, 0.5])
    np.testing.assert_allclose(returns_to_go(dataset, 0.5), [1, 0, 2, 0.5])
    firsts = returns_to_go(dataset, 0.9)[dataset.first_row]
    np.testing.assert_allclose(firsts, dataset.returns(0.9))


def test_reward_bounds_and_remaining_steps():
    dataset = write_log(
        EPISODES, final_states=[3, -1], reward_bounds=(-1.0, 2.0), horizon=4
    )
    bounds = return_to_go_bounds(dataset, 1.0)
    assert bounds.source is Source.DECLARED
    np.testing.assert_allclose(bounds.low, [-4, -3, -2, -4])
    np.testing.assert_allclose(bounds.high, [8, 6, 4, 8])
    np.testing.assert_allclose([bounds.final_low[0], bounds.final_high[0]], [-1, 2])
    discounted = return_to_go_bounds(dataset, 0.5)
    np.testing.assert_allclose(discounted.high, [3.75, 3.5, 3, 3.75])
    whole = return_bounds(dataset, 1.0)
    assert (whole.low, whole.high, whole.source) == (-4, 8, Source.DECLARED)


def test_without_a_horizon_a_discount_bounds():
    dataset = write_log(EPISODES, reward_bounds=(-1.0, 2.0))
    bounds = return_bounds(dataset, 0.9)
    assert (bounds.low, bounds.high) == pytest.approx((-10, 20))
    assert bounds.source is Source.DECLARED
    assert return_bounds(dataset, 1.0).source is Source.DATA


def test_rewards_of_one_sign_are_paid_at_least_once():
    dataset = write_log(EPISODES, reward_bounds=(0.5, 2.0), horizon=3)
    np.testing.assert_allclose(return_to_go_bounds(dataset, 1.0).low, 0.5)
    costs = write_log(EPISODES, reward_bounds=(-2.0, -0.5), horizon=3)
    np.testing.assert_allclose(return_to_go_bounds(costs, 1.0).high, -0.5)


def test_return_bounds_less_what_was_earned():
    dataset = write_log(EPISODES, return_bounds=(0.0, 3.0))
    bounds = return_to_go_bounds(dataset, 1.0)
    np.testing.assert_allclose(bounds.low, [0, -1, 0, 0])
    np.testing.assert_allclose(bounds.high, [3, 2, 3, 3])
    assert bounds.source is Source.DECLARED


def test_with_a_discount_return_bounds_bind_rewards_of_one_sign_only():
    dataset = write_log(EPISODES, return_bounds=(0.0, 3.0))
    assert return_to_go_bounds(dataset, 0.9).source is Source.DATA
    survival = [[(0, 0, 0.0), (1, 0, 1.0)], [(0, 1, 0.0)]]
    dataset = write_log(survival, return_bounds=(0.0, 1.0), reward_bounds=(0.0, 1.0))
    bounds = return_to_go_bounds(dataset, 0.9)
    assert bounds.source is Source.DECLARED
    np.testing.assert_allclose([bounds.low, bounds.high], [[0, 0, 0], [1, 1, 1]])


def test_else_what_the_log_shows_with_that_label():
    dataset = write_log(EPISODES)
    bounds = return_to_go_bounds(dataset, 1.0)
    assert bounds.source is Source.DATA
    assert (bounds.low[0], bounds.high[0]) == (0.5, 2)
    whole = return_bounds(dataset, 1.0)
    assert (whole.low, whole.high, whole.source) == (0.5, 2, Source.DATA)


def test_scaling_goes_there_and_back():
    bounds = return_bounds(write_log(EPISODES, return_bounds=(-1.0, 3.0)), 1.0)
    np.testing.assert_allclose(bounds.scale(np.array([-1.0, 1.0, 3.0])), [0, 0.5, 1])
    assert bounds.unscale(0.25) == 0.0
    constant = return_bounds(write_log([[(0, 0, 2.0)], [(0, 1, 2.0)]]), 1.0)
    np.testing.assert_array_equal(constant.scale(np.array([2.0])), 0.0)
    assert constant.unscale(1.0) == 2.0
