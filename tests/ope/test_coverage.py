"""Coverage: counted right, and near its nominal level at reduced size."""

import numpy as np
import pytest

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.certification import Certification
from stitchrl.ope.coverage import Coverage, gain_intervals, measure, value_intervals
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.problems.exact import Bandit


def certify(log) -> Certification:
    return Certification(log, Behavior.logged(log), discount=1.0, candidates=1, seed=0)


def test_counting():
    def draw(seed: int) -> dict[str, Interval | None]:
        width = 1.0 + seed
        one = Interval(0.0, width, 0.95, Label.ASYMPTOTIC, "by hand")
        return {"one": one, "two": one if seed % 2 else None, "three": None}

    truth = dict.fromkeys(("one", "two", "three"), 2.5)
    measured = measure(draw, truth=truth, logs=4, seed=0)
    found = measured["one"]
    assert found == Coverage(2, 4, 4, width=2.5, label=Label.ASYMPTOTIC)
    assert found.rate == 0.5
    assert measured["two"] == Coverage(1, 2, 4, width=3.0, label=Label.ASYMPTOTIC)
    assert np.isnan(measured["three"].rate) and np.isnan(measured["three"].width)
    assert 0.05 < found.interval.low < 0.1 and 0.9 < found.interval.high < 0.95
    # P(X <= 2) of four draws at .9, and P(X >= 2) at .1.
    assert found.p_value(0.9) == pytest.approx(0.0523)
    assert found.p_value(0.0, 0.1) == pytest.approx(0.0523)


def test_the_bandit_is_covered_about_as_often_as_said():
    """300 logs of 200 rounds; a rate of .95 falls below .91 once in a thousand times."""
    bandit = Bandit()

    def draw(seed: int):
        log = bandit.log(200, seed)
        table = PolicyTable.of_states(log, np.array([bandit.target]))
        return value_intervals(certify(log), table)

    truth = dict.fromkeys(("WIS", "DRL", "betting"), bandit.value)
    found = measure(draw, truth=truth, logs=300, seed=7)
    assert 0.91 < found["WIS"].rate
    assert found["betting"].rate >= 0.98
    assert found["betting"].width > found["WIS"].width
    # The asymptotic variance of WIS here is .3265 / n; small logs need a little more.
    assert found["WIS"].width == pytest.approx(2 * 1.96 * (0.3265 / 200) ** 0.5, rel=0.1)


def test_refused_weights_have_no_interval():
    """The only arm of the policy is missing, or far rarer than its propensity says."""
    log = Bandit().log(400, seed=0)
    arm = np.flatnonzero(log.action == 2)
    for kept_of_arm in (0, 20):
        keep = log.action != 2
        keep[arm[:kept_of_arm]] = True
        kept = log.take_episodes(keep)
        certification = certify(kept)
        policy = PolicyTable.of_states(kept, np.array([[0.0, 0.0, 1.0]]))
        found = value_intervals(certification, policy)
        found |= gain_intervals(certification, policy)
        assert found["WIS"] is None and found["betting"] is not None
        assert found["gain"] is None and found["guaranteed gain"] is not None
        weighed = {e.name: e.interval for e in certification.estimates(policy)}["WIS"]
        assert (weighed is None) == (kept_of_arm == 0)


def test_thin_models_have_no_interval():
    """Of 400 rounds some 40 are of the third arm in either half, of 1,000 some 100."""
    bandit = Bandit()
    found = [
        value_intervals(certify(log), PolicyTable.of_states(log, np.array([bandit.target])))
        for log in (bandit.log(400, seed=0), bandit.log(1000, seed=0))
    ]
    assert found[0]["DRL"] is None
    assert found[1]["DRL"] is not None and found[1]["DRL"].covers(bandit.value)
