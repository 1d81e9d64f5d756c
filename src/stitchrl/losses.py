"""Loss terms shared by several algorithms, elementwise over a batch."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stitchrl.types import Scalar


def expectile_loss(
    error: Float[Array, "*batch"], expectile: Scalar
) -> Float[Array, "*batch"]:
    """Asymmetric squared error |τ - 1(u < 0)| u², whose minimizer is the τ-expectile."""
    weight = jnp.where(error < 0, 1 - expectile, expectile)
    return weight * error**2


def bellman_target(
    reward: Float[Array, "*batch"],
    terminated: Bool[Array, "*batch"],
    discount: Scalar,
    next_value: Float[Array, "*batch"],
) -> Float[Array, "*batch"]:
    """One-step return r + γ V(s'), without the bootstrap where the MDP terminated."""
    return reward + discount * jnp.where(terminated, 0.0, next_value)


def ensemble_error(
    q: Float[Array, "*batch ensemble"], target: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Squared error of every member against one target, summed over members."""
    return jnp.square(q - target[..., None]).sum(axis=-1)
