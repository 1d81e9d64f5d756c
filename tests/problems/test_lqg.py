"""Exact values of the continuous problem, and logs that agree with them."""

import numpy as np
import pytest

from stitchrl.problems.lqg import (
    BEHAVIOR,
    LQG,
    TARGET,
    LinearGaussian,
    weight_second_moment,
)


def test_values():
    lqg = LQG()
    assert lqg.value(TARGET, 0.95) == pytest.approx(-2.252765957447, abs=5e-13)
    assert lqg.value(TARGET, 0.95, horizon=20) == pytest.approx(-1.991967448164, abs=5e-13)
    assert lqg.value(TARGET, 0.95, horizon=5) == pytest.approx(-1.682703975976, abs=1e-12)
    assert lqg.value(BEHAVIOR, 0.95, horizon=5) == pytest.approx(-2.074460942, abs=5e-10)


def test_the_quadratic_solves_its_bellman_equation():
    lqg, discount = LQG(), 0.95
    curvature, constant = lqg.quadratic_value(TARGET, discount)
    for state in (-1.0, 0.0, 0.7):
        action_square = (0.6 * state) ** 2 + 0.2**2
        next_square = ((0.9 - 0.5 * 0.6) * state) ** 2 + (0.5 * 0.2) ** 2 + 0.1**2
        backup = -(state**2 + 0.1 * action_square)
        backup -= discount * (curvature * next_square + constant)
        assert -(curvature * state**2 + constant) == pytest.approx(backup, abs=1e-12)
    nearly = lqg.quadratic_value(TARGET, discount, horizon=700)
    assert nearly == pytest.approx((curvature, constant), abs=1e-12)


def test_no_other_gain_and_no_exploration_is_better():
    lqg, discount = LQG(), 0.95
    gain = lqg.best_gain(discount)
    best = lqg.value(LinearGaussian(gain, 0.0), discount)
    gains = np.linspace(0.0, 3.0, 301)
    values = [lqg.value(LinearGaussian(one, 0.0), discount) for one in gains]
    assert max(values) <= best + 1e-15
    assert gains[np.argmax(values)] == pytest.approx(gain, abs=0.006)
    assert lqg.value(LinearGaussian(gain, 0.1), discount) < best
    assert lqg.value(TARGET, discount) < best


@pytest.mark.parametrize("policy, horizon", [(TARGET, 20), (BEHAVIOR, 5)])
def test_returns_of_a_log_average_to_the_value(policy, horizon):
    log = LQG().log(policy, episodes=20_000, horizon=horizon, seed=0)
    returns = log.returns(0.95)
    error = returns.std() / np.sqrt(20_000)
    assert error < 0.05
    assert abs(returns.mean() - LQG().value(policy, 0.95, horizon)) < 4 * error


def test_rows_of_a_log_fit_together():
    log = LQG(noise=0.0).log(BEHAVIOR, episodes=50, horizon=4, seed=1)
    assert log.size == 200 and log.episodes == 50 and log.horizon == 4
    assert log.truncated[3::4].all() and log.truncated.sum() == 50
    assert not log.terminated.any() and log.has_next.all()
    state, action = log.observation[:, 0], log.action[:, 0]
    np.testing.assert_allclose(
        log.next_observation[:, 0], 0.9 * state + 0.5 * action, atol=1e-6
    )
    np.testing.assert_allclose(log.reward, -(state**2 + 0.1 * action**2), atol=1e-5)
    error = (action + 0.4 * state) / 0.3
    density = np.exp(-(error**2) / 2) / np.sqrt(2 * np.pi) / 0.3
    np.testing.assert_allclose(log.propensity, density, rtol=1e-4)
    assert abs(error.mean()) < 0.3 and error.std() == pytest.approx(1, abs=0.2)


def test_importance_weights_average_one():
    lqg = LQG()
    log = lqg.log(BEHAVIOR, episodes=40_000, horizon=5, seed=0)
    ratio = TARGET.density(log.observation, log.action)[:, 0] / log.propensity
    weight = np.exp(np.add.reduceat(np.log(ratio), log.first_row))
    assert weight.mean() == pytest.approx(1, abs=0.05)
    value = (weight * log.returns(0.95)).sum() / weight.sum()
    error = np.sqrt((weight**2 * (log.returns(0.95) - value) ** 2).sum()) / weight.sum()
    assert error < 0.06
    assert abs(value - lqg.value(TARGET, 0.95, horizon=5)) < 4 * error
    assert weight.sum() ** 2 / (weight**2).sum() / 40_000 == pytest.approx(0.194, abs=0.03)


def test_second_moment_of_gaussian_weights():
    assert weight_second_moment(0.42, 0.3) == pytest.approx(3.571, abs=5e-4)
    assert weight_second_moment(0.43, 0.3) == np.inf
    assert weight_second_moment(0.3, 0.3) == pytest.approx(1, abs=1e-12)
    assert weight_second_moment(0.3 * 2**0.5 * (1 + 1e-12), 0.3) == np.inf
    draw = 0.3 * np.random.default_rng(0).standard_normal(200_000)
    square = (0.3 / 0.2 * np.exp(draw**2 / 2 * (1 / 0.3**2 - 1 / 0.2**2))) ** 2
    assert weight_second_moment(0.2, 0.3) == pytest.approx(square.mean(), rel=0.02)
