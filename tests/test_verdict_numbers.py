"""Which numbers a verdict names: sizes that can be reached, gains, one interval."""

from dataclasses import replace

import pytest

from stitchrl.ope.base import Completions, Label, Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.verdict import Decision, decide
from tests.test_verdict import GOOD, delta, failed


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


def test_without_bounds_or_enough_episodes_there_is_no_interval_and_it_is_said_why():
    """ESS 80 of 1,024: of 1,280 it would be 100."""
    bare = replace(
        GOOD,
        bounds=ReturnBounds(0.0, 1.0, Source.DATA),
        guaranteed=None,
        asymptotic=None,
        effective_size=80.0,
    )
    verdict = decide(bare)
    assert (verdict.decision, verdict.line) == (Decision.PILOT, 5)
    assert {"WORSE", "LOWER_BOUND", "ESS", "MULTIPLICITY"} == failed(verdict)
    assert "needs at least 100 episodes that effectively speak" in verdict.sentence
    assert verdict.remedy is not None
    assert "Declare what bounds returns: 'reward_bounds'" in verdict.remedy
    assert "at least about 1,300 independent episodes" in verdict.remedy
    assert verdict.required_n is None  # That brings an interval, and settles nothing.
    thin = decide(replace(bare, groups=20_000)).remedy
    assert thin is not None and "Only 0.4% of logged episodes" in thin
    declared = replace(bare, bounds=GOOD.bounds, asymptotic=GOOD.asymptotic)
    assert decide(declared).decision is Decision.DEPLOY
    assert decide(replace(declared, bounds=bare.bounds)).decision is Decision.PILOT
