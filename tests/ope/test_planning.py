"""How much data is enough, and bets that may be looked at any time."""

import numpy as np
import pytest

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.planning import (
    BETS,
    betting_capital,
    expected_pilot,
    required_groups,
    round_up,
)


def delta(low, high) -> Interval:
    return Interval(low, high, 0.9, Label.ASYMPTOTIC, "by hand")


def needed(low, high, value, *, margin=0.0, groups=1000, effective_size=500.0):
    return required_groups(
        delta(low, high), value, margin=margin, groups=groups, effective_size=effective_size
    )


def test_four_times_the_data_halve_the_interval():
    assert needed(-0.02, 0.06, 0.02) == pytest.approx(4000)
    assert needed(-0.06, 0.02, -0.02) == pytest.approx(4000)
    assert needed(-0.02, 0.06, 0.02, margin=0.01) == pytest.approx(16_000)


def test_the_whole_log_is_larger_than_the_part_that_judges():
    found = required_groups(
        delta(-0.02, 0.06), 0.02, margin=0.0, groups=1000, effective_size=500.0, part=0.2
    )
    assert found == pytest.approx(20_000)


def test_enough_episodes_must_speak_about_it():
    assert needed(0.01, 0.05, 0.03, effective_size=10.0) == pytest.approx(5000)


def test_a_gain_of_nothing_cannot_be_settled():
    assert needed(-0.02, 0.06, 0.0) is None
    assert needed(-0.02, 0.06, float("nan")) is None
    assert needed(-0.02, 0.06, 0.02, effective_size=0.0) is None


def test_numbers_are_rounded_up_to_two_digits():
    assert [round_up(x) for x in (12_345.0, 99.2, 4000.0, 7.2)] == [13_000, 100, 4000, 8]
    assert round_up(float("inf")) == np.inf


def test_capital_by_hand():
    capital = betting_capital(np.array([1.0, 0.0]), 0.4, against="at most")
    first = np.mean(1 + BETS * 1.5)
    np.testing.assert_allclose(capital, [first, np.mean((1 + BETS * 1.5) * (1 - BETS))])
    mirrored = betting_capital(np.array([0.0, 1.0]), 0.6, against="at least")
    np.testing.assert_allclose(mirrored, capital)
    with pytest.raises(ValueError, match="strictly between"):
        betting_capital(np.array([1.0]), 1.0, against="at most")


def test_capital_seldom_rises_if_the_claim_is_true():
    """Looked at after each of 500 episodes: P(ever 20) ≤ .05; 99 % limit of 400 runs."""
    rng = np.random.default_rng(0)
    runs = [(rng.random(500) < 0.78).astype(float) for _ in range(400)]
    alarms = sum(betting_capital(r, 0.78, against="at most").max() >= 20 for r in runs)
    assert alarms <= 31
    found = sum(betting_capital(r, 0.65, against="at most").max() >= 20 for r in runs)
    assert found >= 380


def test_the_pilot_ends_about_when_expected():
    episodes = expected_pilot(0.85, 0.75)
    rng = np.random.default_rng(1)
    runs = [(rng.random(3000) < 0.85).astype(float) for _ in range(100)]
    reached = [
        np.argmax(betting_capital(r, 0.75, against="at most") >= 20) + 1 for r in runs
    ]
    assert 0.3 * episodes < np.mean(reached) < episodes
    assert expected_pilot(0.75, 0.75) == np.inf
