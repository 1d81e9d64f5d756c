"""A mean over rows whose gradient is taken one block of rows at a time.

Thousands of rows at once leave activations that no core's cache holds: every layer writes
them to memory, and the gradient reads them back. Those of a block stay in the cache.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_is_whole = ContextVar("is_whole", default=False)


@contextmanager
def all_rows_together() -> Iterator[None]:
    """Programs traced here have one block: XLA counts the operations of a loop once."""
    token = _is_whole.set(True)
    yield
    _is_whole.reset(token)


def mean_over_blocks(
    mean_of: Callable[[Any, Any], Any], parameters: Any, rows: Any, *, size: int
) -> Float[Array, ""]:
    """`mean_of(parameters, rows)`, a mean over rows, from means of equal blocks.

    Blocks have at most `size` rows (first axes of all leaves of `rows`), and as many as
    divide them evenly. Only `parameters` can be differentiated. Where the backend is an
    accelerator, which wants large products, there is one block.
    """
    total = len(jax.tree.leaves(rows)[0])
    is_whole = _is_whole.get() or jax.default_backend() != "cpu"
    count = 1 if is_whole else _count(total, size)
    if count == 1:
        return mean_of(parameters, rows)
    blocks = jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), rows)
    return _mean(mean_of, parameters, blocks)


def _count(total: int, size: int) -> int:
    """The fewest equal blocks of at most `size` rows; of one row, if that is too many."""
    counts = (count for count in range(1, total) if total % count == 0)
    return next((count for count in counts if total // count <= size), total)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _mean(mean_of: Any, parameters: Any, blocks: Any) -> Float[Array, ""]:
    return jax.lax.map(partial(mean_of, parameters), blocks).mean()


def _forward(mean_of: Any, parameters: Any, blocks: Any) -> tuple[Any, Any]:
    """The mean and, already, its gradient: nothing else is kept of a block."""

    def add(gradient: Any, block: Any) -> tuple[Any, Any]:
        value, more = jax.value_and_grad(mean_of)(parameters, block)
        return jax.tree.map(jnp.add, gradient, more), value

    nothing = jax.tree.map(jnp.zeros_like, parameters)
    gradient, values = jax.lax.scan(add, nothing, blocks)
    return values.mean(), jax.tree.map(lambda x: x / len(values), gradient)


def _backward(mean_of: Any, gradient: Any, slope: Any) -> tuple[Any, None]:
    del mean_of
    return jax.tree.map(lambda x: slope * x, gradient), None


_mean.defvjp(_forward, _backward)
