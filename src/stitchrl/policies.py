"""Policies for one observation: what training hands out.

Every policy can `sample`. Some have a `mode`, some a `log_prob`; whoever needs those says
so in its signature. `log_prob` is always the density of what `sample` draws, so that
importance weights are exact; `log_likelihood` is what maximum likelihood maximizes, and
differs from it only where the authors of a method clip samples and not densities.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import erf, erf_inv
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Int, Key

from stitchrl.networks import MLP, ActionTable, Critics, Hidden
from stitchrl.normalizer import Normalizer
from stitchrl.rows import BLOCK, lengthened
from stitchrl.spaces import Continuous, Discrete, Masked, Spec
from stitchrl.tree import pytree
from stitchrl.types import Scalar

LOG_STD_RANGE = (-5.0, 2.0)
BELOW_ONE = 1 - 2.0**-24  # The largest float32 below 1.


@pytree
class Gaussian:
    """Gaussian around tanh(network), truncated to [-1, 1]; one log-std per action."""

    mlp: MLP
    log_std: Float[Array, "action"]

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Gaussian":
        size = spec.action.size  # pyright: ignore[reportAttributeAccessIssue]
        mlp = MLP.create(key, (spec.observation, *hidden, size))
        return cls(mlp, jnp.zeros(size))

    @property
    def std(self) -> Float[Array, "action"]:
        return jnp.exp(jnp.clip(self.log_std, *LOG_STD_RANGE))

    def mode(self, observation: Any) -> Float[Array, "action"]:
        return jnp.tanh(self.mlp(observation))

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, "action"]:
        mean, width = self.mode(observation), jnp.sqrt(2.0) * self.std
        low, high = erf((-1.0 - mean) / width), erf((1.0 - mean) / width)
        drawn = jax.random.uniform(key, mean.shape, minval=low, maxval=high)
        # One draw in 8 million is -1, where erf_inv has no slope.
        drawn = jnp.clip(drawn, -BELOW_ONE, BELOW_ONE)
        return jnp.clip(mean + width * erf_inv(drawn), -1.0, 1.0)  # Against rounding only.

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        """Of the truncated Gaussian that `sample` draws from."""
        mean, std = self.mode(observation), self.std
        inside = norm.cdf((1.0 - mean) / std) - norm.cdf((-1.0 - mean) / std)
        return (norm.logpdf(action, mean, std) - jnp.log(inside)).sum()

    def cdf(self, observation: Any, action: Any) -> Float[Array, "action"]:
        """P(each component ≤ that of `action`) under what `sample` draws."""
        mean, std = self.mode(observation), self.std
        low, at, high = (norm.cdf((x - mean) / std) for x in (-1.0, action, 1.0))
        return (at - low) / (high - low)

    def log_likelihood(self, observation: Any, action: Any) -> Float[Array, ""]:
        """Of the Gaussian before truncation: what the authors' codes maximize."""
        return norm.logpdf(action, self.mode(observation), self.std).sum()


@pytree
class SquashedGaussian:
    """tanh of a Gaussian whose mean and log-std both depend on the observation."""

    mlp: MLP

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "SquashedGaussian":
        size = spec.action.size  # pyright: ignore[reportAttributeAccessIssue]
        return cls(MLP.create(key, (spec.observation, *hidden, 2 * size)))

    def parameters(self, observation: Any):
        mean, log_std = jnp.split(self.mlp(observation), 2)
        return mean, jnp.exp(jnp.clip(log_std, *LOG_STD_RANGE))

    def mode(self, observation: Any) -> Float[Array, "action"]:
        return jnp.tanh(self.parameters(observation)[0])

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, "action"]:
        return self.sample_and_log_prob(observation, key)[0]

    def sample_and_log_prob(self, observation: Any, key: Key[Array, ""]):
        mean, std = self.parameters(observation)
        noise = jax.random.normal(key, mean.shape)
        before = mean + std * noise  # Kept: atanh of a saturated action is infinite.
        density = norm.logpdf(noise) - jnp.log(std) - log_slope(before)
        return jnp.tanh(before), density.sum()

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        mean, std = self.parameters(observation)
        before = jnp.arctanh(jnp.clip(action, -1 + 1e-6, 1 - 1e-6))
        return (norm.logpdf(before, mean, std) - log_slope(before)).sum()

    log_likelihood = log_prob


