"""What is checked: an algorithm on a small log, with programs that are compiled once."""

import dataclasses
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.experience import Experience
from stitchrl.learner import Metrics
from stitchrl.population import gathered, member, stack
from stitchrl.spaces import Continuous, Discrete
from stitchrl.train import Run, advance, keys_of, prepare

KINDS = {"continuous": Continuous, "discrete": Discrete, "masked": Discrete}
STEPS = 20  # Updates of a whole run: two chunks of ten.


def quick_options() -> dict[str, Any] | None:
    """Compiler options under which tiny programs are ready twice as soon.

    None where the compiler does not know them: they save time and change nothing else.
    Level 0 would save as much again, but without the emitters it makes wrong programs: the
    gradient of reverse-KL one-step RL came out 10 % off (jax 0.10.2, on the CPU).
    """
    options = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(jnp.negative, compiler_options=options)(0.0)
    except jax.errors.JaxRuntimeError:
        return None
    return options


def small_log(kind: str) -> Dataset:
    """512 random decisions in 64 episodes; half of them terminate, half are truncated.

    `kind` is "continuous" (two action columns), "discrete" (four actions) or "masked"
    (likewise, but not every action is allowed everywhere).
    """
    rng = np.random.default_rng(0)
    size, episodes, length, count = 512, 64, 8, 4
    ends = np.arange(size) % length == length - 1
    is_terminal = np.repeat(np.arange(episodes) % 2 == 0, length)
    final = rng.normal(size=(episodes, 2))
    final[::2] = np.nan
    columns: dict[str, Any] = {
        "observation": rng.normal(size=(size, 2)),
        "reward": rng.normal(size=size),
        "terminated": ends & is_terminal,
        "truncated": ends & ~is_terminal,
        "final_observation": final,
    }
    if kind == "continuous":
        bounds = Bounds(names=("dose", "rate"), low=(-1.0, -1.0), high=(1.0, 1.0))
        action = rng.uniform(-1, 1, size=(size, 2))
        return Dataset.create(**columns, action=action, actions=bounds)
    action = rng.integers(count, size=size)
    choices = Choices(labels=("left", "right", "up", "down"))
    if kind == "masked":
        valid = rng.random((size, count)) < 0.5
        valid[np.arange(size), action] = True
        columns["valid_actions"] = valid
        columns["final_valid_actions"] = np.eye(count, dtype=bool)[np.arange(episodes) % 4]
    return Dataset.create(**columns, action=action, actions=choices)


class Subject:
    """An algorithm on one small log, with the compiled programs that its checks share."""

    def __init__(self, algorithm: Any, kind: str, log: Dataset | None = None):
        self.algorithm, self.kind = algorithm, kind
        self.name = type(algorithm).__name__
        self.experience = Experience.of(log or small_log(kind))
        self.key = jax.random.key(0)
        self.traces = 0  # How often `whole` was traced.
        quickly = quick_options()
        many = jax.vmap(lambda algorithm, *inputs: algorithm.update(*inputs))
        self._many = jax.jit(many, compiler_options=quickly)
        self._half = jax.jit(partial(advance, steps=STEPS // 2), compiler_options=quickly)
        self._whole = jax.jit(self._count_and_advance, compiler_options=quickly)
        self._drawn = jax.jit(_drawn, compiler_options=quickly)
        self.act = jax.jit(self._act, compiler_options=quickly)

    def _count_and_advance(self, algorithm: Any, data: Any, run: Run):
        self.traces += 1
        return advance(algorithm, data, run, STEPS)

    def start(self, key: Key[Array, ""]) -> Run:
        """A run before its first update, made step by step: compiling `init` takes long."""
        init_key, loop_key = jax.random.split(key)
        state = self.algorithm.init(init_key, self.experience.spec)
        return Run(state, jnp.array(0, jnp.int32), loop_key)

    def whole(self, algorithm: Any, run: Run) -> tuple[Run, Metrics]:
        """The run after `STEPS` updates, and their mean metrics."""
        return self._whole(algorithm, self.data, run)

    def half(self, run: Run) -> Run:
        """The run after half as many."""
        return self._half(self.algorithm, self.data, run)[0]

    @cached_property
    def first(self) -> Run:
        """The run that starts with `key`."""
        return self.start(self.key)

    @cached_property
    def other(self) -> Run:
        """A run that starts with another key."""
        return self.start(jax.random.fold_in(self.key, 1))

    @cached_property
    def trained(self) -> tuple[Run, Metrics]:
        """What becomes of the first run in `STEPS` updates, and their mean metrics."""
        return self.whole(self.algorithm, self.first)

    def many(self, members: list[tuple[Any, Any, Any, Any]]) -> list[tuple[Any, Metrics]]:
        """One update of two members at once, each (algorithm, state, batch, key)."""
        together = gathered(self._many(*stack(members)))
        return [jax.tree.map(jnp.asarray, member(together, i)) for i in range(len(members))]

    def _act(self, algorithm: Any, state: Any, key: Key[Array, ""]) -> dict[str, Any]:
        """What the policy does in every row of the log: sampled, and as its mode."""
        policy, observation = algorithm.policy(state), self.observation
        keys = jax.random.split(key, self.experience.size)
        acts = {"sample": jax.vmap(policy.sample)(observation, keys)}
        if hasattr(policy, "mode"):
            acts["mode"] = jax.vmap(policy.mode)(observation)
        return acts

    @property
    def observation(self) -> Any:
        return self.experience.transitions.observation

    @cached_property
    def data(self) -> Any:
        return prepare(self.algorithm, self.experience)

    def inputs(self, algorithm: Any, run: Run, step: int) -> tuple[Any, Any, Any, Any]:
        """What `many` takes for update number `step` of this member."""
        batch, update_key = self._drawn(algorithm, self.data, run.key, step)
        return algorithm, run.state, batch, update_key

    @cached_property
    def batch(self) -> Any:
        return self.algorithm.sample(self.data, self.key)

    @cached_property
    def changed(self) -> Any:
        """The algorithm with another number for every float."""
        floats = {
            field.name: value
            for field in dataclasses.fields(self.algorithm)
            if isinstance(value := getattr(self.algorithm, field.name), float)
        }
        other = {name: 0.5 * value + 1e-3 for name, value in floats.items()}
        return dataclasses.replace(self.algorithm, **other)


def _drawn(algorithm: Any, data: Any, key: Key[Array, ""], step: Any) -> tuple[Any, Any]:
    """The batch of an update and the key that is left for it."""
    sample_key, update_key = keys_of(key, step)
    return algorithm.sample(data, sample_key), update_key
