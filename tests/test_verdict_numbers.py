"""Which numbers a verdict names: sizes that can be reached, gains, one interval."""

from dataclasses import replace

import pytest

from stitchrl.ope.base import Completions, Label
from stitchrl.verdict import Decision, decide
from tests.test_verdict import GOOD, delta


def test_a_size_that_nobody_reaches_is_not_asked_for():
    """A gain of .0001, where bounds are .05 away: 250,000 times the log."""
    tiny = replace(
        GOOD,
        wis=0.7801,
        fqe=Completions(0.77, 0.7801, 0.79),
        guaranteed=delta(-0.3, 0.3, Label.GUARANTEED),
        asymptotic=delta(-0.05, 0.0502),
    )
    for evidence in (tiny, replace(tiny, fqe=Completions(0.77, 0.779, 0.79))):
        verdict = decide(evidence)
        assert verdict.decision in (Decision.PILOT, Decision.COLLECT_MORE_DATA)
        assert verdict.required_n is None
        assert verdict.remedy is not None and "More than 100 times" in verdict.remedy


def test_estimates_that_look_equal_are_told_apart_by_their_gain():
    near = replace(GOOD, wis=0.7801, fqe=Completions(0.7, 0.7802, 0.8))
    points = next(r for r in decide(near).reasons if r.code == "POINTS")
    assert points.number == pytest.approx(0.0001) and points.threshold == "above 0"


def test_not_worse_names_the_interval_that_decides():
    """Both say "not worse"; the page then speaks of one interval, not of two."""
    evidence = replace(
        GOOD,
        guaranteed=delta(0.001, 0.05, Label.GUARANTEED),
        asymptotic=delta(-0.02, 0.04),
    )
    verdict = decide(evidence)
    assert verdict.bound is evidence.guaranteed
    worse = next(r for r in verdict.reasons if r.code == "WORSE")
    assert worse.passed and worse.number == 0.05 and "guaranteed" in worse.sentence
