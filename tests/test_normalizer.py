"""Scaling of observations and rewards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.dataset import Choices, Dataset
from stitchrl.normalizer import Normalizer
from stitchrl.rewards import RewardTransform


def log(observation) -> Dataset:
    size = len(observation)
    return Dataset.create(
        observation=observation,
        action=np.zeros(size),
        reward=np.zeros(size),
        terminated=np.ones(size, bool),
        truncated=np.zeros(size, bool),
        actions=Choices(("a", "b")),
    )


def test_it_removes_mean_and_standard_deviation():
    raw = np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0], [7.0, 40.0]])
    normalizer = Normalizer.fit(log(raw))
    np.testing.assert_allclose(normalizer.mean, [4, 25])
    np.testing.assert_allclose(normalizer.scale, [np.sqrt(5) + 1e-3, 15 + 1e-3], rtol=1e-6)
    scaled = jax.vmap(normalizer)(jnp.asarray(raw, jnp.float32))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-3)


def test_missing_values_become_the_mean_and_do_not_shift_it():
    normalizer = Normalizer.fit(log([[1.0], [np.nan], [5.0]]))
    assert normalizer.mean == 3.0 and normalizer.scale == pytest.approx(2 + 1e-3)
    assert normalizer(jnp.array([jnp.nan])) == 0.0 == normalizer(jnp.array([3.0]))


def test_features_that_never_change_or_never_come_stay_finite():
    normalizer = Normalizer.fit(log([[0.1, np.nan]] * 3))
    np.testing.assert_allclose(normalizer.mean, [0.1, 0.0], rtol=1e-6)
    np.testing.assert_allclose(normalizer.scale, [1e-3, 1e-3], rtol=1e-4)
    seen = normalizer(jnp.array([0.1, jnp.nan], jnp.float32))
    np.testing.assert_array_equal(seen, [0.0, 0.0])


def test_large_offsets_keep_their_spread():
    """In float32 the variance of 1e6 + {0, 1, 2} would be lost."""
    normalizer = Normalizer.fit(log(1e6 + np.array([[0.0], [1.0], [2.0]])))
    assert normalizer.scale == pytest.approx(np.sqrt(2 / 3) + 1e-3, rel=1e-5)


def test_identity_leaves_observations_as_they_are():
    seen = Normalizer.identity(2)(jnp.array([3.0, -1e5]))
    np.testing.assert_array_equal(seen, [3.0, -1e5])


def test_reward_transform_scales_then_shifts():
    transform = RewardTransform(scale=10.0, shift=-5.0, name="antmaze")
    np.testing.assert_array_equal(transform(np.array([0.0, 1.0])), [-5.0, 5.0])
    np.testing.assert_array_equal(RewardTransform()(np.array([2.0])), [2.0])
