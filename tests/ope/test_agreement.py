"""When families of estimators agree, and when not."""

import numpy as np
import pytest

from stitchrl.ope.agreement import Word, agreement
from stitchrl.ope.base import Estimate, Family, Interval, Label

RETURNS = np.linspace(0, 10, 1001)  # 5 % and 95 % quantiles 0.5 and 9.5.
FAMILIES = {"WIS": Family.WEIGHTS, "RIS-WIS": Family.WEIGHTS, "FQE": Family.VALUES}


def estimate(family, value, half=1.0) -> Estimate:
    interval = Interval(value - half, value + half, 0.95, Label.ASYMPTOTIC, "by hand")
    return Estimate(family, FAMILIES[family], value, interval, 100)


def test_the_rule_for_two_families():
    def word(distance, half=5.0):
        pair = [estimate("WIS", 4.0, half), estimate("FQE", 4.0 + distance, half)]
        return agreement(pair, RETURNS).word

    assert word(0.89) is Word.AGREE
    assert word(0.91) is Word.TENSION
    assert word(0.5, half=0.2) is Word.TENSION
    assert word(2.24) is Word.TENSION
    assert word(2.26) is Word.CONFLICT


def test_the_spread_is_in_units_of_the_range_of_returns():
    found = agreement([estimate("WIS", 4.0), estimate("FQE", 4.9)], RETURNS)
    assert found.spread == pytest.approx(0.1)
    assert "WIS and FQE lie 0.9 apart" in found.sentence


def test_rare_successes_are_measured_by_the_whole_range():
    clicks = np.zeros(1000)
    clicks[:4] = 1
    pair = [estimate("WIS", 0.003, 0.01), estimate("FQE", 0.005, 0.01)]
    assert agreement(pair, clicks).spread == pytest.approx(0.002)
    constant = np.ones(10)
    assert agreement([estimate("WIS", 1.0), estimate("FQE", 1.0)], constant).spread == 0
    assert (
        agreement([estimate("WIS", 1.0), estimate("FQE", 2.0)], constant).spread == np.inf
    )


def test_a_family_without_a_value_is_a_conflict():
    empty = Estimate("WIS", Family.WEIGHTS, float("nan"), None, 100)
    assert agreement([empty, estimate("FQE", 1.0)], RETURNS).word is Word.CONFLICT


def test_one_family_cannot_disagree():
    assert agreement([estimate("WIS", 1.0)], RETURNS).word is Word.AGREE


def test_what_has_no_interval_is_not_said_to_overlap():
    bare = [Estimate(name, FAMILIES[name], 4.0, None, 100) for name in ("WIS", "FQE")]
    assert agreement(bare, RETURNS).sentence.endswith("0% of the range of returns.")
    assert agreement([bare[0], estimate("FQE", 4.0)], RETURNS).sentence.endswith("returns.")
    both = agreement([estimate("WIS", 4.0), estimate("FQE", 4.0)], RETURNS)
    assert both.sentence.endswith("and their intervals overlap.")
    third = Estimate("RIS-WIS", Family.WEIGHTS, 4.2, None, 100)
    several = agreement([estimate("WIS", 4.0), third, estimate("FQE", 4.0)], RETURNS)
    assert several.sentence.startswith("The medians of WIS, RIS-WIS; FQE lie 0.1 apart")
    assert several.sentence.endswith("and the intervals that there are overlap.")
