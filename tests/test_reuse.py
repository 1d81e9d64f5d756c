"""Policies are not judged on the episodes by which they came to be."""

import dataclasses

import numpy as np

from stitchrl.candidates import Candidate
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.judge import Judge
from stitchrl.evaluation.requests import Request
from stitchrl.reuse import KEPT, NOTHING, fingerprints, reused
from stitchrl.splits import split


def log(episodes: int = 200, seed: int = 0, names: str = "stay") -> Dataset:
    rng = np.random.default_rng(seed)
    size = 2 * episodes
    return Dataset.create(
        observation=rng.normal(size=(size, 2)),
        action=rng.integers(0, 2, size),
        reward=rng.random(size),
        terminated=np.arange(size) % 2 == 1,
        truncated=np.zeros(size, bool),
        actions=Choices(("a", "b")),
        propensity=np.full(size, 0.5),
        episode=np.array([f"{names} {i}" for i in range(episodes)]).repeat(2),
    )


def test_the_same_log_is_recognized_and_its_certification_split_is_not():
    parts = split(log(), seed=0)
    used = fingerprints(parts.train, parts.selection)
    assert used.shape == (160, 2) and used.dtype == np.uint64
    assert reused(log(), used) == 160
    assert reused(parts.train, used) == parts.train.episodes
    assert reused(parts.certification, used) == 0
    assert reused(split(log(), seed=1).certification, used) > 20


def test_a_log_that_has_grown_is_recognized_whatever_its_reward():
    used = fingerprints(log(100))
    grown = log(100).take_episodes(np.arange(100) >= 70)
    other_reward = dataclasses.replace(grown, reward=grown.reward + 1)
    assert reused(other_reward, used) == 30


def test_other_episodes_of_the_same_names_are_not():
    used = fingerprints(log(seed=0))
    assert reused(log(seed=1), used) == 0
    assert reused(log(names="visit"), used) == 0
    assert reused(log(), NOTHING) == 0


def test_short_episodes_are_equal_by_chance():
    """Of one decision without context, nine times in ten the same: .81 agree by chance."""

    def rounds(seed: int) -> Dataset:
        rare = np.random.default_rng(seed).random(400) < 0.1
        return Dataset.create(
            observation=np.ones(400),
            action=rare.astype(int),
            reward=np.zeros(400),
            terminated=np.ones(400, bool),
            truncated=np.zeros(400, bool),
            actions=Choices(("a", "b")),
            episode=np.arange(400),
        )

    used = fingerprints(rounds(0))
    assert reused(rounds(0), used) == 400
    assert reused(rounds(0).take_episodes(np.arange(300, 400)), used) == 100
    assert all(reused(rounds(seed), used) == 0 for seed in range(1, 20))


def test_episodes_that_are_all_equal_are_recognized():
    """Chance alone would make every pair equal, too: nothing tells them apart."""
    equal = log(20)
    rows = np.zeros(40, int)
    equal = dataclasses.replace(
        equal, observation=equal.observation[rows], action=equal.action[rows]
    )
    assert reused(equal, fingerprints(equal)) == 20


def test_of_a_large_log_a_part_is_kept():
    large = log(KEPT + 5_000)
    used = fingerprints(large)
    assert len(used) == KEPT
    assert reused(large, used) == KEPT + 5_000
    assert reused(log(KEPT + 5_000, seed=1), used) == 0


def test_such_a_policy_is_refused_with_the_way_out():
    uniform = Candidate("uniform", "external", "sample", "uniform")
    known = dataclasses.replace(uniform, used=fingerprints(log()))
    judge = Judge(log(), 1.0, updates=20, seed=0, certified=2)
    fresh, again = judge.evidence([Request(uniform), Request(known)])
    assert "REUSE" not in [refusal.code for refusal in fresh.refusals]
    (refusal,) = [r for r in again.refusals if r.code == "REUSE"]
    assert "About 200 of the 200 episodes" in refusal.message
    assert "stitchrl evaluate RUN" in refusal.remedy
