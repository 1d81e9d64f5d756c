"""Promised beside realized: by hand, and how often a right promise is called wrong."""

import numpy as np
import pytest
from scipy.stats import t as student

from stitchrl.ope.base import Estimate, Family, Interval, Label, Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.intervals import student_t
from stitchrl.ope.realized import Kept, calibration, gap_of, realized_mean

UNIT = ReturnBounds(0.0, 1.0, Source.DECLARED)
SEEN = ReturnBounds(0.0, 1.0, Source.DATA)
WRONG = (Kept.FELL_SHORT, Kept.EXCEEDED)


def promise(value: float, low=None, high=None, *, level=0.95) -> Estimate:
    interval = None
    if low is not None:
        interval = Interval(low, high, level, Label.ASYMPTOTIC, "by hand")
    return Estimate("WIS", Family.WEIGHTS, value, interval, 100)


def coins(ones: int, of: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns and groups: so many ones of so many episodes, each a group."""
    return (np.arange(of) < ones).astype(float), np.arange(of)


def test_the_gap_by_hand():
    """60 of 100: error √(.24 / 99), and the worst ends of both intervals."""
    found = gap_of(promise(0.7, 0.6, 0.75), *coins(60, 100), UNIT)
    half = student.ppf(0.975, 99) * np.sqrt(0.24 / 99)
    assert found.realized.value == pytest.approx(0.6) and found.realized.groups == 100
    assert found.realized.interval is not None
    assert found.realized.interval.low == pytest.approx(0.6 - half)
    assert found.value == pytest.approx(-0.1)
    assert found.interval.low == pytest.approx(0.6 - half - 0.75)
    assert found.interval.high == pytest.approx(0.6 + half - 0.6)
    assert found.interval.level == pytest.approx(0.9)
    assert found.kept is Kept.HELD


def test_a_promise_without_interval_is_its_number():
    found = gap_of(promise(0.7), *coins(60, 100), UNIT, level=0.99)
    half = student.ppf(0.99, 99) * np.sqrt(0.24 / 99)
    assert found.interval.low == pytest.approx(-0.1 - half)
    assert found.interval.level == pytest.approx(0.98)
    assert found.realized.interval is not None
    assert found.realized.interval.level == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("ones", "of", "low", "high", "kept"),
    [
        (120, 200, 0.75, 0.85, Kept.FELL_SHORT),
        (190, 200, 0.75, 0.85, Kept.EXCEEDED),
        (160, 200, 0.75, 0.85, Kept.HELD),
        (48, 60, 0.75, 0.85, Kept.TOO_FEW),  # Known to .104.
        (52, 60, 0.75, 0.85, Kept.HELD),  # To .089.
        (0, 29, 0.75, 0.85, Kept.TOO_FEW),
        (0, 30, 0.75, 0.85, Kept.FELL_SHORT),
        (160, 200, 0.35, 0.95, Kept.TOO_FEW),  # A promise of anything.
    ],
)
def test_the_word(ones, of, low, high, kept):
    middle = (low + high) / 2
    assert gap_of(promise(middle, low, high), *coins(ones, of), UNIT).kept is kept


def test_episodes_of_one_group_count_once():
    returns, group = coins(30, 40)
    twice = realized_mean(np.tile(returns, 2), np.tile(group, 2), UNIT, level=0.95)
    assert twice.interval == student_t(returns, group, level=0.95)
    assert twice.groups == 40


def test_equal_returns_are_not_taken_for_certain():
    found = realized_mean(*coins(100, 100), UNIT, level=0.95).interval
    assert found is not None and 0.9 < found.low < 0.99 and found.high == 1.0
    open_ended = gap_of(promise(0.5, 0.4, 0.6), *coins(100, 100), SEEN)
    assert open_ended.interval.low == -np.inf and open_ended.kept is Kept.TOO_FEW


def share_wrong(pairs) -> float:
    """Of promises that are right, those called broken or surpassed."""
    return float(np.mean([gap_of(*pair, SEEN).kept in WRONG for pair in pairs]))


def drawn(rng: np.random.Generator, size: int) -> np.ndarray:
    """Skewed returns with mean 1."""
    return rng.exponential(size=size)


def test_a_right_promise_is_seldom_called_wrong():
    """Nominal 10 %, and no more even if the log and the new episodes err oppositely."""
    rng, apart, opposed, exact = np.random.default_rng(0), [], [], []
    for _ in range(1000):
        logged, new = drawn(rng, 200), drawn(rng, 80)
        found = student_t(logged, np.arange(200), level=0.95)
        said = promise(float(logged.mean()), found.low, found.high)
        apart.append((said, new, np.arange(80)))
        mirrored = 2.0 - logged
        opposed.append((said, mirrored, np.arange(200)))
        exact.append((promise(1.0, 1.0, 1.0), drawn(rng, 200), np.arange(200)))
    assert share_wrong(apart) <= 0.03
    assert 0.02 <= share_wrong(opposed) <= 0.1
    assert 0.03 <= share_wrong(exact) <= 0.1


def test_a_wrong_promise_is_found_out():
    """.8 ± .05 promised and .6 true: at 150 episodes in most cases."""
    rng, words = np.random.default_rng(1), []
    for _ in range(200):
        returns = (rng.random(150) < 0.6).astype(float)
        words.append(gap_of(promise(0.8, 0.75, 0.85), returns, np.arange(150), UNIT).kept)
    assert words.count(Kept.FELL_SHORT) > 180 and Kept.EXCEEDED not in words


def test_the_distance_of_distributions_by_hand():
    """Predicted F(0) = .2, F(1) = .9, F(5) = 1; realized .5, .8, 1 of ten episodes."""
    returns = np.array([0.0] * 5 + [1.0 + 1e-12] * 3 + [5.0] * 2)
    points, predicted = np.array([0.0, 1.0, 5.0]), np.array([0.2, 0.9, 1.0])
    found = calibration(points, predicted, returns, np.arange(10), band=0.1, level=0.95)
    assert found.distance == pytest.approx(0.3) and found.point == 0.0
    assert (found.promised, found.realized) == pytest.approx((0.2, 0.5))
    assert found.allowed == pytest.approx(0.1 + np.sqrt(np.log(40) / 20))
    assert found.level == pytest.approx(0.9) and found.fits
    below = calibration(points, predicted, returns - 3, np.arange(10), band=0.0, level=0.95)
    assert below.distance == pytest.approx(0.8) and below.promised == 0.0
    assert not below.fits


def test_a_right_prediction_fits_and_a_wrong_one_does_not():
    """Predicted by 150 episodes, 100 come: nominal 10 %; twice the spread is seen."""
    rng = np.random.default_rng(2)
    fits = {1.0: 0, 2.0: 0}
    for _ in range(300):
        logged = np.sort(rng.normal(size=150))
        predicted = np.arange(1, 151) / 150
        for scale in fits:
            new = scale * 1.5 * rng.normal(size=100) if scale > 1 else rng.normal(size=100)
            found = calibration(
                logged,
                predicted,
                new,
                np.arange(100),
                band=float(np.sqrt(np.log(40) / 300)),
                level=0.95,
            )
            fits[scale] += found.fits
    assert fits[1.0] >= 285 and fits[2.0] <= 60
