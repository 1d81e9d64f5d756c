"""Weights of whole episodes: by hand, in log space, with groups as units."""

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.ope.weights import Weights, log_ratio


def weights_of(values, group=None) -> Weights:
    values = np.asarray(values, float)
    group = np.arange(len(values)) if group is None else np.array(group)
    with np.errstate(divide="ignore"):
        return Weights(np.log(values), group)


def test_log_ratio_of_a_mixture_is_exact():
    policy, propensity = np.array([0.9, 0.0, 0.3]), np.array([0.3, 0.5, 0.3])
    np.testing.assert_allclose(
        log_ratio(policy, propensity, share=0.2), np.log([0.8 + 0.6, 0.8, 1.0])
    )
    with np.errstate(divide="raise"):
        assert log_ratio(policy, propensity)[1] == -np.inf
    np.testing.assert_array_equal(log_ratio(policy, propensity, share=0.0), 0.0)


def test_ratios_multiply_along_episodes():
    dataset = write_log([[(0, 0, 0), (1, 0, 0)], [(0, 1, 1)], [(2, 0, 0), (3, 1, 0)]])
    weights = Weights.of(dataset, np.log([2.0, 3.0, 0.5, 0.25, 4.0]))
    np.testing.assert_allclose(weights.values, [6, 0.5, 1])
    np.testing.assert_allclose(weights.relative, [1, 0.5 / 6, 1 / 6])
    assert weights.effective_size == pytest.approx(7.5**2 / (36 + 0.25 + 1))
    assert weights.mean == pytest.approx(2.5)
    assert weights.mean_error == pytest.approx(np.std([6, 0.5, 1], ddof=1) / np.sqrt(3))
    assert weights.largest_share == pytest.approx(6 / 7.5)


def test_equal_weights_count_every_episode():
    weights = weights_of([1, 1, 1, 1])
    assert (weights.effective_size, weights.mean, weights.mean_error) == (4, 1, 0)


def test_groups_are_the_units():
    """Two episodes of one patient are not two patients: W by group is 3, 1."""
    weights = weights_of([1, 2, 1], group=[0, 0, 1])
    assert weights.groups == 2
    assert weights.effective_size == pytest.approx(16 / 10)
    assert weights.largest_share == pytest.approx(3 / 4)
    assert weights.mean == pytest.approx(4 / 3)
    residual = np.array([3 - 8 / 3, 1 - 4 / 3])
    assert weights.mean_error == pytest.approx(np.sqrt(2 * (residual**2).sum()) / 3)
    assert weights_of([1, 2], group=[0, 0]).mean_error == np.inf


def test_no_weight_at_all():
    weights = weights_of([0, 0])
    assert (weights.effective_size, weights.largest_share, weights.mean) == (0, 0, 0)


def test_long_episodes_do_not_overflow():
    weights = Weights(np.array([5000.0, 5000.0, -5000.0]), np.arange(3))
    assert weights.effective_size == pytest.approx(2)
    assert np.isfinite(weights.mean) and np.isfinite(weights.values).all()
