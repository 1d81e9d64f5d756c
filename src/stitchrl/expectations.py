"""Expectations over a policy's actions: exact where they are discrete, else by draws."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.networks import Critics


def support(
    policy: Any, observation: Any, key: Key[Array, ""], count: int
) -> tuple[Any, Float[Array, "actions"]]:
    """Actions and their weights, by which a policy's expectations are weighted sums.

    Of discrete actions: all, with their probabilities, so that nothing is drawn. Of
    continuous ones: `count` draws, each with weight 1/count. Both carry the gradient.
    """
    if hasattr(policy, "log_probs"):
        probability = jnp.exp(policy.log_probs(observation))
        return jnp.arange(probability.shape[0]), probability
    keys = jax.random.split(key, count)
    actions = jax.vmap(policy.sample, (None, 0))(observation, keys)
    return actions, jnp.full(count, 1 / count)


def mean_of(
    values: Float[Array, "actions"], weight: Float[Array, "actions"]
) -> Float[Array, ""]:
    """Their weighted sum; what has no weight may be infinite."""
    return (weight * jnp.where(weight > 0, values, 0.0)).sum()


def max_of(
    values: Float[Array, "actions"], weight: Float[Array, "actions"]
) -> Float[Array, ""]:
    """The largest of those that have a weight."""
    return jnp.where(weight > 0, values, -jnp.inf).max()


def values_under(
    critics: Critics, policy: Any, observation: Any, key: Key[Array, ""], count: int
) -> tuple[Float[Array, "actions"], Float[Array, "actions"]]:
    """min_i Q_i(s, a) of the actions in the policy's `support`, and their weights."""
    actions, weight = support(policy, observation, key, count)
    q = jax.vmap(critics, (None, 0))(observation, actions)
    return q.min(axis=-1), weight


def expected_values(
    critics: Critics, policy: Any, observation: Any, key: Key[Array, ""], count: int = 1
) -> Float[Array, "batch"]:
    """E min_i Q_i(s, a), a from the policy, of each observation of a batch."""

    def expected(observation: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        return mean_of(*values_under(critics, policy, observation, key, count))

    size = jax.tree.leaves(observation)[0].shape[0]
    return jax.vmap(expected)(observation, jax.random.split(key, size))