def log_slope(before: Float[Array, "action"]) -> Float[Array, "action"]:
    """log d tanh(x)/dx, without cancellation for large |x|."""
    return 2 * (jnp.log(2.0) - before - jax.nn.softplus(-2 * before))


@pytree
class Categorical:
    """Softmax over discrete actions; forbidden ones have probability zero."""

    logits: ActionTable

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Categorical":
        return cls(ActionTable.create(key, spec, hidden))

    def mode(self, observation: Any) -> Int[Array, ""]:
        return self.logits.row(observation).argmax()

    def sample(self, observation: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        return jax.random.categorical(key, self.logits.row(observation))

    def log_probs(self, observation: Any) -> Float[Array, "actions"]:
        return jax.nn.log_softmax(self.logits.row(observation))

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.log_probs(observation)[action]

    log_likelihood = log_prob


@pytree
class Greedy:
    """The discrete action of largest mean Q."""

    critics: Critics

    def mode(self, observation: Any) -> Int[Array, ""]:
        return self.critics.row(observation).mean(axis=0).argmax()

    def sample(self, observation: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        del key
        return self.mode(observation)


@pytree
class GreedyAmong:
    """The discrete action of largest Q among those the imitation finds likely enough."""

    critics: Critics
    imitation: Categorical
    threshold: Scalar  # Of the probability relative to the likeliest action's.

    def mode(self, observation: Any) -> Int[Array, ""]:
        q = self.critics.row(observation).mean(axis=0)
        return jnp.where(self.is_likely(observation), q, -jnp.inf).argmax()

    def is_likely(self, observation: Any) -> Any:
        """Bool[Array, "actions"]: β̂(a|s) > threshold · max β̂(·|s)."""
        return likely_actions(self.imitation, observation, self.threshold)

    def sample(self, observation: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        del key
        return self.mode(observation)


def likely_actions(imitation: Categorical, observation: Any, threshold: Scalar) -> Any:
    """Actions whose probability exceeds `threshold` times the largest one.

    The likeliest action always counts, so that something is left to choose.
    """
    logits = imitation.logits.row(observation)
    ratio = jnp.exp(logits - logits.max())
    return (ratio > threshold) | (ratio >= 1)


@pytree
class BestOfDraws:
    """The continuous action of largest Q among so many draws from the behavior.

    Its mode is the best of draws that are the same every time.
    """

    critics: Critics
    behavior: Gaussian
    count: int

    def mode(self, observation: Any) -> Float[Array, "action"]:
        return self.sample(observation, jax.random.key(0))

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, "action"]:
        keys = jax.random.split(key, self.count)
        actions = jax.vmap(self.behavior.sample, (None, 0))(observation, keys)
        q = jax.vmap(self.critics, (None, 0))(observation, actions).min(axis=-1)
        return actions[q.argmax()]


@pytree
class BestOfChoices:
    """The discrete action of largest Q among so many draws from the behavior, exactly.

    The best of N draws is at most as good as a with probability F(a)^N, where F(a) is the
    behavior's probability of all actions that are no better.
    """

    critics: Critics
    behavior: Categorical
    count: Scalar

    def log_probs(self, observation: Any) -> Float[Array, "actions"]:
        q = self.critics.row(observation).min(axis=0)
        order = jnp.argsort(q)
        reached = jnp.cumsum(jnp.exp(self.behavior.log_probs(observation))[order])
        powers = (reached / reached[-1]) ** self.count
        chances = jnp.diff(powers, prepend=0.0)
        return jnp.log(jnp.zeros_like(chances).at[order].set(chances))

    def mode(self, observation: Any) -> Int[Array, ""]:
        return self.log_probs(observation).argmax()

    def sample(self, observation: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        return jax.random.categorical(key, self.log_probs(observation))

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.log_probs(observation)[action]


def best_of(critics: Critics, behavior: Gaussian | Categorical, count: int):
    """The policy that takes the best of `count` actions drawn from `behavior`."""
    if isinstance(behavior, Categorical):
        return BestOfChoices(critics, behavior, float(count))
    return BestOfDraws(critics, behavior, count)


@pytree
class WithoutRare:
    """A policy over discrete actions that takes none less likely than `threshold`.

    The likeliest action always stays; what remains is scaled up to sum to 1.
    """

    policy: Categorical | BestOfChoices
    threshold: Scalar

    def log_probs(self, observation: Any) -> Float[Array, "actions"]:
        row = self.policy.log_probs(observation)
        least = jnp.minimum(jnp.log(self.threshold), row.max())
        return jax.nn.log_softmax(jnp.where(row >= least, row, -jnp.inf))

    def mode(self, observation: Any) -> Int[Array, ""]:
        return self.policy.mode(observation)

    def sample(self, observation: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        return jax.random.categorical(key, self.log_probs(observation))

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.log_probs(observation)[action]


@pytree
class Deterministic:
    """A single action in [-1, 1] for each observation."""

    mlp: MLP

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Deterministic":
        size = spec.action.size  # pyright: ignore[reportAttributeAccessIssue]
        return cls(MLP.create(key, (spec.observation, *hidden, size)))

    def mode(self, observation: Any) -> Float[Array, "action"]:
        return jnp.tanh(self.mlp(observation))

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, "action"]:
        del key
        return self.mode(observation)


@pytree
class Normalized:
    """A policy that reads raw observations: scales them as they were in training."""

    policy: Any
    normalizer: Normalizer

    def scale(self, observation: Any) -> Any:
        if isinstance(observation, Masked):
            return observation._replace(features=self.normalizer(observation.features))
        return self.normalizer(observation)

    def mode(self, observation: Any) -> Any:
        return self.policy.mode(self.scale(observation))

    def sample(self, observation: Any, key: Key[Array, ""]) -> Any:
        return self.policy.sample(self.scale(observation), key)

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.policy.log_prob(self.scale(observation), action)

    def cdf(self, observation: Any, action: Any) -> Float[Array, "action"]:
        return self.policy.cdf(self.scale(observation), action)


def action_probabilities(
    policy: Any, observation: Any, count: int
) -> Float[Array, "actions"]:
    """How likely each of `count` discrete actions is, when the policy is sampled."""
    if isinstance(policy, Normalized):  # Has `log_prob` even if what it wraps has none.
        observation, policy = policy.scale(observation), policy.policy
    actions = jnp.arange(count)
    if hasattr(policy, "log_prob"):
        return jnp.exp(jax.vmap(policy.log_prob, (None, 0))(observation, actions))
    return jax.nn.one_hot(policy.mode(observation), count)


def probabilities_at_rows(
    policy: Any, observation: np.ndarray, valid: np.ndarray | None, count: int
) -> np.ndarray:
    """float64 (rows, count): `action_probabilities` of every row, as one program.

    `valid` (rows, count) says what is allowed; where it allows nothing (after the end of an
    episode nobody acts) it is as if everything were.
    """
    seen: Any = observation
    if valid is not None:
        seen = Masked(observation, valid | ~valid.any(axis=1, keepdims=True))
    found = _probabilities_at_rows(policy, lengthened(seen), count)
    return np.asarray(found, np.float64)[: len(observation)]


@partial(jax.jit, static_argnames="count")
def _probabilities_at_rows(policy: Any, observations: Any, count: int) -> Any:
    def one(observation: Any) -> Any:
        return action_probabilities(policy, observation, count)

    return jax.lax.map(one, observations, batch_size=BLOCK)


LIKELIHOOD_POLICY = {Continuous: Gaussian, Discrete: Categorical}


def likelihood_policy(key: Key[Array, ""], spec: Spec, hidden: Hidden):
    """The usual policy with a likelihood for this kind of action."""
    return LIKELIHOOD_POLICY[type(spec.action)].create(key, spec, hidden)
