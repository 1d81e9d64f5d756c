"""What conservative Q-learning and its variants share: forms, weights, α."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.experience import Experience, Transition
from stitchrl.learner import Metrics
from stitchrl.networks import Multiplier
from stitchrl.returns import returns_to_go
from stitchrl.types import Scalar

FORMS = ("entropy", "uniform")
NEAR_ONE = 1e-6  # What β̂ stays below 1: a sole action would have no weight to scale up.


class Samples(NamedTuple):
    """Continuous actions whose values are pushed down, and how densely they were drawn."""

    action: Float[Array, "*batch samples action"]
    log_density: Float[Array, "*batch samples"]
    weight: Any = None  # (*batch, samples): how much each counts, if not alike.


def draw_samples(
    form: str, actor: Any, batch: Transition, key: Key[Array, ""], count: int
) -> Samples:
    """`count` uniform actions, and as many of π at s and at s'; "uniform": the first only.

    Where nothing followed, π's actions at s stand in for those at s'.
    """
    size = batch.action.shape[-1]

    def draw(observation: Any, next_observation: Any, key: Any) -> Samples:
        keys = jax.random.split(key, 2 * count + 1)
        uniform = jax.random.uniform(keys[0], (count, size), minval=-1.0, maxval=1.0)
        uniform_log_prob = jnp.full(count, -size * jnp.log(2.0))
        if form == "uniform":
            return Samples(uniform, uniform_log_prob)
        sample = jax.vmap(actor.sample_and_log_prob, in_axes=(None, 0))
        here, here_log_prob = sample(observation, keys[1 : count + 1])
        there, there_log_prob = sample(next_observation, keys[count + 1 :])
        log_prob = jnp.concatenate([uniform_log_prob, here_log_prob, there_log_prob])
        return Samples(jnp.concatenate([uniform, here, there]), log_prob)

    keys = jax.random.split(key, batch.reward.shape[0])
    following = jnp.where(
        batch.terminated[:, None], batch.observation, batch.next_observation
    )
    return jax.vmap(draw)(batch.observation, following, keys)


def return_weights(experience: Experience) -> Float[Array, "size"]:
    """w(R): e to the standardized return-to-go, within [.1, 10]; then scaled to mean 1.

    Returns are undiscounted, and standardized over all rows of the log.
    """
    returns = returns_to_go(experience.transitions.reward, experience.episode_end, 1.0)
    standardized = (returns - returns.mean()) / (returns.std() + 1e-6)
    weight = jnp.clip(jnp.exp(standardized), 0.1, 10.0)
    return weight / weight.mean()


def unlikeliness(probability: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """(1 - β̂) / (1 + β̂): 1 for an action never logged, toward 0 for the only one logged."""
    probability = jnp.minimum(probability, 1.0 - NEAR_ONE)
    return (1.0 - probability) / (1.0 + probability)


def push_down(q: Float[Array, "ensemble actions"], form: str, weight: Any = None) -> Any:
    """Float[Array, "ensemble"]: log Σ exp Q over discrete actions, or the mean of Q.

    Forbidden actions (-inf) do not count. `weight` (actions,) says how much each action
    counts, compared with the others: the mean over those allowed is made 1.
    """
    is_allowed = jnp.isfinite(q[0])
    count = is_allowed.sum(dtype=q.dtype)
    if weight is not None:
        scale = count / jnp.where(is_allowed, weight, 0.0).sum()
        weight = (scale * weight)[None]  # The same for every critic.
    if form == "entropy":
        q = q if weight is None else q + jnp.log(weight)
        return jax.nn.logsumexp(q, axis=-1)
    q = jnp.where(is_allowed, q, 0.0)
    q = q if weight is None else q * weight
    return q.sum(axis=-1) / count


def imitation_loss(behavior: Any, batch: Transition) -> tuple[jax.Array, Metrics]:
    """Negative log-likelihood of the logged actions."""
    likelihood = jax.vmap(behavior.log_likelihood)(batch.observation, batch.action)
    return -likelihood.mean(), {"behavior/loss": -likelihood.mean()}


def multiplier_loss(
    weight: Multiplier, gap: Float[Array, ""], target_gap: Scalar
) -> tuple[jax.Array, Metrics]:
    """Eq. 30: raise α while the gap of the old critics, which is given, is above τ.

    Computed anew it would cost as much again: XLA does not merge drawn numbers.
    """
    return -weight.log * (gap - target_gap), {"weight": weight()}
