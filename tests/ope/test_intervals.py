"""Intervals: against SciPy, by hand, and by how often they hold."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from stitchrl.ope.base import Interval, Label, Source, corrected_level, difference
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.intervals import (
    bets,
    betting,
    betting_lower,
    clopper_pearson,
    student_t,
)
from stitchrl.ope.weights import Weights

UNIT = ReturnBounds(0.0, 1.0, Source.DECLARED)


def unit_weights(n: int) -> Weights:
    return Weights(np.zeros(n), np.arange(n))


def test_student_t_is_scipys():
    values = np.random.default_rng(0).normal(2.0, 3.0, size=40)
    ours = student_t(values, np.arange(40), level=0.9)
    theirs = ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.label is Label.ASYMPTOTIC


def test_student_t_counts_groups():
    """Every episode logged twice in its group: as wide as logged once."""
    values = np.random.default_rng(1).normal(size=30)
    once = student_t(values, np.arange(30), level=0.95)
    twice = student_t(np.repeat(values, 2), np.repeat(np.arange(30), 2), level=0.95)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=1e-12)
    single = student_t(values, np.zeros(30, int), level=0.95)
    assert (single.low, single.high) == (-np.inf, np.inf)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (78, 100)])
def test_clopper_pearson_is_scipys(hits, n):
    ours = clopper_pearson(hits / n, float(n), level=0.95)
    theirs = binomtest(hits, n).proportion_ci(0.95, "exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_clopper_pearson_without_data_is_everything():
    assert (lambda i: (i.low, i.high))(clopper_pearson(0.5, 0.0, level=0.95)) == (0, 1)


def test_betting_bound_by_hand():
    """K(m) of two observations, 0.5 and 2, computed term by term."""
    values = np.array([0.5, 2.0])
    shares, weights = bets(2)

    def capital(mean):
        grown = [(1 + f * (0.5 / mean - 1)) * (1 + f * (2 / mean - 1)) for f in shares]
        return weights @ np.array(grown)

    low = betting_lower(values, error=0.25)
    assert 0 < low < values.mean()
    assert capital(low) == pytest.approx(4, abs=1e-8)


def test_betting_bound_of_a_single_observation_in_closed_form():
    """Σ p (1 + f (x / m - 1)) = 1 + f̄ (x / m - 1) = 1 / error."""
    shares, weights = bets(1)
    mean_bet = weights @ shares
    expected = 3.0 / (1 + (20 - 1) / mean_bet)
    assert betting_lower(np.array([3.0]), error=0.05) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("size", [1, 2, 30, 1_000, 1_000_000])
def test_bets_are_shares_of_the_capital(size):
    """Whatever the size: a distribution over (0, 1), around 2 / √n where that is small."""
    shares, weights = bets(size)
    assert ((shares > 0) & (shares < 1)).all() and (np.diff(shares) > 0).all()
    assert weights.sum() == pytest.approx(1) and (weights > 0).all()
    if size >= 1_000:
        middle = np.exp(weights @ np.log(shares))
        assert middle == pytest.approx(2 / np.sqrt(size), rel=0.05)


def test_betting_bound_scales_and_is_monotone():
    values = np.random.default_rng(2).exponential(size=50)
    low = betting_lower(values, error=0.025)
    assert betting_lower(3 * values, error=0.025) == pytest.approx(3 * low, rel=1e-6)
    assert betting_lower(values + 0.1, error=0.025) > low
    assert betting_lower(values, error=0.2) > low
    assert betting_lower(np.zeros(5), error=0.025) == 0
    with pytest.raises(ValueError, match="≥ 0"):
        betting_lower(np.array([-0.1]), error=0.05)


def test_betting_survives_weights_beyond_float():
    weights = Weights(np.array([900.0, 0.0, -900.0]), np.arange(3))
    interval = betting(
        weights, np.array([1.0, 0.0, 1.0]), UNIT, level=0.95, propensities_known=True
    )
    assert 0 <= interval.low <= interval.high <= 1


def test_betting_is_mirrored_by_losses():
    """With weights 1 the interval of 1 - G is that of G, mirrored."""
    returns = np.random.default_rng(3).uniform(size=60)
    one, other = (
        betting(unit_weights(60), r, UNIT, level=0.95, propensities_known=True)
        for r in (returns, 1 - returns)
    )
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


def test_what_a_betting_interval_may_be_called():
    returns = np.tile([0.0, 1.0], 20)

    def label(weights=None, bounds=UNIT, known=True):
        weights = weights or unit_weights(40)
        return betting(weights, returns, bounds, level=0.95, propensities_known=known).label

    assert label() is Label.GUARANTEED
    assert label(known=False) is Label.ASYMPTOTIC
    assert label(bounds=ReturnBounds(0.0, 1.0, Source.DATA)) is Label.ASYMPTOTIC
    pairs = Weights(np.zeros(40), np.repeat(np.arange(20), 2))
    assert label(weights=pairs) is Label.GUARANTEED
    uneven = Weights(np.zeros(40), np.minimum(np.arange(40), 30))
    assert label(weights=uneven) is Label.ASYMPTOTIC


def test_betting_on_groups_takes_their_means():
    """Ten groups that repeat one episode thrice say as much as ten episodes."""
    returns = np.random.default_rng(4).uniform(size=10)
    once = betting(unit_weights(10), returns, UNIT, level=0.95, propensities_known=True)
    thrice = betting(
        Weights(np.zeros(30), np.repeat(np.arange(10), 3)),
        np.repeat(returns, 3),
        UNIT,
        level=0.95,
        propensities_known=True,
    )
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-9)


def test_difference_takes_the_worst_ends_and_labels():
    policy = Interval(0.5, 0.7, 0.95, Label.ASYMPTOTIC, "a")
    behavior = Interval(0.4, 0.45, 0.95, Label.GUARANTEED, "b")
    found = difference(policy, behavior)
    assert (found.low, found.high) == pytest.approx((0.05, 0.3))
    assert found.label is Label.ASYMPTOTIC
    assert found.level == pytest.approx(0.9)
    with pytest.raises(ValueError, match="one level"):
        difference(policy, Interval(0.4, 0.45, 0.9, Label.GUARANTEED, "b"))
    with pytest.raises(ValueError, match="must rise"):
        Interval(1.0, 0.0, 0.95, Label.ASYMPTOTIC, "c")


def test_bonferroni_splits_the_error():
    assert corrected_level(1) == pytest.approx(0.95)
    assert corrected_level(5) == pytest.approx(0.99)
    with pytest.raises(ValueError, match="at least one"):
        corrected_level(0)
