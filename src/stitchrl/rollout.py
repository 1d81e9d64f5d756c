"""Policies in environments: the only code that steps one, and it counts the steps.

All episodes of a rollout go on side by side, so that a policy is asked once per step for
all of them, in one compiled call.
"""

from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from stitchrl.tree import pytree

Act = Literal["mode", "sample"]


@runtime_checkable
class Actor(Protocol):
    """Acts through one episode, with a memory: pure functions that JAX can map."""

    def initial_memory(self) -> Any:
        """What it remembers before the first decision."""
        ...

    def act(
        self, memory: Any, observation: Any, reward: Any, key: Key[Array, ""]
    ) -> tuple[Any, Any]:
        """The action and the memory afterwards; `reward` is that of its last action."""
        ...


@pytree
class Mode:
    """The actor that takes the mode of a policy."""

    policy: Any

    def initial_memory(self) -> tuple[()]:
        return ()

    def act(self, memory: Any, observation: Any, reward: Any, key: Any) -> tuple[Any, Any]:
        del reward, key
        return self.policy.mode(observation), memory


@pytree
class Sampled:
    """The actor that draws from a policy."""

    policy: Any

    def initial_memory(self) -> tuple[()]:
        return ()

    def act(self, memory: Any, observation: Any, reward: Any, key: Any) -> tuple[Any, Any]:
        del reward
        return self.policy.sample(observation, key), memory


ACTORS = {"mode": Mode, "sample": Sampled}


@runtime_checkable
class Players(Protocol):
    """Whoever acts in several episodes at once: NumPy outside, anything inside."""

    def start(self, episodes: int, seed: int) -> Any:
        """The memory of all episodes before their first decisions."""
        ...

    def act(
        self, memory: Any, observation: np.ndarray, reward: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        """An action for each episode, also for those that have ended, and the memory."""
        ...


class Mapped:
    """One actor in each episode, compiled once for all actors of the same structure."""

    def __init__(self, actor: Actor):
        self.actor = actor

    def start(self, episodes: int, seed: int) -> Any:
        keys = jax.random.split(jax.random.key(seed), episodes)
        memory = jax.tree.map(
            lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], episodes, axis=0),
            self.actor.initial_memory(),
        )
        return memory, keys, 0

    def act(
        self, memory: Any, observation: np.ndarray, reward: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        remembered, keys, step = memory
        reward = reward.astype(np.float32)
        action, remembered = _act(self.actor, remembered, observation, reward, keys, step)
        return np.asarray(action), (remembered, keys, step + 1)


@jax.jit
def _act(actor, memory, observation, reward, keys, step):
    key = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
    return jax.vmap(actor.act)(memory, observation, reward, key)


class Outcome(NamedTuple):
    """What one step led to in each episode that was stepped."""

    observation: np.ndarray  # float32 (n, features)
    reward: np.ndarray  # float64 (n,)
    terminated: np.ndarray  # bool (n,)


@runtime_checkable
class Environments(Protocol):
    """Copies of one environment, which know no time limit. Actions are as policies give
    them: in [-1, 1], or numbers from 0.
    """

    def reset(self, episodes: int, rng: np.random.Generator) -> np.ndarray:
        """Start so many episodes anew: float32 (episodes, features)."""
        ...

    def step(self, playing: np.ndarray, action: np.ndarray) -> Outcome:
        """One step in the episodes int64 `playing` (n,), with an action for each."""
        ...


class Played(NamedTuple):
    """Rows of played episodes, episode after episode, in time order."""

    observation: np.ndarray  # float32 (size, features)
    action: np.ndarray  # float32 (size, dims), or int32 (size,)
    reward: np.ndarray  # float64 (size,)
    terminated: np.ndarray  # bool (size,)
    truncated: np.ndarray  # bool (size,)
    episode: np.ndarray  # int64 (size,)
    next_observation: np.ndarray  # float32 (size, features): also where nothing follows.

    @property
    def steps(self) -> int:
        """Steps taken in the environment, by all episodes together."""
        return len(self.reward)

    @property
    def lengths(self) -> np.ndarray:
        """int64 (episodes,)"""
        return np.bincount(self.episode)

    @property
    def returns(self) -> np.ndarray:
        """float64 (episodes,): undiscounted."""
        return np.bincount(self.episode, self.reward)

    def head(self, size: int) -> "Played":
        """The first `size` rows; the episode in which they end is truncated there."""
        rows = Played(*(column[:size] for column in self))
        rows = rows._replace(truncated=rows.truncated.copy())
        rows.truncated[-1:] = ~rows.terminated[-1:]
        return rows


def play(
    players: Players,
    environments: Environments,
    *,
    episodes: int,
    max_steps: int,
    seed: int,
) -> Played:
    """Play episodes to their end, or until they are cut after `max_steps`.

    A pure function of its arguments: the same seed gives the same rows.
    """
    observation = environments.reset(episodes, np.random.default_rng([seed, 0]))
    memory = players.start(episodes, seed)
    reward, playing = np.zeros(episodes), np.arange(episodes)
    columns: list[tuple[np.ndarray, ...]] = []
    while len(playing):
        action, memory = players.act(memory, observation, reward)
        taken = action[playing]
        outcome = environments.step(playing, taken)
        is_last = len(columns) + 1 == max_steps
        truncated = ~outcome.terminated & is_last
        seen = observation[playing]
        observation, reward = observation.copy(), reward.copy()
        observation[playing], reward[playing] = outcome.observation, outcome.reward
        columns.append(
            (seen, taken, outcome.reward, outcome.terminated, truncated, playing)
            + (outcome.observation,)
        )
        playing = playing[~(outcome.terminated | truncated)]
    rows = Played(*map(np.concatenate, zip(*columns)))
    order = np.argsort(rows.episode, kind="stable")
    return Played(*(column[order] for column in rows))
