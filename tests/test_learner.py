"""Optimizer steps, Polyak averages and the cosine."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stitchrl.learner import Learner, cosine_decay, move_towards


def loss(network, other):
    value = (network["w"] * other["w"]).sum()
    return value, {"value": value}


def test_minimize_moves_the_network_only_and_reports_what_was_before():
    sgd = optax.sgd(0.5)
    learner = Learner.create({"w": jnp.array([1.0, 2.0])}, sgd)
    after, metrics = learner.minimize(loss, {"w": jnp.array([4.0, -2.0])}, optimizer=sgd)
    np.testing.assert_array_equal(after.network["w"], [1 - 2.0, 2 + 1.0])
    assert metrics == {"value": 0.0}
    np.testing.assert_array_equal(learner.network["w"], [1.0, 2.0])


def test_minimize_carries_the_state_of_the_optimizer():
    adam = optax.adam(0.1)
    learner = Learner.create({"w": jnp.array([1.0])}, adam)
    for slope in (4.0, -2.0):
        learner, _ = learner.minimize(loss, {"w": jnp.array([slope])}, optimizer=adam)
    mean = (0.9 * 0.4 - 0.2) / (1 - 0.81)
    square = (0.999 * 0.016 + 0.004) / (1 - 0.999**2)
    np.testing.assert_allclose(
        learner.network["w"], [0.9 - 0.1 * mean / np.sqrt(square)], rtol=1e-5
    )


def test_move_towards_moves_the_target_by_the_rate():
    target, source = {"w": jnp.array([0.0, 4.0])}, {"w": jnp.array([10.0, 0.0])}
    moved = move_towards(target, source=source, rate=0.1)
    np.testing.assert_allclose(moved["w"], [1.0, 3.6], rtol=1e-6)
    still = move_towards(target, source=source, rate=0.0)
    np.testing.assert_array_equal(still["w"], target["w"])


@pytest.mark.parametrize("total", [1, 7, 1000])
def test_cosine_decay_is_that_of_optax(total: int):
    ours, theirs = (
        cosine_decay(3e-4, float(total)),
        optax.cosine_decay_schedule(3e-4, total),
    )
    for count in (0, 1, total // 2, total, 2 * total):
        np.testing.assert_allclose(ours(count), theirs(count), rtol=1e-5, atol=1e-11)
    assert ours(0) == pytest.approx(3e-4) and ours(total) == pytest.approx(0, abs=1e-11)


def test_cosine_decay_can_be_swept():
    rates = jax.vmap(lambda total: cosine_decay(1.0, total)(5))(
        jnp.array([5.0, 10.0, 20.0])
    )
    expected = [0, 0.5, 0.5 * (1 + np.cos(np.pi / 4))]
    np.testing.assert_allclose(rates, expected, atol=1e-6)
