"""Ranking on one split: what weights leave to FQE, and what networks can tell apart."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation.test_model_values import Steering, request
from evaluation.test_network_values import acting, bandit, chain

from stitchrl.candidates import Candidate
from stitchrl.evaluation import split_models
from stitchrl.evaluation.ranking import Ranking
from stitchrl.evaluation.requests import Request
from stitchrl.ope.dynamics import CANNOT_CHECK, MISSES, ModelValue
from stitchrl.problems.lqg import BEHAVIOR, LQG, TARGET


def ranking(log, *, updates=1_000):
    return Ranking(log, discount=1.0, updates=updates, seed=0)


def from_columns(*probabilities, rows=2_000):
    """Of one step: the same at every row."""
    policy = np.tile(probabilities, (rows, 1))
    return Request(Candidate(str(probabilities), "policy", "sample", policy))


BAD, FAIR, GOOD = acting(0.1, 0.9, 0.0), acting(0.5, 0.5, 0.0), acting(0.8, 0.2, 0.0)
UNSEEN = acting(0.0, 0.0, 1.0)


def test_weights_leave_the_best_to_fqe_and_what_has_none():
    """Worth .1, .5, .8 by weights; what is never logged cannot be weighed, and stays."""
    four = [BAD, UNSEEN, GOOD, FAIR]
    assert ranking(bandit()).first_by_weights(four, 1) == [1, 2]
    assert ranking(bandit()).first_by_weights(four, 2) == [1, 2, 3]
    assert ranking(bandit()).first_by_weights(four, 9) == [0, 1, 2, 3]


def test_weights_are_normalized_and_discounted():
    """Two chains of two steps, followed with .8² and .2²: (.64 · 3 + .04 · 1) / .68."""
    log = bandit(4)
    log = dataclasses.replace(log, reward=np.array([1.0, 0.0, 0.5, 0.5]))
    found = ranking(log)._weighted(GOOD)
    assert found == pytest.approx((0.8 * 1.5 + 0.2 * 0.5) / 2)


@pytest.fixture(scope="module")
def by_networks():
    log = dataclasses.replace(bandit(400), state_id=None, final_state_id=None)
    three = [(0.8, 0.2, 0.0), (0.79, 0.21, 0.0), (0.1, 0.9, 0.0)]
    requests = [from_columns(*chances, rows=400) for chances in three]
    found = ranking(log, updates=600)
    return (values := found.values(requests)), found.separation(requests, values)


def test_networks_rank_by_value(by_networks):
    assert by_networks[0] == pytest.approx([0.8, 0.79, 0.1], abs=0.05)


def test_networks_say_which_policies_are_surely_behind(by_networks):
    """Of the last surely; nearly equal ones are one point apart, by exact Q a little."""
    found = by_networks[1]
    assert found.behind[2] == pytest.approx(0.7, abs=0.05)
    assert found.is_apart[2] and 0.5 < found.lowest[2] < found.behind[2]
    assert found.lowest[0] == 0 and found.lowest[1] < found.behind[1]


def test_a_model_that_knows_the_present_can_only_lower_what_networks_say(monkeypatch):
    """Also of a policy that leaves what was logged, which has no vote for that."""
    of_networks = SimpleNamespace(rank=lambda requests: [3.0] * len(requests))
    monkeypatch.setattr(Ranking, "networks", of_networks)
    said = [(1.0, ""), (5.0, ""), (1.0, "it leaves"), (1.0, MISSES), (1.0, CANNOT_CHECK)]
    found = [ModelValue(value, 0.0, 0.0, "networks", 0.0, why) for value, why in said]
    monkeypatch.setattr(Ranking, "played", lambda self, requests: [*found, None])
    log = dataclasses.replace(bandit(10), state_id=None, final_state_id=None)
    assert ranking(log).values([GOOD] * 6) == [1.0, 3.0, 1.0, 3.0, 3.0, 3.0]


def test_a_model_puts_last_what_networks_put_first(monkeypatch):
    """Steering away from where the log went is worth -10; steering well -1.5."""
    behavior = request(Steering(BEHAVIOR.gain, BEHAVIOR.deviation)).candidate.policy
    monkeypatch.setattr(split_models, "imitations_of", lambda *_, **__: [behavior] * 2)
    log = LQG().log(BEHAVIOR, episodes=60, horizon=10, seed=0)
    away, well = (request(Steering(gain, 0.0), act="mode") for gain in (-0.2, TARGET.gain))
    found = ranking(log, updates=200)
    worst, best = found.values([away, well])
    assert worst == pytest.approx(-10, abs=1.5) and best > -2.5
    assert found.networks is not None
    assert found.networks.rank([away])[0] > -2.5


def test_nothing_to_rank():
    assert ranking(chain()).values([]) == []
