"""When numbers stop being finite: replay the chunk and name where it began."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.algorithms.base import Trainable
from stitchrl.experience import Experience, Transition, is_elsewhere
from stitchrl.population import all_finite
from stitchrl.train import Run, keys_of, prepare
from stitchrl.tree import with_values

SHOWN = 5


class Incident(NamedTuple):
    """The first update of a run that produced a NaN or an infinity."""

    update: int  # Counted from 0 over the whole run.
    quantities: tuple[str, ...]  # Metrics and parts of the state, in alphabetical order.
    rows: tuple[int, ...]  # In the source: the first few rows of that update's batch.
    batch_size: int

    def __str__(self) -> str:
        rows = ", ".join(map(str, self.rows)) or "unknown"
        return (
            f"stopped: {', '.join(self.quantities)} became infinite or undefined at update "
            f"{self.update:,} (its batch of {self.batch_size} began with source rows "
            f"{rows}). The last finite state was kept. Lower the learning rate, or look at "
            "these rows for extreme rewards."
        )


def find_incident(
    algorithm: Trainable, experience: Experience, run: Run, steps: int
) -> Incident:
    """Replay `steps` updates, and as many more, from `run`, a member's last finite state.

    More, because rounding differs between programs: replayed alone, a run that diverged at
    the end of its chunk may overflow a little later. Raises `RuntimeError` if the replay
    stays finite.
    """
    replay = _flags_one_by_one if is_elsewhere(experience) else _finite_flags
    flags = replay(algorithm, prepare(algorithm, experience), run, 2 * steps)
    flags = {name: np.asarray(flag) for name, flag in flags.items()}
    bad = ~np.stack(list(flags.values()))
    if not bad.any():
        raise RuntimeError(
            "A member became non-finite, but the replay of the chunk did not: the machine "
            "may be faulty. Run `stitchrl doctor` and resume."
        )
    offset = int(bad.any(axis=0).argmax())
    quantities = sorted(name for name, flag in flags.items() if not flag[offset])
    update = int(run.step) + offset
    rows = rows_of_update(algorithm, experience, run, update)
    first = tuple(int(row) for row in rows[:SHOWN])
    return Incident(update, tuple(quantities), first, len(rows))


@partial(jax.jit, static_argnames="steps")
def _finite_flags(algorithm, data, run, steps):
    def step(state, i):
        sample_key, update_key = keys_of(run.key, i)
        batch = algorithm.sample(data, sample_key)
        return _update_and_flags(algorithm, state, batch, update_key)

    return jax.lax.scan(step, run.state, run.step + jnp.arange(steps))[1]


def _flags_one_by_one(algorithm, data, run, steps):
    """The same where columns are not on the device, up to the first that is not finite."""
    state, every = run.state, []
    for index in range(int(run.step), int(run.step) + steps):
        sample_key, update_key = keys_of(run.key, index)
        batch = algorithm.sample(data, sample_key)
        state, flags = _update_and_flags(algorithm, state, batch, update_key)
        every.append({name: bool(flag) for name, flag in flags.items()})
        if not all(every[-1].values()):
            break
    return {name: np.array([flags[name] for flags in every]) for name in every[0]}


@jax.jit
def _update_and_flags(algorithm, state, batch, key):
    state, metrics = algorithm.update(state, batch, key)
    parts = metrics | state._asdict()
    return state, {name: all_finite(part) for name, part in parts.items()}


def rows_of_update(
    algorithm: Trainable, experience: Experience, run: Run, update: int
) -> np.ndarray:
    """int (batch,): the source rows that update number `update` of this run was given.

    Samplers only index columns, so drawing from a column of row numbers tells them. Empty
    if the batch has no column of rewards.
    """
    transitions: Transition = experience.transitions._replace(reward=experience.row)
    # One step: a sum of row numbers names no row. Which rows are drawn stays the same.
    numbered = with_values(experience, transitions=transitions, n_steps=1)
    sample_key, _ = keys_of(run.key, update)
    batch = algorithm.sample(prepare(algorithm, numbered), sample_key)
    paths, _ = jax.tree_util.tree_flatten_with_path(batch)
    names = {jax.tree_util.keystr(path[-1:], simple=True): leaf for path, leaf in paths}
    return np.ravel(names["reward"]) if "reward" in names else np.zeros(0, np.int32)
