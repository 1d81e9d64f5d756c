"""Scores in one number: by hand; rliable's numbers are in tests/parity."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from stitchrl.aggregates import (
    comparable,
    interquartile_mean,
    mean_score,
    median_score,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    profile_band,
    stratified_bootstrap,
)

SCORES = np.array([[0.0, 1.0], [0.5, 2.0], [0.2, 3.0], [0.3, 100.0]])


def test_by_hand():
    assert interquartile_mean(SCORES) == pytest.approx((0.3 + 0.5 + 1 + 2) / 4)
    assert mean_score(SCORES) == pytest.approx(107 / 8)
    assert median_score(SCORES) == pytest.approx((0.25 + 26.5) / 2)
    assert optimality_gap(SCORES) == pytest.approx(1 - (1.0 + 4.0) / 8)
    np.testing.assert_allclose(
        performance_profile(SCORES, np.array([-1, 0.3, 1, 100])), [1, 5 / 8, 3 / 8, 0]
    )


@pytest.mark.parametrize("size", range(1, 12))
def test_the_interquartile_mean_is_scipys(size):
    scores = np.random.default_rng(size).normal(size=(size, 1))
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25, axis=None))


def test_improvement_by_hand():
    """Task 1: 1 beats both, 0 ties with one; task 2: all lose."""
    ours, theirs = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 1.0], [0.5, 1.0]])
    assert probability_of_improvement(ours, theirs) == pytest.approx((2.5 / 4 + 0) / 2)
    assert probability_of_improvement(theirs, ours) == pytest.approx((1.5 / 4 + 1) / 2)
    assert probability_of_improvement(ours, ours) == 0.5


def test_the_bootstrap_covers():
    """Normal scores of 20 runs on 3 tasks: 400 samples, .95 within a binomial error."""
    covered = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        scores = rng.normal([0.0, 1.0, 2.0], size=(20, 3))
        found = stratified_bootstrap(mean_score, scores, replicates=300, seed=seed)
        covered += found.covers(1.0)
    assert 0.90 <= covered / 400 <= 0.98


def test_the_bootstrap_draws_within_tasks():
    """Tasks of constant scores: nothing varies, however far they lie apart."""
    scores = np.tile([0.0, 1.0, 100.0], (5, 1))
    found = stratified_bootstrap(mean_score, scores, replicates=50)
    assert found.low == pytest.approx(found.high)
    pair = stratified_bootstrap(probability_of_improvement, scores, scores, replicates=50)
    assert (pair.low, pair.high) == (0.5, 0.5)


def test_the_band_is_the_bootstrap_of_each_share():
    """At every threshold the interval that the share of runs above it has by itself."""
    at = np.array([-1.0, 0.25, 0.5, 100.0])
    low, high = profile_band(SCORES, at, level=0.8, replicates=200, seed=3)
    assert low[0] == high[0] == 1 and low[3] == high[3] == 0
    for position, threshold in enumerate(at):
        alone = stratified_bootstrap(
            lambda scores, t=threshold: float((scores > t).mean()),
            SCORES,
            level=0.8,
            replicates=200,
            seed=3,
        )
        assert (low[position], high[position]) == (alone.low, alone.high)


def test_what_can_be_compared_comes_back_as_it_is():
    found = comparable({"ours": SCORES, "theirs": SCORES[:2].astype(np.float32)})
    assert [*found] == ["ours", "theirs"] and found["theirs"].dtype == np.float64
    np.testing.assert_array_equal(found["ours"], SCORES)


@pytest.mark.parametrize(
    "scores, message",
    [
        ({}, "nothing to compare"),
        ({"a": SCORES, "b": SCORES[:, :1]}, "same tasks, but a has 2 and b has 1. Leave"),
        ({"a": SCORES, "b": SCORES[:1]}, "b has one run on each task.*at least 2 runs"),
        ({"a": SCORES, "b": np.full((2, 2), np.inf)}, "^b: Scores must be finite"),
    ],
)
def test_what_has_no_interval_is_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        comparable(scores)


@pytest.mark.parametrize(
    "scores, message",
    [
        (np.zeros(3), r"must be \(runs, tasks\).*but are \(3,\)"),
        (
            np.array([[0.0], [np.nan]]),
            "run 1 of task 0 has nan. A run that failed is a low",
        ),
    ],
)
def test_bad_scores_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        interquartile_mean(scores)


def test_other_tasks_cannot_be_compared():
    with pytest.raises(ValueError, match="same tasks, but one has 2 and the other 1"):
        probability_of_improvement(SCORES, SCORES[:, :1])
