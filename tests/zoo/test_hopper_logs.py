"""The shipped policies, and how their episodes become logs; falls made by hand."""

import numpy as np
import pytest

from stitchrl.rollout import Played
from stitchrl.zoo import hopper, hopper_logs
from stitchrl.zoo.linear import Linear

LADDER = hopper_logs.ladder()


def test_the_ladder_is_spread_and_sorted():
    means = LADDER.mean_return
    assert LADDER.weights.shape == (len(means), 3, 11)
    assert LADDER.bias.shape == (len(means), 3)
    assert (np.diff(means) > 200).all()
    assert means[0] < 600 and means[-1] > 3000
    assert (LADDER.standard_error < 50).all()
    assert hopper_logs.FILE.stat().st_size < 10_000


def test_rungs_act_within_bounds_whatever_they_see():
    rungs = Linear(LADDER.weights, LADDER.bias)
    seen = np.random.default_rng(0).normal(0, 5, (60, 11)).astype(np.float32)
    action, _ = rungs.act(rungs.start(60, seed=0), seen, np.zeros(60))
    assert abs(action).max() == 1 and action.dtype == np.float32


def played() -> Played:
    """A fall after two decisions, and an episode that is cut after three."""
    seen = np.arange(5 * 11, dtype=np.float32).reshape(5, 11)
    return Played(
        observation=seen,
        action=np.zeros((5, 3), np.float32),
        reward=np.arange(5.0),
        terminated=np.array([False, True, False, False, False]),
        truncated=np.array([False, False, False, False, True]),
        episode=np.array([0, 0, 1, 1, 1]),
        next_observation=seen + 1000,
    )


def test_nothing_follows_a_fall_but_something_follows_a_limit():
    log = hopper_logs.as_log(played(), np.full(5, 0.25))
    assert log.lengths.tolist() == [2, 3]
    assert np.isnan(log.final_observation[0]).all()
    assert log.final_observation[1].tolist() == (np.arange(44, 55) + 1000).tolist()
    assert log.returns().tolist() == [1, 9]
    assert log.horizon == hopper.MAX_STEPS and log.propensity.tolist() == [0.25] * 5


class Falls:
    """Every episode ends in its third step."""

    def reset(self, episodes, rng):
        self.steps = 0
        return np.zeros((episodes, 11), np.float32)

    def step(self, playing, action):
        self.steps += 1
        from stitchrl.rollout import Outcome

        count = len(playing)
        ends = np.full(count, self.steps == 3)
        return Outcome(np.ones((count, 11), np.float32), np.ones(count), ends)


@pytest.fixture
def falls(monkeypatch):
    monkeypatch.setattr(hopper_logs, "Hopper", Falls)
    monkeypatch.setattr(hopper_logs, "SIZE", 200)
    monkeypatch.setattr(hopper_logs, "SIDE_BY_SIDE", 10)


def test_logs_are_filled_to_their_size(falls):
    log = hopper_logs.of_chance()
    assert log.size == 200 and log.episodes == 67
    assert log.truncated.sum() == 1 and log.truncated[-1]
    assert set(log.propensity) == {1 / 8}


def test_rungs_share_a_log_equally_with_their_own_densities(falls):
    log = hopper_logs.of_rungs((0, 2), 0.2)
    assert log.size == 200
    ends = np.flatnonzero(log.truncated)
    assert ends.tolist() == [99, 199], "each share is cut where it is full"
    for rung, rows in ((0, slice(0, 100)), (2, slice(100, 200))):
        policy = Linear(
            LADDER.weights[rung][None], LADDER.bias[rung][None], np.array([0.2])
        )
        zeros = np.zeros(100, np.int64)
        seen, taken = log.observation[rows], log.action[rows]
        assert np.array_equal(log.propensity[rows], policy.density(seen, taken, zeros))


def test_hopper_is_scored_as_in_d4rl():
    from stitchrl import zoo

    scale = zoo.find("hopper-medium-zoo-v0").scale
    assert scale.score(-20.272305) == 0 and scale.score(3234.3) == pytest.approx(100)
