"""SLOPE by hand, and against the truth where bias is traded for variance."""

import numpy as np
import pytest

from stitchrl.ope.base import Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.clipping import clipped
from stitchrl.ope.kernels import kernel_weights
from stitchrl.ope.slope import slope
from stitchrl.ope.weights import Weights


def test_by_hand():
    """[.1, .9], [.3, .7], [.55, .65] meet in [.55, .65]; [.71, .73] does not."""
    assert slope([0.5, 0.5, 0.6, 0.72], [0.2, 0.1, 0.025, 0.005]) == 2
    # Meeting the last one before is not enough: [0, .2], [.15, .35], [.3, .32].
    assert slope([0.1, 0.25, 0.31], [0.05, 0.05, 0.005]) == 1


def test_an_estimate_varies_at_least_as_much_as_those_after_it():
    """One episode carries all weight: .9 with deviation 0 must not end the search."""
    assert slope([0.9, 0.6, 0.55], [0.0, 0.2, 0.1]) == 2


def test_caps_help_where_weights_are_heavy():
    """Log-normal weights, returns that know nothing of them: the truth is one half."""
    bounds, caps = ReturnBounds(0.0, 1.0, Source.DECLARED), (np.inf, 100, 30, 10, 5, 2, 1)
    errors = np.zeros((100, 2))
    for seed in range(100):
        rng = np.random.default_rng(seed)
        weights = Weights(4 * rng.standard_normal(200), np.arange(200))
        returns = rng.random(200)
        found = [clipped(weights, returns, bounds, cap=float(cap)) for cap in caps]
        place = slope([one.value for one in found], [one.deviation for one in found])
        errors[seed] = [abs(one.value - 0.5) for one in (found[place], found[0])]
    chosen, whole = errors.mean(axis=0)
    assert chosen < 0.55 * whole  # In the order of what deviations say: no better.


def test_what_is_no_number_is_passed_over():
    assert slope([np.nan, 0.5, 0.5], [0.1, 0.2, np.nan]) == 1
    with pytest.raises(ValueError, match="all are NaN"):
        slope([np.nan], [0.1])


def test_it_finds_a_good_width_of_a_kernel():
    """Logged a ~ U(-1, 1), the policy does .3, the reward is cos(3 a): worth cos .9."""
    truth, widths = np.cos(0.9), (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
    errors = {"slope": 0.0, **{width: 0.0 for width in widths}}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        action = rng.uniform(-1, 1, 2_000)
        reward = np.cos(3 * action) + rng.standard_normal(2_000)
        found, spread = [], []
        for width in widths:
            weight = kernel_weights(
                action, np.full(2_000, 0.3), np.full(2_000, 0.5), width=width
            )
            terms = weight * reward
            found.append(terms.mean())
            spread.append(terms.std() / np.sqrt(2_000))
            errors[width] += abs(found[-1] - truth) / 40
        errors["slope"] += abs(found[slope(found, spread)] - truth) / 40
    chosen = errors.pop("slope")
    assert chosen < 3 * min(errors.values())  # A small multiple, as Su et al. prove.
    assert chosen < 0.4 * errors[0.8]


def test_clipped_weights_say_how_much_they_vary():
    """Weights 1, 2, 4 and returns 0, 1, 1 under the cap 2: value .8."""
    weights = Weights(np.log([1.0, 2.0, 4.0]), np.arange(3))
    bounds = ReturnBounds(0.0, 1.0, Source.DECLARED)
    found = clipped(weights, np.array([0.0, 1.0, 1.0]), bounds, cap=2.0)
    assert found.value == pytest.approx(0.8)
    # √(1² · .8² + 2² · .2² + 2² · .2²) / 5
    assert found.deviation == pytest.approx(np.sqrt(0.96) / 5)
