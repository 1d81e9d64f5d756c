"""Calibration: by hand, of true models and of wrong ones."""

import numpy as np
import pytest
from scipy.stats import norm

from stitchrl.behavior.calibration import information, reliability, uniformity


def draw(rows: np.ndarray, seed: int) -> np.ndarray:
    uniform = np.random.default_rng(seed).random((len(rows), 1))
    return (rows.cumsum(axis=1) < uniform).sum(axis=1)


def test_the_usual_error_of_two_actions_by_hand():
    """.8 for the action that is taken half the time: off by .3, in both bins."""
    probabilities = np.tile([0.8, 0.2], (10, 1))
    action = np.array([0, 1] * 5)
    found = reliability(probabilities, action)
    np.testing.assert_allclose(found.predicted, [0.2, 0.8])
    np.testing.assert_allclose(found.observed, [0.5, 0.5])
    np.testing.assert_array_equal(found.count, [10, 10])
    assert found.error == pytest.approx(0.3)


def test_a_model_that_is_always_wrong_is_off_by_all():
    found = reliability(np.tile([1.0, 0.0, 0.0], (5, 1)), np.ones(5, int))
    assert found.error == pytest.approx(1.0)


def test_many_actions_do_not_dilute_the_error():
    """The same miscalibration with 23 actions of probability 0 beside."""
    two = np.tile([0.8, 0.2], (10, 1))
    many = np.hstack([two, np.zeros((10, 23))])
    action = np.array([0, 1] * 5)
    assert reliability(many, action).error == pytest.approx(reliability(two, action).error)


def test_true_models_are_calibrated_and_sharpened_ones_not():
    rows = np.random.default_rng(0).dirichlet(np.full(5, 0.5), size=20_000)
    action = draw(rows, seed=1)
    assert reliability(rows, action).error < 0.02
    sharp = rows**2 / (rows**2).sum(axis=1, keepdims=True)
    assert reliability(sharp, action).error > 0.08


def test_bins_hold_equal_probability():
    rows = np.random.default_rng(2).dirichlet(np.ones(4), size=5000)
    found = reliability(rows, draw(rows, seed=3), bins=8)
    mass = found.predicted * found.count
    assert len(mass) == 8
    np.testing.assert_allclose(mass, 5000 / 8, rtol=0.01)
    assert (np.diff(found.predicted) > 0).all()


def test_bits_explained_by_hand():
    """The model knows which of two coins is thrown; on average heads are half."""
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.25, 0.75]] * 4)
    action = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    found = information(probabilities, action)
    loss = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert found.log_loss == pytest.approx(loss)
    assert found.entropy == pytest.approx(1)
    assert found.bits_explained == pytest.approx(1 - loss)
    assert information(np.array([[1.0, 0.0]]), np.array([1])).log_loss == np.inf


def test_transforms_of_a_true_model_are_uniform():
    rng = np.random.default_rng(4)
    true = rng.random((5000, 2))
    assert uniformity(true).error < 0.02
    wide = true.copy()  # A normal model three times too wide: Φ(z / 3).
    wide[:, 1] = norm.cdf(norm.ppf(true[:, 1]) / 3)
    found = uniformity(wide)
    at = norm.cdf(3 * norm.ppf(np.arange(1, 10) / 10))
    share = np.diff([0.0, *at, 1.0])
    np.testing.assert_allclose(found.shares, share, atol=0.02)
    assert found.error == pytest.approx(0.5 * np.abs(share - 0.1).sum(), abs=0.02)


def test_uniformity_by_hand():
    """In four bins: 2, 0, 1, 1 of 4, where one each is right: one has to move."""
    found = uniformity(np.array([[0.0], [0.2], [0.6], [1.0]]), bins=4)
    np.testing.assert_allclose(found.shares, [0.5, 0.0, 0.25, 0.25])
    assert found.error == pytest.approx(0.25)
