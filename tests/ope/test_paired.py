"""Intervals of a difference: by hand, what cannot change them, and how often they hold."""

import numpy as np
import pytest
from scipy.stats import chi2

from stitchrl.ope.base import Interval, Label, Source, difference
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.certification import Certification
from stitchrl.ope.empirical_likelihood import deviance
from stitchrl.ope.gains import gains
from stitchrl.ope.intervals import betting, betting_lower
from stitchrl.ope.paired import paired, paired_betting
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.ope.weights import Weights
from stitchrl.problems.exact import Bandit

UNIT = ReturnBounds(0.0, 1.0, Source.DECLARED)
LIMIT = chi2.ppf(0.95, 1)


def drawn(n: int = 80, *, each: int = 1) -> tuple[Weights, np.ndarray]:
    """Weights with mean 1, as heavy as those of a mixture; returns that rise with them."""
    rng = np.random.default_rng(2)
    log = 0.6 * rng.normal(size=n) - 0.18
    returns = np.clip(0.5 + 0.2 * log + 0.2 * rng.normal(size=n), 0, 1)
    return Weights(log, np.arange(n) // each), returns


def both(weights, returns, bounds=UNIT, level=0.95):
    known = {"level": level, "propensities_known": True}
    return (
        paired(weights, returns, bounds, level=level),
        paired_betting(weights, returns, bounds, **known),
    )


def test_betting_by_hand():
    """W of 2 and .5 on returns of 1 and .2: 1 + (W - 1) x of 2 and .9."""
    weights = Weights(np.log([2.0, 0.5]), np.arange(2))
    found = both(weights, np.array([1.0, 0.2]))[1]
    low = betting_lower(np.array([2.0, 0.9]), error=0.025) - 1
    high = 1 - betting_lower(np.array([1.0, 0.6]), error=0.025)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.label is Label.GUARANTEED


def test_ends_lie_on_the_limit():
    """Written out once more, with the group that is added."""
    weights, x = drawn()
    found = both(weights, x)[0]
    w = weights.values / weights.values.mean()
    d = (w - 1)[w > 1]
    w = np.append(w, 1 + (d**2).sum() / d.sum())
    for end, last, sign in ((found.low, 0.0, 1), (found.high, 1.0, -1)):
        y = np.append(x, last)
        says = w / w.mean() * (y - y.mean() - end) - (y - y.mean())
        assert deviance(sign * says) == pytest.approx(LIMIT, abs=1e-6)
    weighted = (weights.values @ x) / weights.values.sum() - x.mean()
    assert found.low < weighted < found.high


def test_the_behavior_itself_is_no_better_and_no_worse():
    weights = Weights(np.zeros(50), np.arange(50))
    returns = np.random.default_rng(0).random(50)
    found, guaranteed = both(weights, returns)
    assert (found.low, found.high) == pytest.approx((0, 0), abs=1e-9)
    assert guaranteed.low < 0 < guaranteed.high


def test_units_and_scales():
    """Returns in other units; weights times a constant, for the likelihood; no weights."""
    weights, x = drawn()
    for one, other in zip(
        both(weights, x),
        both(weights, 30 * x - 10, ReturnBounds(-10.0, 20.0, Source.DECLARED)),
    ):
        assert (30 * one.low, 30 * one.high) == pytest.approx((other.low, other.high))
    heavier = Weights(weights.log + 5, weights.group)
    one, other = (paired(w, x, UNIT, level=0.95) for w in (weights, heavier))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    nothing = Weights(np.full(80, -np.inf), weights.group)
    everything = paired(nothing, x, UNIT, level=0.95)
    assert (everything.low, everything.high) == (-1, 1)


def test_a_loss_is_a_gain_of_the_opposite():
    weights, x = drawn()
    for one, other in zip(both(weights, x), both(weights, 1 - x)):
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


def test_units_are_groups():
    """Every episode twice in its group is worth one; in groups of its own, two."""
    weights, x = drawn(40)
    of_groups = Weights(weights.log.repeat(2), np.arange(40).repeat(2))
    alone = Weights(weights.log.repeat(2), np.arange(80))
    for once, twice, more in zip(
        both(weights, x), both(of_groups, x.repeat(2)), both(alone, x.repeat(2))
    ):
        assert (once.low, once.high) == pytest.approx((twice.low, twice.high), abs=1e-9)
        assert more.width < once.width


def test_labels():
    weights, x = drawn()
    assert (
        both(weights, x, ReturnBounds(0.0, 1.0, Source.DATA))[1].label is Label.ASYMPTOTIC
    )
    assert (
        paired_betting(weights, x, UNIT, level=0.95, propensities_known=False).label
        is Label.ASYMPTOTIC
    )
    assert both(*drawn(each=3))[1].label is Label.ASYMPTOTIC  # The last has two.


def test_estimated_propensities_are_not_paired():
    """One interval less the other, and nothing guaranteed; without intervals nothing."""
    weights, x = drawn()
    of_policy, present = (
        Interval(low, high, 0.95, Label.ASYMPTOTIC, "by hand")
        for low, high in ((0.4, 0.6), (0.3, 0.35))
    )
    given = {"of_policy": of_policy, "present": present, "level": 0.9}
    guaranteed, found = gains(weights, x, UNIT, is_known=False, **given)
    assert guaranteed is None and found is not None
    assert (found.low, found.high, found.level) == pytest.approx((0.05, 0.3, 0.9))
    nothing = gains(weights, x, UNIT, is_known=False, **(given | {"of_policy": None}))
    assert nothing == (None, None)
    known = gains(weights, x, UNIT, is_known=True, **given)
    assert [one.method[:6] for one in known if one] == ["paired", "paired"]
    unweighed = Weights(np.full(80, -np.inf), weights.group)
    assert gains(unweighed, x, UNIT, is_known=True, **given)[1] is None
    few = ReturnBounds(0.0, 1.0, Source.DATA)  # Undeclared: from 100 effective on.
    assert gains(weights, x, few, is_known=True, **given) == (None, None)


@pytest.mark.parametrize("share, narrower", [(1.0, 0.6), (0.1, 0.2)])
def test_they_hold_and_are_narrow(share, narrower):
    """On a bandit: 150 logs of 300; Δ = .32 a. Wider by far is one less the other."""
    problem, missed, widths = Bandit(), np.zeros(2), []
    for seed in range(150):
        log = problem.log(300, seed)
        table = PolicyTable.of_states(log, np.array([problem.target]))
        certification = Certification(log, Behavior.logged(log), 1.0, candidates=1, seed=0)
        weights = certification.weights(table, share)
        found = both(weights, certification.returns)
        missed += [not one.covers(0.32 * share) for one in found]
        if seed < 10:
            of_policy = betting(
                weights, certification.returns, UNIT, level=0.95, propensities_known=True
            )
            unit = Weights(np.zeros(300), np.arange(300))
            present = betting(
                unit, certification.returns, UNIT, level=0.95, propensities_known=True
            )
            apart = difference(of_policy, present)
            widths.append([one.width / apart.width for one in found])
    assert 2 <= missed[0] <= 12  # 7.5 expected.
    assert missed[1] <= 2
    assert np.mean(widths, axis=0)[1] < narrower
