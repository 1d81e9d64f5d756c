"""The one training loop: a scan, in chunks, over updates numbered from zero."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from stitchrl.algorithms.base import Prepares, Trainable
from stitchrl.experience import Experience, is_elsewhere
from stitchrl.learner import Metrics
from stitchrl.spaces import Spec


class Run(NamedTuple):
    """Everything a run needs in order to go on: save it, and it resumes bit for bit."""

    state: Any
    step: Any  # Updates taken.
    key: Any  # Of the loop; update i uses fold_in(key, i).


def prepare(algorithm: Trainable, experience: Experience) -> Any:
    """What `sample` reads: the experience itself, or what the algorithm makes of it.

    Raises `ValueError` if it would make something of columns that are not on the device.
    """
    if isinstance(algorithm, Prepares):
        if is_elsewhere(experience):
            raise ValueError(
                f"{type(algorithm).__name__} orders or sums up all rows before it starts, "
                "which takes them on the device, but these are columns of NumPy. Give it "
                "the log in memory, or choose an algorithm that draws rows as they are."
            )
        return _prepare(algorithm, experience)
    return experience


@jax.jit
def _prepare(algorithm: Prepares, experience: Experience) -> Any:
    return algorithm.prepare(experience)


def start(algorithm: Trainable, experience: Experience, key: Key[Array, ""]) -> Run:
    """A run before its first update."""
    return _start(algorithm, key, experience.spec)


@partial(jax.jit, static_argnames="spec")
def _start(algorithm: Trainable, key: Key[Array, ""], spec: Spec) -> Run:
    """Of a log only the spec matters here: logs of any size share this program."""
    init_key, loop_key = jax.random.split(key)
    return Run(algorithm.init(init_key, spec), jnp.array(0, jnp.int32), loop_key)


def keys_of(run_key: Key[Array, ""], step: Any) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The keys with which update number `step` samples and updates."""
    sample_key, update_key = jax.random.split(jax.random.fold_in(run_key, step))
    return sample_key, update_key


@partial(jax.jit, static_argnames="steps")
def advance(algorithm: Trainable, data: Any, run: Run, steps: int) -> tuple[Run, Metrics]:
    """Take `steps` more updates on prepared data; metrics are averaged over them."""

    def step(state, i):
        sample_key, update_key = keys_of(run.key, i)
        return algorithm.update(state, algorithm.sample(data, sample_key), update_key)

    state, metrics = jax.lax.scan(step, run.state, run.step + jnp.arange(steps))
    return Run(state, run.step + steps, run.key), jax.tree.map(jnp.mean, metrics)


@partial(jax.jit, static_argnames="steps")
def train(algorithm: Trainable, experience: Experience, key: Key[Array, ""], steps: int):
    """A whole run as one pure function: `vmap` it over seeds, hyper-parameters or both.

    Returns the state after `steps` updates and the metrics averaged over all of them.
    """
    data = prepare(algorithm, experience)
    run, metrics = advance(algorithm, data, start(algorithm, experience, key), steps)
    return run.state, metrics


def chunks(
    algorithm: Trainable, experience: Experience, run: Run, *, until: int, every: int
) -> Iterator[tuple[Run, Metrics]]:
    """The same run, handed out after every `every` updates: to log, probe and save.

    Raises `ValueError` unless chunks have one size of at least 2: otherwise the result
    would not be equal bit for bit to that of an uninterrupted run.
    """
    if every < 2 or until % every or int(run.step) % every:
        raise ValueError(
            f"Chunks must have one size of at least 2 that divides the plan: got chunks of "
            f"{every} for updates {int(run.step)} to {until}. Choose a chunk that divides "
            "both."
        )
    data = prepare(algorithm, experience)
    while int(run.step) < until:
        run, metrics = advance(algorithm, data, run, every)
        yield run, metrics


def held(algorithm: Any) -> Any:
    """The same losses, with every optimizer's step size zero."""

    def hold(path: Any, value: Any) -> Any:
        is_rate = jax.tree_util.keystr(path).endswith("learning_rate")
        return jnp.zeros_like(value) if is_rate else value

    return jax.tree.map_with_path(hold, algorithm)


@jax.jit
def probe(algorithm: Trainable, state: Any, batch: Any, key: Key[Array, ""]) -> Metrics:
    """Metrics on a held-out batch: an update whose step size is zero and result dropped."""
    return held(algorithm).update(state, batch, key)[1]
