"""Noise within bounds, and linear policies that act with it."""

import numpy as np
import pytest
from scipy import stats

from stitchrl.zoo import truncated
from stitchrl.zoo.linear import Linear

CASES = [(0.0, 0.3), (0.9, 0.2), (-1.0, 0.1), (1.0, 2.0)]


def reference(mean, std):
    return stats.truncnorm((-1 - mean) / std, (1 - mean) / std, loc=mean, scale=std)


@pytest.mark.parametrize("mean, std", CASES)
def test_densities_are_those_of_scipy_and_integrate_to_one(mean, std):
    grid = np.linspace(-1, 1, 20_001)
    found = truncated.log_density(grid, np.full_like(grid, mean), np.full_like(grid, std))
    np.testing.assert_allclose(found, reference(mean, std).logpdf(grid), atol=1e-8)
    assert np.trapezoid(np.exp(found), grid) == pytest.approx(1, abs=1e-5)


def test_outside_of_the_bounds_there_is_no_density():
    assert truncated.log_density(np.array([1.01]), np.zeros(1), np.ones(1)) == -np.inf


@pytest.mark.parametrize("mean, std", CASES)
def test_draws_have_this_density_and_no_atoms(mean, std):
    rng = np.random.default_rng(0)
    drawn = truncated.draw(np.full(20_000, mean), np.full(20_000, std), rng)
    assert drawn.dtype == np.float32 and abs(drawn).max() <= 1
    assert (abs(drawn) == 1).mean() < 1e-3
    assert stats.kstest(drawn, reference(mean, std).cdf).pvalue > 1e-3


def linear(std):
    rng = np.random.default_rng(1)
    return Linear(rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3)), std)


def test_linear_policies_take_turns_between_episodes():
    players, observation = linear(None), np.ones((3, 5), np.float32) * 0.1
    action, _ = players.act(players.start(3, seed=0), observation, np.zeros(3))
    for episode, policy in enumerate([0, 1, 0]):
        whole = players.weights[policy] @ observation[episode] + players.bias[policy]
        np.testing.assert_allclose(action[episode], np.clip(whole, -1, 1), rtol=1e-6)


def test_the_density_of_a_decision_is_the_product_of_its_dimensions():
    players = linear(np.array([0.1, 0.3]))
    observation = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    action, (policy, _) = players.act(players.start(4, seed=0), observation, np.zeros(4))
    found = players.density(observation, action, policy)
    mean = players.mean(observation, policy)
    std = players.std[policy][:, None]
    expected = reference(mean, std).pdf(action.astype(np.float64)).prod(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.array_equal(found, found.astype(np.float32))
