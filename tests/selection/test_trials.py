"""A budget of trials is spent, counted, and can be gone on with."""

from itertools import islice

import numpy as np
import pytest

from stitchrl.selection.online import Beliefs
from stitchrl.selection.trials import chosen, spend

VALUES = np.array([10.0, 30.0, 50.0])


def play(policy: int, seed: int) -> tuple[float, int]:
    noise = np.random.default_rng([seed, 7]).normal()
    return float(VALUES[policy] + 5 * noise), 4


def test_the_best_is_found_and_every_step_is_counted():
    beliefs = Beliefs.of(3)
    tried = list(spend(beliefs, play, budget=12, range_of_returns=(0.0, 60.0)))
    found = chosen(beliefs, tried, (0.0, 60.0))
    assert found.best == 2 and found.tried.sum() == 12
    assert sum(trial.steps for trial in tried) == 48
    assert found.mean[2] == pytest.approx(50, abs=4)
    assert (found.deviation > 0).all()


def test_going_on_is_as_if_never_stopped():
    beliefs = Beliefs.of(3, estimates=np.array([1.0, 2.0, 0.0]))
    whole = list(spend(beliefs, play, budget=9, range_of_returns=(0.0, 60.0)))
    begun = tuple(islice(spend(beliefs, play, budget=9, range_of_returns=(0.0, 60.0)), 4))
    rest = list(spend(beliefs, play, budget=9, range_of_returns=(0.0, 60.0), before=begun))
    assert [*begun, *rest] == whole


def test_half_of_a_budget_goes_round():
    """Most promising first; a larger budget later goes round further."""
    beliefs = Beliefs.of(3, estimates=np.array([1.0, 2.0, 0.0]))
    tried = list(spend(beliefs, play, budget=12, range_of_returns=(0.0, 60.0)))
    assert [trial.policy for trial in tried[:6]] == [1, 0, 2, 1, 0, 2]
    more = spend(
        beliefs, play, budget=120, range_of_returns=(0.0, 60.0), before=tuple(tried)
    )
    assert np.bincount([trial.policy for trial in more]).min() >= 20 - 6


def test_one_bad_episode_does_not_end_a_policy():
    """It returns 0 or 1000, and 0 first; the estimate prefers the one that returns 100."""

    def gamble(policy: int, seed: int) -> tuple[float, int]:
        return (100.0 if policy else 1000.0 * (seed > 2 and seed % 2)), 1

    beliefs = Beliefs.of(2, estimates=np.array([0.0, 1.0]))
    tried = list(spend(beliefs, gamble, budget=40, range_of_returns=(0.0, 100.0)))
    assert tried[1] == (0, 0.0, 1)
    assert chosen(beliefs, tried, (0.0, 100.0)).best == 0


def test_returns_beyond_the_range_widen_it():
    beliefs = Beliefs.of(2)

    def far(policy: int, seed: int) -> tuple[float, int]:
        return (500.0 if policy else -500.0) + seed, 1

    tried = list(spend(beliefs, far, budget=6, range_of_returns=(0.0, 1.0)))
    found = chosen(beliefs, tried, (0.0, 1.0))
    assert found.best == 1 and found.mean[1] > 400


def test_nothing_is_chosen_before_a_trial():
    with pytest.raises(ValueError, match="No policy was tried yet"):
        chosen(Beliefs.of(2), [], (0.0, 1.0))
    assert list(spend(Beliefs.of(2), play, budget=0, range_of_returns=(0.0, 1.0))) == []
