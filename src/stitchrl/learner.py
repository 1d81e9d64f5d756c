"""One trained network: its parameters, its optimizer state, and how it takes a step."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from stitchrl.types import Scalar

Network = TypeVar("Network")
Metrics = dict[str, jax.Array]


class Learner(NamedTuple, Generic[Network]):
    """A network and the state of the optimizer that trains it."""

    network: Network
    optimizer_state: Any

    @classmethod
    def create(
        cls, network: Network, optimizer: optax.GradientTransformation
    ) -> "Learner[Network]":
        return cls(network, optimizer.init(network))  # pyright: ignore[reportArgumentType]

    def minimize(
        self,
        loss: Callable[..., tuple[jax.Array, Metrics]],
        *inputs: Any,
        optimizer: optax.GradientTransformation,
    ) -> tuple["Learner[Network]", Metrics]:
        """Take one optimizer step on `loss(network, *inputs) -> (scalar, metrics)`.

        Only `network` is differentiated; every network among `inputs` is a constant.
        """
        gradient, metrics = jax.grad(loss, has_aux=True)(self.network, *inputs)
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to int powers.
            step, state = optimizer.update(gradient, self.optimizer_state)
        return Learner(jax.tree.map(jnp.add, self.network, step), state), metrics


def move_towards(target: Network, *, source: Network, rate: Scalar) -> Network:
    """Polyak average: (1 - rate) target + rate source."""
    return jax.tree.map(lambda t, s: t + rate * (s - t), target, source)


def cosine_decay(initial: Scalar, total_updates: Scalar) -> optax.Schedule:
    """A learning rate that falls from `initial` to 0 at `total_updates`, as half a cosine.

    Both may be traced; optax's own schedule wants the total as a Python number.
    """

    def rate(count: Any) -> jax.Array:
        progress = jnp.minimum(jnp.asarray(count, jnp.float32) / total_updates, 1.0)
        return initial * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))

    return rate
