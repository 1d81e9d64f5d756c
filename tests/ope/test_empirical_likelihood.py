"""Empirical likelihood: closed forms of coins, by hand, and what must not change it."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from stitchrl.ope.empirical_likelihood import deviance, weighted_mean

LIMIT = chi2.ppf(0.95, 1)


def of(weight, value, level=0.95):
    weight, value = np.asarray(weight, float), np.asarray(value, float)
    return weighted_mean(weight, weight * value, level=level)


def coin(share: float, hits: float, misses: float) -> float:
    """-2 log likelihood ratio of a binomial share."""
    n = hits + misses
    return 2 * (hits * np.log(hits / n / share) + misses * np.log(misses / n / (1 - share)))


@pytest.mark.parametrize(("hits", "misses"), [(7, 3), (1, 29), (50, 50)])
def test_of_a_coin_it_is_the_likelihood_ratio_with_one_more_toss(hits, misses):
    """One more miss for the lower end, one more hit for the upper."""
    found = of(np.ones(hits + misses), [1] * hits + [0] * misses)
    low = brentq(
        lambda p: coin(p, hits, misses + 1) - LIMIT, 1e-9, hits / (hits + misses + 1)
    )
    top = (hits + 1) / (hits + misses + 1)
    high = brentq(lambda p: coin(p, hits + 1, misses) - LIMIT, top, 1 - 1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_no_hits_and_no_misses():
    never, always = of(np.ones(20), np.zeros(20)), of(np.ones(20), np.ones(20))
    assert never.low == 0 and always.high == 1
    assert never.high == pytest.approx(1 - always.low, abs=1e-9)
    # (1 + n) log(1 + n) + log m + n log((1 - m) / n) = -limit / 2.
    inside = 21 * np.log(21) + np.log(never.high) + 20 * np.log((1 - never.high) / 20)
    assert -2 * inside == pytest.approx(LIMIT, abs=1e-6)


def test_the_deviance_by_hand():
    """Of -1 and 2, a mean of 0 takes probabilities 2/3 and 1/3."""
    expected = -2 * (np.log(2 * 2 / 3) + np.log(2 * 1 / 3))
    assert deviance(np.array([-1.0, 2.0])) == pytest.approx(expected, abs=1e-12)
    assert deviance(np.array([-1.0, 1.0])) == 0
    assert deviance(np.array([0.0, 1.0])) == np.inf


def test_the_deviance_is_the_best_reweighting():
    """Against a general optimizer over probabilities."""
    values = np.array([-0.4, -0.1, 0.3, 0.5, 1.2])
    found = minimize(
        lambda p: -2 * np.log(5 * p).sum(),
        np.array([0.6, 0.2, 0.1, 0.05, 0.05]),
        bounds=[(1e-9, 1)] * 5,
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1},
            {"type": "eq", "fun": lambda p: p @ values},
        ],
        options={"ftol": 1e-14},
    )
    assert deviance(values) == pytest.approx(found.fun, abs=1e-6)


def test_ends_lie_on_the_limit():
    """Computed once more, at the ends, with the group that is added."""
    rng = np.random.default_rng(3)
    weight, value = rng.exponential(size=80) ** 2, rng.random(80)
    found = of(weight, value)
    heavy = (weight**2).sum() / weight.sum()
    low = np.append(weight * (value - found.low), -heavy * found.low)
    high = -np.append(weight * (value - found.high), heavy * (1 - found.high))
    assert deviance(low) == pytest.approx(LIMIT, abs=1e-6)
    assert deviance(high) == pytest.approx(LIMIT, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_scale_order_and_sides(seed):
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=rng.integers(3, 40)) ** rng.integers(0, 4)
    value, scale = rng.random(len(weight)), 10.0 ** rng.choice([-200, -3, 3, 200])
    found = of(weight, value)
    assert 0 <= found.low <= weight @ value / weight.sum() <= found.high <= 1
    order = rng.permutation(len(weight))
    again = of(scale * weight[order], value[order])
    assert (again.low, again.high) == pytest.approx((found.low, found.high), abs=1e-8)
    mirrored = of(weight, 1 - value)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(
        (found.low, found.high), abs=1e-8
    )
    sure = of(weight, value, level=0.99)
    assert sure.low <= found.low and sure.high >= found.high


def test_one_episode_with_all_the_weight_says_little():
    """By itself the log would leave nothing but its return."""
    weight = np.full(100, 1e-9)
    weight[0] = 1.0
    found = of(weight, np.ones(100))
    assert found.low < 0.05 and found.high == 1.0
