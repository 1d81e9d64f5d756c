"""The tail of weights: shapes that are known, and weights that have no tail."""

import numpy as np
import pytest
from scipy.stats import genpareto

from stitchrl.ope.tails import fitted_shape, pareto_shape
from stitchrl.ope.weights import Weights


def weighed(values) -> Weights:
    with np.errstate(divide="ignore"):
        return Weights(np.log(np.asarray(values, float)), np.arange(len(values)))


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.5, 0.9, 1.5])
def test_the_shape_of_a_known_distribution(shape):
    excess = np.sort(genpareto.rvs(shape, size=20_000, random_state=0))
    assert fitted_shape(excess) == pytest.approx(shape, abs=0.03)
    assert fitted_shape(1000 * excess) == pytest.approx(fitted_shape(excess), abs=1e-9)


def test_few_weights_are_drawn_towards_a_half():
    few = np.arange(1.0, 11.0)
    many = np.sort(np.repeat(few, 100))
    assert fitted_shape(many) < fitted_shape(few) < 0.5


@pytest.mark.parametrize("deviation, is_heavy", [(0.3, False), (3.0, True)])
def test_of_log_normal_weights(deviation, is_heavy):
    """All have a variance, but 2,000 of the wide ones do not show it."""
    log = deviation * np.random.default_rng(0).standard_normal(2_000)
    assert (pareto_shape(Weights(log, np.arange(2_000))) >= 0.7) == is_heavy


def test_what_has_no_tail():
    assert pareto_shape(weighed([0.2, 0.7, 3.5] * 100)) == -np.inf
    assert np.isnan(pareto_shape(weighed(np.arange(20.0))))  # Four make no tail.
    assert np.isnan(pareto_shape(weighed([0.0] * 99 + [1.0])))


def test_groups_are_units():
    rng = np.random.default_rng(1)
    values = rng.pareto(2, 600)
    twice = Weights(np.log(np.repeat(values, 2)), np.repeat(np.arange(600), 2))
    assert pareto_shape(twice) == pytest.approx(pareto_shape(weighed(values)), abs=1e-9)
