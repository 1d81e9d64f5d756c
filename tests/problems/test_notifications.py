"""The simulator under hand-made thresholds: it was fixed before anything was trained."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import rankdata

from stitchrl.problems.notifications import (
    FEATURE_NAMES,
    HOLD,
    PARAMETERS,
    SEND,
    log,
    rollout,
    threshold_policy,
)
from stitchrl.problems.notifications.simulator import _blocks, behavior

USERS = 1500


def at(threshold: float, **changes):
    parameters = PARAMETERS._replace(**changes)
    policy = threshold_policy(threshold)
    return rollout(policy, users=USERS, seed=0, parameters=parameters)


def test_the_same_seed_is_the_same_world():
    assert at(0.05) == at(0.05)
    other = rollout(threshold_policy(0.05), users=USERS, seed=1)
    assert other != at(0.05)
    assert other.sessions == pytest.approx(at(0.05).sessions, rel=0.1)


def test_higher_thresholds_send_less_and_better():
    by_threshold = [at(threshold) for threshold in (0.0, 0.02, 0.06, 0.15, 0.3)]
    volumes = [found.volume for found in by_threshold]
    opened = [found.click_through for found in by_threshold]
    assert volumes[0] == 4 and volumes == sorted(volumes, reverse=True)
    assert opened == sorted(opened)


def test_sending_helps_and_too_much_of_it_hurts():
    nothing, some, everything = at(1 - 1e-9), at(0.04), at(0.0)
    assert nothing.volume == 0 and nothing.click_through == 0
    for name in ("sessions", "weekly_active"):
        best = getattr(some, name)
        assert best > 1.1 * getattr(nothing, name)
        assert best > 1.03 * getattr(everything, name)
    # It is fatigue: without it, everything is better than some.
    tireless = {"irritation": 0.0, "irrelevance": 0.0}
    assert at(0.0, **tireless).sessions > at(0.04, **tireless).sessions


def test_gain_comes_at_once_and_harm_later():
    eager, present = threshold_policy(0.0), behavior()
    blocks = [_blocks(policy, USERS, 0, 9, PARAMETERS) for policy in (eager, present)]
    more, fewer = ([block.visited.sum() for block in each] for each in blocks)
    assert sum(more[:4]) > sum(fewer[:4])  # The first day.
    assert sum(more[-4:]) < sum(fewer[-4:])  # The ninth.

    def gain(days: int) -> float:
        found = [rollout(p, users=USERS, seed=0, days=days) for p in (eager, present)]
        return (found[0].sessions - found[1].sessions) * days

    assert gain(8) > gain(16) > gain(24)


def test_users_are_as_the_comments_say():
    rng, size = np.random.default_rng(0), 200_000
    normal = rng.normal(size=(5, size))
    p = PARAMETERS
    activity = p.sessions_per_day * np.exp(p.sessions_deviation * normal[0])
    weekly, monthly = (-np.expm1(-days * activity).mean() for days in (7, 28))
    assert weekly / monthly == pytest.approx(2 / 3, abs=0.02)
    assert 1 / np.quantile(activity, 0.5) == pytest.approx(8.3, abs=0.2)
    assert np.quantile(activity, 0.9) > 0.5
    assert np.mean(p.block_activity) == 1
    block = np.array(p.block_logits)[rng.integers(p.blocks, size=size)]
    person, candidate = p.interest_deviation * normal[1], p.relevance_deviation * normal[2]
    logit = p.open_logit + person + candidate + block
    chance, score = expit(logit), logit + p.score_deviation * normal[3]
    assert chance.mean() == pytest.approx(0.045, abs=0.003)
    assert chance[score > np.quantile(score, 0.8)].mean() > 0.1
    opened = rng.random(size) < chance
    area = (rankdata(score)[opened].mean() - (opened.sum() + 1) / 2) / (~opened).sum()
    assert area == pytest.approx(0.75, abs=0.03)


def test_a_log_is_the_present_policy():
    dataset = log(users=500, seed=3)
    assert dataset.episodes == 500 and (dataset.lengths == 112).all()
    assert dataset.feature_names == FEATURE_NAMES and dataset.has_next.all()
    assert dataset.truncated.sum() == 500 and not dataset.terminated.any()
    score = expit(dataset.observation[:, 0])
    usual = np.where(score > PARAMETERS.threshold, SEND, HOLD)
    is_usual = dataset.action == usual
    assert is_usual.mean() == pytest.approx(0.975, abs=0.003)
    np.testing.assert_allclose(dataset.propensity, np.where(is_usual, 0.975, 0.025))
    parts = [dataset.rewards[name] for name in ("session", "click", "send")]
    np.testing.assert_allclose(dataset.reward, np.dot([1, 0.5, -0.02], parts))
    assert (dataset.action == SEND).mean() == pytest.approx(0.25, abs=0.03)
    found = rollout(behavior(), users=500, seed=3)
    assert dataset.rewards["session"].sum() / 500 / 28 == pytest.approx(found.sessions)
    assert parts[1].sum() / parts[2].sum() == pytest.approx(found.click_through)


def test_policies_see_features_and_nothing_else():
    seen = []

    def watch(observation: np.ndarray) -> np.ndarray:
        seen.append(observation)
        return np.tile([0.5, 0.5], (len(observation), 1))

    found = rollout(watch, users=200, seed=0, days=8)
    assert found.volume == pytest.approx(2, abs=0.1)
    assert len(seen) == 8 * 4 and seen[0].shape == (200, len(FEATURE_NAMES))
    assert all((block[:, 5:].sum(axis=1) == 1).all() for block in seen)
    with pytest.raises(ValueError, match="more than 7 days"):
        rollout(watch, users=10, seed=0, days=7)
