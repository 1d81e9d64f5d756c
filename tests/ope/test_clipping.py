"""Caps on weights, by hand and against a process that is known."""

import numpy as np
import pytest

from stitchrl.ope.base import Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.clipping import clipped
from stitchrl.ope.weights import Weights
from stitchrl.problems.exact import Bandit

UNIT = ReturnBounds(0.0, 1.0, Source.DECLARED)


def weights_of(*values: float) -> Weights:
    with np.errstate(divide="ignore"):
        return Weights(np.log(np.array(values)), np.arange(len(values)))


def test_by_hand():
    found = clipped(weights_of(0.5, 0.5, 3.0), np.array([0.0, 1.0, 1.0]), UNIT, cap=1.0)
    assert found.value == pytest.approx(0.75)
    assert found.clipped_share == pytest.approx(1 / 3)
    assert (found.lost, found.low) == pytest.approx((1 / 3, 0.5))
    assert found.high == pytest.approx(0.5 + 1 / 3)


def test_a_high_cap_changes_nothing():
    weights, returns = weights_of(0.0, 0.5, 2.5), np.array([1.0, 0.0, 1.0])
    found = clipped(weights, returns, UNIT, cap=100.0)
    assert found.value == pytest.approx(2.5 / 3)
    assert (found.clipped_share, found.lost) == (0, 0)
    assert found.low == found.high == pytest.approx(2.5 / 3)


def test_no_weight_says_nothing():
    found = clipped(weights_of(0.0, 0.0), np.array([1.0, 0.0]), UNIT, cap=2.0)
    assert np.isnan(found.value)
    assert (found.lost, found.low, found.high) == (1, 0, 1)


def test_the_truth_lies_between_the_ends():
    """Of a bandit with its probabilities as frequencies: nothing is left to chance."""
    problem = Bandit()
    arms = np.repeat(np.arange(3), [50, 30, 20])
    ratio = np.array(problem.target) / np.array(problem.behavior)
    rewards = np.array([0.2, 0.5, 0.9])[arms]
    for cap in (0.5, 1.0, 2.0, 3.4):
        found = clipped(weights_of(*ratio[arms]), rewards, UNIT, cap=cap)
        assert found.low < problem.value < found.high
        assert found.high - found.low == pytest.approx(found.lost)
    whole = clipped(weights_of(*ratio[arms]), rewards, UNIT, cap=3.6)
    assert whole.low == pytest.approx(problem.value)


def test_a_cap_is_above_zero():
    with pytest.raises(ValueError, match="'cap' must be above 0, but is 0"):
        clipped(weights_of(1.0), np.ones(1), UNIT, cap=0.0)
