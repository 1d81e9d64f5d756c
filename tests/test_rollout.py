"""Episodes side by side, in an environment that counts for itself."""

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.rollout import Mapped, Mode, Outcome, Sampled, play
from stitchrl.tree import pytree


class Stairs:
    """Episode i starts on stair i; each action climbs so many; falls off above stair 5."""

    def __init__(self):
        self.steps = 0

    def reset(self, episodes, rng):
        self.stair = np.arange(episodes, dtype=np.float32)
        self.luck = rng.random(episodes)
        return self.stair[:, None].copy()

    def step(self, playing, action):
        self.steps += len(playing)
        self.stair[playing] += action
        reward = self.stair[playing] + self.luck[playing]
        return Outcome(self.stair[playing, None].copy(), reward, self.stair[playing] > 5)


@pytree
class Climber:
    """Its mode climbs one stair; sampled, it climbs one or two."""

    pace: jax.Array

    def mode(self, observation):
        return (self.pace + 0 * observation[0]).astype(jnp.int32)

    def sample(self, observation, key):
        return self.mode(observation) + jax.random.bernoulli(key).astype(jnp.int32)


CLIMBER = Climber(jnp.ones(()))


def climb(actor, *, episodes=4, max_steps=4, seed=0):
    stairs = Stairs()
    rows = play(Mapped(actor), stairs, episodes=episodes, max_steps=max_steps, seed=seed)
    return rows, stairs


def test_rows_are_episodes_in_time_order_with_both_kinds_of_ends():
    rows, stairs = climb(Mode(CLIMBER))
    # From stairs 0, 1, 2, 3: cut at 4 and 5, fallen at 6 in the last step and the third.
    assert rows.lengths.tolist() == [4, 4, 4, 3]
    assert rows.episode.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 3
    assert rows.observation[:, 0].tolist() == [
        *(0, 1, 2, 3),
        *(1, 2, 3, 4),
        *(2, 3, 4, 5),
        *(3, 4, 5),
    ]
    assert (rows.next_observation == rows.observation + 1).all()
    ends = np.flatnonzero(rows.terminated | rows.truncated)
    assert ends.tolist() == [3, 7, 11, 14]
    assert rows.terminated[ends].tolist() == [False, False, True, True]
    assert rows.truncated[ends].tolist() == [True, True, False, False]
    np.testing.assert_allclose(rows.returns, [10, 14, 18, 15] + stairs.luck * rows.lengths)


def test_steps_are_counted_and_none_is_taken_after_an_end():
    rows, stairs = climb(Mode(CLIMBER))
    assert rows.steps == stairs.steps == 15


def test_the_seed_decides_everything():
    again = [climb(Sampled(CLIMBER), seed=7)[0] for _ in range(2)]
    for one, other in zip(*again):
        assert np.array_equal(one, other)
    others = climb(Sampled(CLIMBER), seed=8)[0]
    assert not np.array_equal(again[0].reward[:3], others.reward[:3])


def test_mode_and_sample_are_different_actors():
    assert set(climb(Mode(CLIMBER), episodes=50)[0].action.tolist()) == {1}
    rows = climb(Sampled(CLIMBER), episodes=300, max_steps=1)[0]
    assert set(rows.action.tolist()) == {1, 2}
    assert abs(rows.action.mean() - 1.5) < 0.1


def test_draws_differ_between_steps():
    rows = climb(Sampled(Climber(jnp.zeros(()))), episodes=1, max_steps=40)[0]
    assert set(rows.action[:6].tolist()) == {0, 1}


@pytree
class Accountant:
    """Climbs as many stairs as decisions it remembers; checks the rewards it was told."""

    def initial_memory(self):
        return jnp.zeros((), jnp.int32), jnp.zeros(())

    def act(self, memory, observation, reward, key):
        decisions, total = memory
        return decisions, (decisions + 1, total + reward)


def test_an_actor_remembers_within_its_episode():
    rows, _ = climb(Accountant(), episodes=2, max_steps=3)
    assert rows.action.tolist() == [0, 1, 2, 0, 1, 2]


@pytree
class Repeats:
    """Climbs what it was last rewarded, rounded down."""

    def initial_memory(self):
        return ()

    def act(self, memory, observation, reward, key):
        return jnp.floor(reward).astype(jnp.int32), memory


def test_an_actor_is_told_the_reward_of_its_last_action():
    rows, _ = climb(Repeats(), episodes=2, max_steps=3)
    assert rows.action.tolist() == [0, 0, 0, 0, 1, 2]


TRACED = []


@pytree
class Traced:
    """Notes when JAX traces it."""

    pace: jax.Array

    def mode(self, observation):
        TRACED.append(observation.shape)
        return (self.pace + 0 * observation[0]).astype(jnp.int32)


def test_policies_of_one_structure_are_compiled_once():
    for pace in (1, 2):
        rows, _ = climb(Mode(Traced(jnp.asarray(pace, jnp.float32))))
        assert set(rows.action.tolist()) == {pace}
    assert TRACED == [(1,)]


def test_the_head_ends_in_an_episode_that_is_cut():
    rows, _ = climb(Mode(CLIMBER))
    head = rows.head(6)
    assert head.steps == 6 and head.truncated.tolist() == [False] * 3 + [True, False, True]
    assert not rows.truncated[5]
    assert rows.head(12).truncated[11] == np.False_ and rows.head(12).terminated[11]
