"""Loss terms against numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.experience import Transition
from stitchrl.losses import (
    bellman_target,
    double_q_value,
    ensemble_error,
    expectile_loss,
    huber,
    td_target,
)
from stitchrl.networks import MLP, ActionTable, Critics, Linear
from stitchrl.spaces import Masked


def test_expectile_loss_weighs_underestimates_by_the_expectile():
    loss = expectile_loss(jnp.array([2.0, -2.0, 0.0]), 0.9)
    np.testing.assert_allclose(loss, [0.9 * 4, 0.1 * 4, 0.0], rtol=1e-6)


@pytest.mark.parametrize("expectile", [0.1, 0.5, 0.7, 0.9])
def test_the_minimizer_is_the_expectile(expectile: float):
    """v solves τ Σ max(q - v, 0) = (1 - τ) Σ max(v - q, 0); for τ = ½ it is the mean."""
    q = jnp.array([0.0, 1.0, 5.0, 2.0])
    slope = jax.grad(lambda v: expectile_loss(q - v, expectile).sum())
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(jnp.float32(middle)) < 0 else (low, middle)
    v, numbers = (low + high) / 2, np.asarray(q, float)
    above, below = np.maximum(numbers - v, 0).sum(), np.maximum(v - numbers, 0).sum()
    assert expectile * above == pytest.approx((1 - expectile) * below, rel=1e-5)
    if expectile == 0.5:
        assert v == pytest.approx(2.0, abs=1e-5)
    assert (v > 2.0) == (expectile > 0.5) or expectile == 0.5


def test_bellman_target_bootstraps_only_before_termination():
    reward, ended = jnp.array([1.0, 1.0]), jnp.array([False, True])
    target = bellman_target(reward, ended, 0.5, jnp.array([2.0, 2.0]))
    np.testing.assert_array_equal(target, [2.0, 1.0])
    unknown = bellman_target(reward, ended, 0.5, jnp.array([2.0, jnp.nan]))
    np.testing.assert_array_equal(unknown, [2.0, 1.0])


def test_td_target_discounts_by_the_steps_of_each_transition():
    o = jnp.zeros((3, 1))
    ended = jnp.array([False, False, True])
    one = Transition(o, jnp.zeros(3, jnp.int32), jnp.array([1.0, 2.0, 3.0]), o, ended)
    value = jnp.array([8.0, 8.0, jnp.nan])
    np.testing.assert_array_equal(td_target(one, 0.5, value), [5.0, 6.0, 3.0])
    several = one._replace(steps=jnp.array([1, 3, 2]))
    np.testing.assert_array_equal(td_target(several, 0.5, value), [5.0, 3.0, 3.0])
    np.testing.assert_array_equal(td_target(several, 1.0, value), [9.0, 10.0, 3.0])
    swept = jax.vmap(lambda discount: td_target(several, discount, value))
    found = swept(jnp.array([0.0, 0.5]))
    np.testing.assert_array_equal(found, [[1.0, 2.0, 3.0], [5.0, 3.0, 3.0]])


def test_ensemble_error_is_summed_over_members_without_a_half():
    q, target = jnp.array([[1.0, 3.0], [0.0, 2.0]]), jnp.array([2.0, 0.0])
    np.testing.assert_array_equal(ensemble_error(q, target), [1 + 1, 0 + 4])


def test_huber_is_quadratic_within_one_and_linear_beyond():
    error = jnp.array([0.0, 0.5, -1.0, 2.0, -3.0])
    np.testing.assert_allclose(huber(error), [0, 0.125, 0.5, 1.5, 2.5])
    slopes = jax.vmap(jax.grad(huber))(error)
    np.testing.assert_allclose(slopes, [0, 0.5, -1, 1, -1])


def tables(*rows: list[float]) -> Critics:
    """Critics whose values are these, in every state."""

    def table(bias: jax.Array) -> ActionTable:
        return ActionTable(MLP((Linear(jnp.zeros((1, bias.shape[0])), bias),)))

    return Critics(jax.vmap(table)(jnp.array(rows)))


FREE = jnp.zeros((1, 1))
SECOND_CLOSED = Masked(FREE, jnp.array([[True, False, True]]))


def test_double_q_chooses_online_and_values_slowly():
    online, slow = tables([1.0, 5.0, 2.0], [1.0, 3.0, 4.0]), tables([10.0, 20.0, 40.0])
    # Means over the online critics: 1, 4, 3.
    np.testing.assert_array_equal(double_q_value(online, slow, FREE), [20.0])
    np.testing.assert_array_equal(double_q_value(online, slow, SECOND_CLOSED), [40.0])
    np.testing.assert_array_equal(double_q_value(slow, online, FREE), [3.0])
