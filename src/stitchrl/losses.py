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

    `error` u is target minus prediction: τ > 0.5 punishes predictions that are too low, and
    so raises them, from the mean (τ = 0.5) towards the largest target (τ → 1). With the
    error the other way round, prediction minus target, 1 - τ means the same.
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


def huber(error: Float[Array, "*batch"], threshold: Scalar = 1.0) -> Float[Array, "*batch"]:
    """½ u² up to |u| = δ, then δ (|u| - ½ δ); at δ = 1 PyTorch's smooth L1."""
    size = jnp.abs(error)
    linear = threshold * (size - 0.5 * threshold)
    return jnp.where(size < threshold, 0.5 * error**2, linear)


def gumbel_loss(z: Float[Array, "batch"], largest: Scalar) -> Float[Array, "batch"]:
    """e^z - z - 1 with z at most `largest`, over the batch's largest e^z (at least 1/e).

    Where z is (target - prediction) / β, the minimizer is β log E exp(target / β). The
    divisor is a constant: it keeps the slope finite, and changes no minimizer.
    """
    z = jnp.minimum(z, largest)
    top = jax.lax.stop_gradient(jnp.maximum(z.max(), -1.0))
    return jnp.exp(z - top) - (z + 1) * jnp.exp(-top)


def imitation_error(imitation: Any, batch: Any, logit_weight: Scalar) -> Float[Array, ""]:
    """Of discrete BCQ: mean negative log-likelihood, and a little on squared logits."""
    likelihood = jax.vmap(imitation.log_likelihood)(batch.observation, batch.action)
    logits = jax.vmap(imitation.logits.unmasked)(batch.observation)
    return -likelihood.mean() + logit_weight * jnp.square(logits).mean()


def sarsa_target(target_critics: Critics, batch: Any, discount: Scalar):
    """r + γ min Q'(s', a') with the logged a', and where it is known (else it is zero).

    `batch` is a `TransitionWithNextAction`. Unknown is what follows a row after which the
    log was cut; where the MDP terminated nothing follows, so that all is known.
    """
    logged = batch.transition
    is_known = batch.is_known | logged.terminated
    next_q = target_critics.at_rows(logged.next_observation, batch.next_action)
    # What stands in for an unknown action may be forbidden here: its Q is infinite.
    next_value = jnp.where(batch.is_known, next_q.min(axis=-1), 0.0)
    target = td_target(logged, discount, next_value)
    return jnp.where(is_known, target, 0.0), is_known


def mean_where(
    values: Float[Array, "batch"], is_counted: Bool[Array, "batch"]
) -> Float[Array, ""]:
    """The mean of those that count; zero if none does."""
    count = is_counted.astype(values.dtype).sum()
    return jnp.where(is_counted, values, 0.0).sum() / jnp.maximum(count, 1.0)
