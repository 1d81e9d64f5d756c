"""The replay names the update, the quantities and the source rows."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.discrete_bcq import DiscreteBCQ
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.filtered_bc import FilteredBC
from stitchrl.experience import Experience, Transition
from stitchrl.guard import Incident, find_incident, rows_of_update
from stitchrl.population import advance_members, member, start_members
from stitchrl.testing import small_log
from stitchrl.train import Run, keys_of, start
from stitchrl.tree import hyperparameters, with_values

STEPS = 8
DQN = DoubleDQN(hidden=(8,), batch_size=16)
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def experience() -> Experience:
    """Source rows are 1000, 1001, ..."""
    whole = Experience.of(small_log("discrete"))
    return dataclasses.replace(whole, row=whole.row + 1000)


def with_reward(experience: Experience, row: int, value: float) -> Experience:
    transitions = experience.transitions
    reward = transitions.reward.at[row].set(value)
    return dataclasses.replace(experience, transitions=transitions._replace(reward=reward))


def drawn_rows(run: Run, update: int, size: int) -> list[int]:
    """What `sample_transitions` draws, said again independently of it."""
    sample_key, _ = keys_of(run.key, update)
    return np.asarray(jax.random.randint(sample_key, (16,), 0, size)).tolist()


def test_rows_are_named_where_several_steps_are_summed(experience: Experience):
    several = dataclasses.replace(experience, n_steps=3)
    run = start(DQN, experience, KEY)
    expected = [1000 + row for row in drawn_rows(run, 2, experience.size)]
    assert rows_of_update(DQN, several, run, 2).tolist() == expected


def first_seen(run: Run, row: int, size: int) -> int:
    return next(i for i in range(STEPS) if row in drawn_rows(run, i, size))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_planted_reward_is_found(experience: Experience, value: float):
    run = start(DQN, experience, KEY)
    for update in (0, 3):  # A row that appears for the first time in this update.
        row = next(
            row
            for row in drawn_rows(run, update, experience.size)
            if first_seen(run, row, experience.size) == update
        )
        spoiled = with_reward(experience, row, value)
        incident = find_incident(DQN, spoiled, run, STEPS)
        assert incident.update == update
        assert incident.quantities == ("critics", "critics/loss", "target_critics")
        expected = [1000 + r for r in drawn_rows(run, update, experience.size)]
        assert list(incident.rows) == expected[:5] and incident.batch_size == 16
        assert rows_of_update(DQN, spoiled, run, update).tolist() == expected
        assert 1000 + row in expected


def test_updates_are_counted_over_the_whole_run(experience: Experience):
    run = start(DQN, experience, KEY)._replace(step=jnp.array(40, jnp.int32))
    row = drawn_rows(run, 40, experience.size)[0]
    incident = find_incident(DQN, with_reward(experience, row, np.nan), run, STEPS)
    assert incident.update == 40 and incident.rows[0] == 1000 + row


def test_only_what_is_hurt_is_named(experience: Experience):
    """The first update of the critics does not hear of the spoiled imitation."""
    bcq = with_values(DiscreteBCQ(hidden=(8,), batch_size=16), logit_weight=float("inf"))
    incident = find_incident(bcq, experience, start(bcq, experience, KEY), STEPS)
    assert incident.update == 0
    assert incident.quantities == ("imitation", "imitation/loss")


def test_a_member_of_a_population_is_replayed_alone(experience: Experience):
    row = drawn_rows(start(DQN, experience, KEY), 2, experience.size)[0]
    spoiled = with_reward(experience, row, np.nan)
    members = start_members([DQN, DQN], spoiled, [jax.random.key(9), KEY])
    after, _, went = advance_members(members, spoiled, STEPS)
    assert not went[1]
    run = member(after.runs, 1)
    assert run.step == 0
    incident = find_incident(member(members.algorithms, 1), spoiled, run, STEPS)
    assert incident.update == first_seen(run, row, experience.size)


def test_rows_of_what_an_algorithm_prepared(experience: Experience):
    best = FilteredBC(hidden=(8,), batch_size=64, best_share=0.05)
    run = start(best, experience, KEY)
    rows = rows_of_update(best, experience, run, 0) - 1000
    cutoff = np.sort(np.asarray(experience.episode_return)[::8])[-3]
    assert (np.asarray(experience.episode_return)[rows] >= cutoff).all()
    assert len(set(rows.tolist())) > 16


class Weighed(NamedTuple):
    transition: Transition
    weight: jax.Array


@hyperparameters
class WeighedBC(BC):
    """Its batches hold transitions, and something else."""

    def sample(self, data, key):
        return Weighed(super().sample(data, key), jnp.ones(self.batch_size))


@hyperparameters
class BlindBC(BC):
    """Its batches hold no rewards."""

    def sample(self, data, key):
        return super().sample(data, key).observation


def test_rows_of_batches_of_another_form(experience: Experience):
    run = start(DQN, experience, KEY)
    expected = [1000 + row for row in drawn_rows(run, 5, experience.size)]
    weighed = WeighedBC(hidden=(8,), batch_size=16)
    assert rows_of_update(weighed, experience, run, 5).tolist() == expected
    blind = BlindBC(hidden=(8,), batch_size=16)
    assert rows_of_update(blind, experience, run, 5).tolist() == []


def test_a_replay_that_stays_finite_says_so(experience: Experience):
    with pytest.raises(RuntimeError, match="the replay of the chunk did not"):
        find_incident(DQN, experience, start(DQN, experience, KEY), STEPS)


def test_an_incident_reads_as_a_sentence():
    incident = Incident(1234, ("critics", "critics/loss"), (7, 8), 256)
    assert str(incident) == (
        "stopped: critics, critics/loss became infinite or undefined at update 1,234 (its "
        "batch of 256 began with source rows 7, 8). The last finite state was kept. Lower "
        "the learning rate, or look at these rows for extreme rewards."
    )
