"""Curves with known ailments get their names; noise does not."""

import numpy as np
import pytest

from stitchrl.diagnosis import Ailment, Attainable, Curves, diagnose

STEPS = np.arange(1, 101) * 100
SEEN = Attainable(highest=12.0, usual=10.0, mean=6.0, variance=4.0)
SHARE = np.linspace(0, 1, 100)
RISING = 8 * (1 - np.exp(-5 * SHARE))
SHAPES = {
    "rises and settles": RISING,
    "rises and falls": np.where(SHARE < 0.4, 20 * SHARE, 8 - 8 * (SHARE - 0.4)),
    "rises throughout": 8 * SHARE,
    "dips at the very end": np.where(SHARE < 0.95, RISING, RISING - 20 * (SHARE - 0.95)),
    "diverges": np.exp(6 * SHARE),
}


def noisy(values, seed, size=0.15):
    return values + size * np.random.default_rng(seed).standard_normal(len(values))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "shape, ailment",
    [
        ("rises and settles", Ailment.NONE),
        ("rises and falls", Ailment.OVERFITTING),
        ("rises throughout", Ailment.NONE),
        ("dips at the very end", Ailment.NONE),
        ("diverges", Ailment.OVERESTIMATION),
    ],
)
def test_shapes_of_curves(shape, ailment, seed):
    found = diagnose(Curves(STEPS, noisy(SHAPES[shape], seed)), SEEN)
    assert found.ailment is ailment
    if ailment is Ailment.OVERFITTING:
        assert 3_300 <= found.checkpoint <= 4_500  # The peak is at 4,000.
    else:
        assert found.checkpoint == 10_000


def test_what_it_says():
    curves = Curves(
        STEPS,
        SHAPES["rises and falls"],
        error=np.full(100, 1.0),
        held_out_error=np.full(100, 2.5),
    )
    found = diagnose(curves, SEEN)
    assert "peaked after 4,0" in found.sentence and "lost 59% of what" in found.sentence
    assert "2.5 times that on others" in found.sentence
    assert "checkpoint at the peak" in found.remedy
    assert found.numbers["drop"] == pytest.approx(0.6, abs=0.03)


def test_values_beyond_all_returns():
    own = Curves(STEPS, RISING, policy=RISING + 5)
    found = diagnose(own, SEEN)
    assert found.ailment is Ailment.OVERESTIMATION
    assert "own actions at 12.95" in found.sentence and "Raise the conserv" in found.remedy
    assert diagnose(own._replace(policy=RISING + 3), SEEN).ailment is Ailment.NONE


def test_a_penalty_that_lifts_logged_values_is_to_be_lowered():
    lifted = Curves(STEPS, RISING + 6, gap=RISING)
    found = diagnose(lifted, SEEN)
    assert found.ailment is Ailment.OVERESTIMATION and "Lower the cons" in found.remedy
    own = Curves(STEPS, RISING, policy=RISING + 6, gap=RISING)
    assert "Raise the conserv" in diagnose(own, SEEN).remedy


def test_what_regression_misses_is_no_overestimate():
    for policy, ailment in ((4.15, Ailment.NONE), (4.3, Ailment.OVERESTIMATION)):
        own = Curves(STEPS, RISING, policy=RISING - RISING[-1] + 8 + policy)
        assert diagnose(own, SEEN).ailment is ailment  # 12.15 and 12.3; 2 % of 12 is .24.


def test_a_way_down_to_right_values_is_no_peak():
    """Networks begin at 0; where rewards are negative, values fall to what is true."""
    costs = Attainable(highest=-1.0, usual=-2.0, mean=-12.0, variance=4.0)
    falling = np.where(SHARE < 0.1, 20 * SHARE, 2 - 12 * (SHARE - 0.1))
    curves = Curves(STEPS, falling)
    assert diagnose(curves, costs).ailment is Ailment.NONE  # Above what was logged.
    assert diagnose(curves, costs._replace(mean=-np.inf)).ailment is Ailment.NONE
    assert diagnose(curves, costs._replace(mean=-5.0)).ailment is Ailment.OVERFITTING
    from_the_start = Curves(STEPS, -12 * SHARE)
    seen = costs._replace(mean=-5.0)
    assert diagnose(from_the_start, seen).ailment is Ailment.NONE
    barely = np.where(SHARE < 0.1, 2 * SHARE, 0.2 - 12 * (SHARE - 0.1))
    assert diagnose(Curves(STEPS, barely), seen).ailment is Ailment.NONE


def test_a_wider_network_tells_underfitting():
    """Error settled at 2, half of the variance; a wider one gets to 1 in the same time."""
    error = 2 + 3 * np.exp(-20 * SHARE)
    curves = Curves(STEPS, RISING, error=error)
    wider = Curves(STEPS[:20], RISING[:20], error=error[:20] / 2)
    assert diagnose(curves, SEEN).ailment is Ailment.NONE  # Nobody tried.
    found = diagnose(curves, SEEN, wider=wider)
    assert found.ailment is Ailment.UNDERFITTING
    assert "TD error has settled at 2" in found.sentence
    alike = wider._replace(error=0.95 * error[:20])
    assert diagnose(curves, SEEN, wider=alike).ailment is Ailment.NONE
    small = curves._replace(error=error / 10), wider._replace(error=error[:20] / 20)
    assert diagnose(small[0], SEEN, wider=small[1]).ailment is Ailment.NONE


def test_features_that_collapse():
    alike = Curves(STEPS, RISING, likeness=np.linspace(0.5, 0.99, 100))
    assert diagnose(alike, SEEN).ailment is Ailment.COLLAPSE
    flat = Curves(STEPS, RISING, rank=np.linspace(60, 20, 100))
    assert "fallen to 33%" in diagnose(flat, SEEN).sentence
    learned = flat._replace(error=2 - SHARE)
    assert diagnose(learned, SEEN).ailment is Ailment.NONE  # Few directions are enough.
    assert diagnose(flat._replace(error=1 + 2 * SHARE), SEEN).ailment is Ailment.COLLAPSE


def test_short_curves_are_refused():
    with pytest.raises(ValueError, match="at least 14 points, but these have 3"):
        diagnose(Curves(STEPS[:3], RISING[:3]), SEEN)
