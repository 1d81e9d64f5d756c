"""Policies compared by their densities: what one may do, and how far it is from another."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Key

from stitchrl.networks import MLP, Critics, Hidden
from stitchrl.policies import LOG_STD_RANGE, Categorical, SquashedGaussian, log_slope
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import pytree

COMPONENTS = 5


@pytree
class SquashedMixture:
    """tanh of a mixture of Gaussians: a density that can have several modes."""

    mlp: MLP  # Logits of the components, then their means, then their log-stds.

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "SquashedMixture":
        outputs = COMPONENTS * (1 + 2 * spec.action.size)  # pyright: ignore[reportAttributeAccessIssue]
        return cls(MLP.create(key, (spec.observation, *hidden, outputs)))

    def parameters(self, observation: Any):
        """Log-weights (components,), means and stds (components, action)."""
        logits, rest = jnp.split(self.mlp(observation), [COMPONENTS])
        mean, log_std = rest.reshape(2, COMPONENTS, -1)
        std = jnp.exp(jnp.clip(log_std, *LOG_STD_RANGE))
        return jax.nn.log_softmax(logits), mean, std

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, "action"]:
        return self.sample_and_log_prob(observation, key)[0]

    def sample_and_log_prob(self, observation: Any, key: Key[Array, ""]):
        component_key, noise_key = jax.random.split(key)
        log_weight, mean, std = self.parameters(observation)
        chosen = jax.random.categorical(component_key, log_weight)
        noise = jax.random.normal(noise_key, mean.shape[1:])
        before = mean[chosen] + std[chosen] * noise
        return jnp.tanh(before), self._density(observation, before)

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        before = jnp.arctanh(jnp.clip(action, -1 + 1e-6, 1 - 1e-6))
        return self._density(observation, before)

    log_likelihood = log_prob

    def cdf(self, observation: Any, action: Any) -> Float[Array, "action"]:
        """P(each component ≤ that of `action`)."""
        before = jnp.arctanh(jnp.clip(action, -1 + 1e-6, 1 - 1e-6))
        log_weight, mean, std = self.parameters(observation)
        return jnp.exp(log_weight) @ norm.cdf((before[None] - mean) / std)

    def _density(self, observation: Any, before: Any) -> Float[Array, ""]:
        log_weight, mean, std = self.parameters(observation)
        each = norm.logpdf(before[None], mean, std).sum(axis=1)
        return jax.nn.logsumexp(log_weight + each) - log_slope(before).sum()


class Outcomes(NamedTuple):
    """What a policy may do in one observation, with weights that sum to 1."""

    action: Any
    weight: Float[Array, "outcomes"]
    log_prob: Float[Array, "outcomes"]  # 0 where the action is forbidden: it weighs 0.


def outcomes(policy: Any, observation: Any, key: Key[Array, ""], samples: int) -> Outcomes:
    """All discrete actions with their probabilities, or so many samples of equal weight.

    Differentiable in the policy: through probabilities, or through reparameterized samples.
    """
    if isinstance(policy, Categorical):
        log_prob = jax.nn.log_softmax(policy.logits.row(observation))
        actions = jnp.arange(log_prob.shape[0])
        return Outcomes(actions, jnp.exp(log_prob), _without_infinity(log_prob))
    keys = jax.random.split(key, samples)
    draw = jax.vmap(policy.sample_and_log_prob, (None, 0))
    action, log_prob = draw(observation, keys)
    return Outcomes(action, jnp.full(samples, 1 / samples), log_prob)


def divergence(outcomes: Outcomes, other: Any, observation: Any) -> Float[Array, ""]:
    """KL(policy | other) in nats, of the policy whose outcomes these are.

    Exact of discrete actions; of continuous ones an unbiased estimate, perhaps negative.
    """
    log_prob = jax.vmap(other.log_prob, (None, 0))(observation, outcomes.action)
    ratio = outcomes.log_prob - _without_infinity(log_prob)
    return (outcomes.weight * ratio).sum()


def least_value(outcomes: Outcomes, critics: Critics, observation: Any) -> Float[Array, ""]:
    """The mean over a policy's outcomes of the smallest Q."""
    q = jax.vmap(critics, (None, 0))(observation, outcomes.action).min(axis=-1)
    return (outcomes.weight * _without_infinity(q)).sum()


def _without_infinity(x: Float[Array, "outcomes"]) -> Float[Array, "outcomes"]:
    """0 for -inf, which marks what is forbidden: 0 · -inf would be nan, its slope too."""
    return jnp.where(x == -jnp.inf, 0.0, x)


# Policies that say the density of what they draw, and models of a log's behavior.
SOFT_POLICY = {Continuous: SquashedGaussian, Discrete: Categorical}
BEHAVIOR_MODEL = {Continuous: SquashedMixture, Discrete: Categorical}
