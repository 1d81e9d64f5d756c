"""Telling policies apart: by hand, and as often wrong as said."""

import numpy as np
import pytest

from stitchrl.selection.separation import separation, separation_by_halves


def draws(points, *, common=1.0, own=0.1, n=2_000, seed=0):
    """Replicates that share most of their error."""
    rng = np.random.default_rng(seed)
    shared = common * rng.normal(size=n)
    return np.asarray(points)[:, None] + shared + own * rng.normal(size=(len(points), n))


def test_what_is_shared_cancels():
    points = np.array([2.0, 1.0, 1.95, 2.1])
    found = separation(points, draws(points), level=0.95)
    assert found.behind == pytest.approx([0.0, 1.0, 0.05, -0.1])
    assert found.is_apart.tolist() == [False, True, False, False]


def test_two_policies_by_hand():
    """One difference: its bound is the normal quantile times its error."""
    points = np.array([1.0, 0.0])
    found = separation(points, draws(points, n=200_000), level=0.95)
    error = 0.1 * np.sqrt(2)
    assert found.lowest[1] == pytest.approx(1 - 1.645 * error, abs=0.005)
    assert found.lowest[0] == 0


def test_more_policies_need_more():
    points = np.array([1.0, *np.zeros(20)])
    few = separation(points[:2], draws(points[:2]), level=0.95)
    many = separation(points, draws(points), level=0.95)
    assert many.lowest[1] < few.lowest[1]


def test_equal_policies_are_seldom_told_apart():
    """Whichever of two comes out best: at 95 % a side, in a tenth of all logs."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        points = -np.sort(-0.1 * rng.normal(size=2))
        replicates = points[:, None] + 0.1 * rng.normal(size=(2, 400))
        wrong += separation(points, replicates, level=0.95).is_apart.any()
    assert wrong / 400 == pytest.approx(0.1, abs=3 * np.sqrt(0.09 / 400))


def test_the_same_policy_twice_is_not_apart():
    points = np.array([1.0, 1.0])
    replicates = np.repeat(draws([1.0]), 2, axis=0)
    found = separation(points, replicates, level=0.95)
    assert not found.is_apart.any()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="one row of replicates for each of 3 policies"):
        separation(np.zeros(3), np.zeros((2, 5)), level=0.95)


def test_halves_by_hand():
    """Differences 0, 2, 1, 1 over halves: error √(2/3); t of 3 degrees at 1 - .05 / 2."""
    points = np.array([1.0, 0.0, 1.0])
    halves = np.array([[0.0, 2.0, 1.0, 1.0], [0.0] * 4, [0.0, 2.0, 1.0, 1.0]])
    found = separation_by_halves(points, halves, level=0.95)
    assert found.behind == pytest.approx([0.0, 1.0, 0.0])
    assert found.lowest == pytest.approx([0.0, 1 - 3.182446 * np.sqrt(2 / 3), 0.0])
    with pytest.raises(ValueError, match="one row of replicates for each of 3 policies"):
        separation_by_halves(points, halves[:2], level=0.95)


def test_halves_of_a_log_say_how_a_mean_varies():
    """Two policies equally good, by means of 60 episodes: wrongly apart in a tenth."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(1_000):
        log = rng.normal(size=(2, 60))
        log = log[np.argsort(-log.mean(axis=1))]
        picked = [rng.permutation(60)[:30] for _ in range(10)]
        halves = np.stack([log[:, half].mean(axis=1) for half in picked], axis=1)
        found = separation_by_halves(log.mean(axis=1), halves, level=0.95)
        wrong += found.is_apart.any()
    assert wrong / 1_000 == pytest.approx(0.1, abs=0.03)
