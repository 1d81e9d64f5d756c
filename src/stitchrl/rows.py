"""A model at every row of a log, as one program that logs of several sizes share."""

from functools import partial
from typing import Any

import jax
import numpy as np

BLOCK = 8192  # Rows at a time, where memory must be bounded.


def rounded_up(size: int) -> int:
    """To one of four sizes between a number and its double; at most a quarter more."""
    step = 2 ** max(0, size.bit_length() - 3)
    return size + -size % step


def lengthened(columns: Any) -> Any:
    """The rows of NumPy arrays and then copies of the last one, up to a rounded size."""

    def lengthen(column: Any) -> np.ndarray:
        column = np.asarray(column)
        more = rounded_up(len(column)) - len(column)
        return np.concatenate([column, np.repeat(column[-1:], more, axis=0)])

    return jax.tree.map(lengthen, columns)


def at_rows(model: Any, method: str, *columns: Any) -> Any:
    """NumPy: `model.method(*row)` for every row of the columns.

    The model is an input: another one with arrays of the same shapes runs the same program,
    and operations are not compiled one by one.
    """
    size = len(jax.tree.leaves(columns)[0])
    found = _at_rows(model, method, *lengthened(columns))
    return jax.tree.map(lambda values: np.asarray(values)[:size], found)


@partial(jax.jit, static_argnames="method")
def _at_rows(model: Any, method: str, *columns: Any) -> Any:
    return jax.vmap(getattr(model, method))(*columns)
