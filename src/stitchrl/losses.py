"""Loss terms shared by several algorithms, elementwise over a batch."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stitchrl.networks import Critics
from stitchrl.types import Scalar


def expectile_loss(
    error: Float[Array, "*batch"], expectile: Scalar
) -> Float[Array, "*batch"]:
    """Asymmetric squared error |τ - 1(u < 0)| u², whose minimizer is the τ-expectile.

    `error` is target minus prediction: τ > 0.5 punishes predictions that are too low.
    """
    weight = jnp.where(error < 0, 1 - expectile, expectile)
    return weight * error**2


def bellman_target(
    reward: Float[Array, "*batch"],
    terminated: Bool[Array, "*batch"],
    discount: Scalar | Float[Array, "*batch"],
    next_value: Float[Array, "*batch"],
) -> Float[Array, "*batch"]:
    """One-step return r + γ V(s'), without the bootstrap where the MDP terminated."""
    return reward + discount * jnp.where(terminated, 0.0, next_value)


def td_target(batch: Any, discount: Scalar, next_value: Float[Array, "batch"]):
    """r + γ V(s') of a batch of transitions; γ^n where they are n steps long."""
    if batch.steps is not None:
        discount = discount ** batch.steps.astype(jnp.float32)
    return bellman_target(batch.reward, batch.terminated, discount, next_value)


def ensemble_error(
    q: Float[Array, "*batch ensemble"], target: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Squared error of every member against one target, summed over members (no ½)."""
    return jnp.square(q - target[..., None]).sum(axis=-1)


def double_q_value(
    critics: Critics, target_critics: Critics, observation: Any
) -> Float[Array, "batch"]:
    """Q'(s, argmax_a Q(s, a)), both averaged over their ensembles."""

    def value(observation: Any) -> Float[Array, ""]:
        action = critics.row(observation).mean(axis=0).argmax()
        return target_critics(observation, action).mean()

    return jax.vmap(value)(observation)


def huber(error: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """½ u² up to |u| = 1, then |u| - ½ (PyTorch's smooth L1)."""
    size = jnp.abs(error)
    return jnp.where(size < 1, 0.5 * error**2, size - 0.5)
