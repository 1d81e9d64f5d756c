"""Coverage: counted right, and near its nominal level at reduced size."""

import numpy as np
import pytest

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.coverage import Coverage, measure, value_intervals
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.problems.exact import Bandit


def test_counting():
    def draw(seed: int) -> dict[str, Interval]:
        width = 1.0 + seed
        return {"one": Interval(0.0, width, 0.95, Label.ASYMPTOTIC, "by hand")}

    found = measure(draw, truth=2.5, repeats=4, seed=0)["one"]
    assert found == Coverage(covered=2, repeats=4, width=2.5)
    assert found.rate == 0.5
    assert 0.05 < found.interval.low < 0.1 and 0.9 < found.interval.high < 0.95


def test_the_bandit_is_covered_about_as_often_as_said():
    """300 logs of 200 rounds; a rate of .95 falls below .91 once in a thousand times."""
    bandit = Bandit()

    def draw(seed: int) -> dict[str, Interval]:
        log = bandit.log(200, seed)
        table = PolicyTable.of_states(log, np.array([bandit.target]))
        return value_intervals(log, table, level=0.95)

    found = measure(draw, truth=bandit.value, repeats=300, seed=7)
    assert 0.91 < found["asymptotic"].rate
    assert found["guaranteed"].rate >= 0.98
    assert found["guaranteed"].width > found["asymptotic"].width
    # Clopper-Pearson at ESS = .384 · 200, were outcomes as spread as 0 and 1.
    assert found["asymptotic"].width == pytest.approx(0.2, rel=0.1)


def test_half_the_level_covers_half():
    bandit = Bandit()

    def draw(seed: int) -> dict[str, Interval]:
        log = bandit.log(200, seed)
        table = PolicyTable.of_states(log, np.array([bandit.behavior]))
        return value_intervals(log, table, level=0.5)

    found = measure(draw, truth=bandit.behavior_value, repeats=300, seed=3)
    assert 0.42 < found["asymptotic"].rate < 0.65


def test_no_weight_is_no_knowledge():
    log = Bandit().log(40, seed=0)
    kept = log.take_episodes(log.action != 2)
    found = value_intervals(kept, PolicyTable.of_states(kept, np.array([[0.0, 0.0, 1.0]])))
    assert (found["asymptotic"].low, found["asymptotic"].high) == (0, 1)
    assert found["guaranteed"].low == 0
