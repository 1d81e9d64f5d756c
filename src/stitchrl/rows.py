"""A model at every row of a log, as one program."""

from functools import partial
from typing import Any

import jax

BLOCK = 8192  # Rows at a time, where memory must be bounded.


@partial(jax.jit, static_argnames="method")
def at_rows(model: Any, method: str, *columns: Any) -> Any:
    """`model.method(*row)` for every row of the columns, whose first axis is the row.

    The model is an input: another one with arrays of the same shapes runs the same program,
    and operations are not compiled one by one.
    """
    return jax.vmap(getattr(model, method))(*columns)
