"""In-sample critics: how a policy is drawn from them, and the Gumbel loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.extraction import mean_value
from stitchrl.algorithms.iql import IQL
from stitchrl.losses import gumbel_loss, huber
from stitchrl.networks import Critics
from stitchrl.policies import Categorical
from stitchrl.problems.bandits import one_step, regret
from stitchrl.spaces import Discrete, Masked, Spec
from stitchrl.testing import KINDS, checks_of
from stitchrl.testing.subject import Subject

ASCENT = IQL(extraction="ac_bc", clone_weight=0.1, hidden=(32, 32), batch_size=64)


@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_ascent_conforms(kind: str):
    for check in checks_of(dataclasses.replace(ASCENT, hidden=(8, 8)), kinds=[kind]):
        check.run()


@pytest.mark.parametrize("kind", KINDS)
def test_ascent_reaches_the_known_answer(kind: str):
    dataset = one_step(kind)
    algorithm = dataclasses.replace(ASCENT, learning_rate=3e-3, total_updates=1000.0)
    subject = Subject(algorithm, kind, dataset)
    run = subject.start(jax.random.key(1))
    for _ in range(100):
        run = subject.half(run)
    action = subject.act(algorithm, run.state, run.key)["mode"]
    assert regret(dataset, np.asarray(action)) < 0.01


def test_forbidden_actions_count_for_nothing_in_value_and_slope():
    spec = Spec(2, Discrete(3))
    actor = Categorical.create(jax.random.key(0), spec, (4,))
    critics = Critics.create(jax.random.key(1), spec, (4,))
    observation = Masked(jnp.ones(2), jnp.array([True, False, False]))
    value, slope = jax.value_and_grad(mean_value)(actor, critics, observation)
    assert value == critics.row(observation)[:, 0].min()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_the_minimizer_of_the_gumbel_loss_is_a_soft_maximum():
    q, temperature = jnp.array([0.0, 1.0, 3.0]), 0.5
    soft = temperature * jnp.log(jnp.exp(q / temperature).mean())

    def loss(v: jax.Array) -> jax.Array:
        return gumbel_loss((q - v) / temperature, 100.0).mean()

    assert abs(jax.grad(loss)(soft)) < 1e-6
    assert jax.grad(loss)(soft - 0.1) < 0 < jax.grad(loss)(soft + 0.1)


def test_the_gumbel_loss_is_finite_however_large_the_error():
    z = jnp.array([0.0, 1e4, -1e4, 500.0])
    loss, slope = jax.vmap(jax.value_and_grad(lambda z: gumbel_loss(z[None], 1e3)[0]))(z)
    assert np.isfinite(loss).all() and np.isfinite(slope).all()
    together = gumbel_loss(z, 7.0)
    np.testing.assert_allclose(together[1], 1 - 8 * np.exp(-7), rtol=1e-5)
    np.testing.assert_array_equal(together[1], together[3])  # Both are clipped.


def test_the_divisor_of_the_gumbel_loss_is_at_least_that_of_minus_one():
    z = jnp.array([-5.0, -4.0])
    expected = (np.exp([-5.0, -4.0]) + [4.0, 3.0]) * np.exp(1)
    np.testing.assert_allclose(gumbel_loss(z, 7.0), expected, rtol=1e-5)


def test_the_threshold_of_the_huber_loss():
    error = jnp.array([-30.0, -1.0, 0.5, 20.0, 25.0])
    expected = [400.0, 0.5, 0.125, 200.0, 300.0]
    np.testing.assert_allclose(huber(error, 20.0), expected)
