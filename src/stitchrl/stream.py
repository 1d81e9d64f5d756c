"""Training on columns that do not lie on the device: NumPy arrays, and memory maps.

The device draws the numbers of rows, the host gathers those rows, and the device takes the
updates; meanwhile the host gathers the rows of the next ones. The rows are those that would
be drawn if all columns were on the device: `sample` itself is asked for them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.learner import Metrics
from stitchrl.population import Members, compile_for_each, guarded, spread
from stitchrl.train import Run, keys_of

MOST_BYTES = 64 * 2**20  # Of rows that wait for the device, for all members together.


class _Elsewhere:
    """Stands for a column while `sample` is traced, and asks for its rows elsewhere."""

    def __init__(self, number: int, column: np.ndarray, read: Callable):
        self.number, self.shape, self.dtype = number, column.shape, column.dtype
        self._read = read

    def __getitem__(self, rows: Any) -> Any:
        return self._read(self, rows)


class Stream:
    """`advance_members` for data of which some columns are NumPy arrays.

    Called with members, takes `steps` updates in each that is active and returns what
    `advance_members` does, at once: results are computed behind. Raises `ValueError` for an
    algorithm whose choice of rows depends on what such a column holds.
    """

    def __init__(self, members: Members, data: Any, steps: int):
        leaves, self._structure = jax.tree.flatten(data)
        there = {i: x for i, x in enumerate(leaves) if isinstance(x, np.ndarray)}
        self._columns = {number: np.asarray(column) for number, column in there.items()}
        self._here = [leaf for i, leaf in enumerate(leaves) if i not in there]
        self._asked: list[tuple[int, int]] = []  # Column, and which of the rows asked for.
        self._size = 1
        each = sum(rows.nbytes for rows in self._gather(self._rows_of_one(members)))
        self._size = _block(steps, MOST_BYTES // max(1, each))
        self._blocks = steps // self._size
        shared = self._here, jnp.int32(0), jnp.int32(0)
        self._draw = compile_for_each(self._rows, members, shared)
        self._expected: Members | None = None  # Whose rows the next ones are.
        self._next: Any = None
        self._require_free_rows(members)
        batch = self._gathered(self._draw(members, shared))
        none = jax.eval_shape(self._metrics_of, members, batch)
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), none)
        self._zero = spread(zeros)
        inputs = members, batch, self._zero
        self._update = compile_for_each(self._updates, inputs, self._here)

    def __call__(self, members: Members, data: Any = None) -> tuple[Members, Metrics, Any]:
        del data  # Known from the start; other callers of such a program give it.
        metrics: Any = self._zero
        went: Any = members.active
        for _ in range(self._blocks):
            is_ready = self._next is not None and members is self._expected
            batch = self._next if is_ready else self._gathered(self._ask(members, 0))
            following = self._ask(members, self._size)  # Before the device is busy.
            members, metrics, went = self._update((members, batch, metrics), self._here)
            self._next = self._gathered(following)  # While it is.
            self._expected = members
        return members, metrics, went

    def _ask(self, members: Members, offset: int, fill: int = 0) -> Any:
        shared = self._here, np.int32(offset), np.int32(fill)
        return self._draw(members, shared)

    def _gathered(self, rows: Any) -> Any:
        """The rows asked for, on the devices: for each column (member, update, *)."""
        return spread(tuple(self._gather(jax.device_get(rows))))

    def _gather(self, rows: Any) -> list[np.ndarray]:
        return [
            np.take(self._columns[number], rows[i], axis=0) for number, i in self._asked
        ]

    def _data(self, here: list[Any], read: Callable) -> Any:
        """The data with stand-ins for the columns that are not here."""
        left = iter(here)
        leaves = [
            _Elsewhere(number, self._columns[number], read)
            if number in self._columns
            else next(left)
            for number in range(self._structure.num_leaves)
        ]
        return jax.tree.unflatten(self._structure, leaves)

    def _rows(self, member: Members, shared: Any) -> tuple[Any, ...]:
        """(update, *) each: the rows that the updates from `offset` on want of columns."""
        here, offset, fill = shared

        def of_update(index: Any) -> tuple[Any, ...]:
            every: list[Any] = []
            asked: list[tuple[int, int]] = []

            def read(column: _Elsewhere, rows: Any) -> Any:
                known = [i for i, other in enumerate(every) if other is rows]
                if not known:
                    every.append(rows)
                asked.append((column.number, known[0] if known else len(every) - 1))
                shape = (*jnp.shape(rows), *column.shape[1:])
                return jnp.full(shape, fill, column.dtype)

            sample_key, _ = keys_of(member.runs.key, index)
            member.algorithms.sample(self._data(here, read), sample_key)
            self._asked = asked
            return tuple(every)

        first = member.runs.step + offset
        return jax.vmap(of_update)(first + jnp.arange(self._size))

    def _rows_of_one(self, members: Members) -> Any:
        """As many as each update asks for, of all members: to know their size."""
        shared = self._here, jnp.int32(0), jnp.int32(0)
        of_each = jax.vmap(self._rows, in_axes=(0, None))
        shapes = jax.eval_shape(of_each, members, shared)
        return [np.zeros(rows.shape, rows.dtype) for rows in shapes]

    def _require_free_rows(self, members: Members) -> None:
        """What stands for columns while rows are drawn must not decide which."""
        found = [jax.device_get(self._ask(members, 0, fill)) for fill in (0, 1)]
        if not all(map(np.array_equal, *found)):
            name = type(members.algorithms).__name__
            raise ValueError(
                f"{name} looks at rows to decide which others it draws, which it can only "
                "do if the whole log is on the device. Give it the log in memory."
            )

    def _advance(self, algorithm: Any, batch: Any, here: Any, run: Run):
        """`train.advance` on rows that were gathered."""

        def step(state: Any, inputs: Any):
            index, found = inputs
            left = iter(found)
            data = self._data(here, lambda column, rows: next(left))
            sample_key, update_key = keys_of(run.key, index)
            return algorithm.update(state, algorithm.sample(data, sample_key), update_key)

        indices = run.step + jnp.arange(self._size)
        state, metrics = jax.lax.scan(step, run.state, (indices, batch))
        return Run(state, run.step + self._size, run.key), jax.tree.map(jnp.mean, metrics)

    def _updates(self, inputs: Any, here: Any) -> tuple[Members, Metrics, Any]:
        member, batch, total = inputs
        advance = partial(self._advance, member.algorithms, batch, here)
        member, metrics, went = guarded(member, advance)
        share = jax.tree.map(lambda x: x / self._blocks, metrics)
        return member, jax.tree.map(jnp.add, total, share), went

    def _metrics_of(self, members: Members, batch: Any) -> Metrics:
        def one(member: Members, batch: Any) -> Metrics:
            return self._advance(member.algorithms, batch, self._here, member.runs)[1]

        return jax.vmap(one)(members, batch)


def _block(steps: int, most: int) -> int:
    """The largest part of `steps`, at least 2, that divides it and is at most `most`.

    A scan over one update is unrolled, and its result differs in the last bit.
    """
    parts = [part for part in range(2, steps + 1) if steps % part == 0] or [steps]
    return max([part for part in parts if part <= most], default=parts[0])
