"""Fitted Q evaluation with networks (Le, Voloshin and Yue, 2019; arXiv:1903.08738)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from stitchrl.experience import Experience, Fold, Transition, take
from stitchrl.learner import Learner, Metrics, cosine_decay, move_towards
from stitchrl.losses import bellman_target, ensemble_error
from stitchrl.networks import Critics
from stitchrl.spaces import Spec, features
from stitchrl.tree import hyperparameters, pytree
from stitchrl.types import Scalar


@pytree
class Probabilities:
    """What a policy does with discrete actions, at each of many observations."""

    rows: Float[Array, "*size actions"]  # May sum to less than 1: see `rest`.
    rest: Float[Array, "*size"]  # Value of what `rows` leave out, times its probability.

    def value(self, critics: Critics, observation: Any) -> Float[Array, ""]:
        """Σ_a π(a|s) Q(s, a), exactly, plus the rest; of one observation."""
        q = critics.each(lambda table: table.unmasked(observation)).mean(axis=0)
        return (self.rows * q).sum() + self.rest


@pytree
class Actions:
    """What a policy does with continuous actions: some it would take, per observation."""

    rows: Float[Array, "*size samples action"]

    def value(self, critics: Critics, observation: Any) -> Float[Array, ""]:
        """The mean of Q(s, a) over the drawn actions; of one observation."""
        return jax.vmap(critics, (None, 0))(features(observation), self.rows).mean()


class FQEBatch(NamedTuple):
    """Transitions, and what the policy does after each."""

    transition: Transition
    following: Probabilities | Actions  # What the policy does at the next observations.


class FQEState(NamedTuple):
    """What fitted Q evaluation has learned."""

    critics: Learner[Critics]
    target_critics: Critics


@hyperparameters
class FQE:
    """Fit Q of a given policy by regression on its own next value.

    The policy enters as what it does at every next observation, so that one program
    evaluates many policies, stochastic ones exactly. Squared loss: a Huber loss would
    converge to a median. Next values are clipped to the bounds of the return-to-go.
    Update order: the critic, against the old target critic; then the target critic.
    """

    following: Probabilities | Actions  # At the observation after every transition.
    fold: Fold  # The transitions to learn from.
    low: Scalar  # Least and greatest possible return-to-go.
    high: Scalar
    discount: Scalar = 1.0  # γ of the estimand, not of training.
    target_rate: float = 0.02
    learning_rate: float = 1e-3  # Falls to 0 as a cosine: an average, not the last noise.
    total_updates: float = 8_000.0
    batch_size: int = 256
    hidden: tuple[int, ...] = (64, 64)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(cosine_decay(self.learning_rate, self.total_updates))

    def init(self, key: Key[Array, ""], spec: Spec) -> FQEState:
        critics = Critics.create(key, spec, self.hidden, ensemble=1)
        return FQEState(Learner.create(critics, self.optimizer), critics)

    def sample(self, data: Experience, key: Key[Array, ""]) -> FQEBatch:
        rows = self.fold.draw(key, self.batch_size)
        return FQEBatch(take(data.transitions, rows), take(self.following, rows))

    def update(
        self, state: FQEState, batch: FQEBatch, key: Key[Array, ""]
    ) -> tuple[FQEState, Metrics]:
        del key  # The policy's next actions were drawn beforehand.
        critics, metrics = state.critics.minimize(
            self.critic_loss, state.target_critics, batch, optimizer=self.optimizer
        )
        targets = move_towards(
            state.target_critics, source=critics.network, rate=self.target_rate
        )
        return FQEState(critics, targets), metrics

    def critic_loss(self, critics: Critics, target_critics: Critics, batch: FQEBatch):
        """Regress Q(s, a) to r + γ E_π Q'(s', a')."""
        transition = batch.transition
        next_q = self.values(target_critics, transition.next_observation, batch.following)
        target = bellman_target(
            transition.reward, transition.terminated, self.discount, next_q
        )
        q = critics.at_rows(transition.observation, transition.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def values(
        self, critics: Critics, observation: Any, acting: Probabilities | Actions
    ) -> Float[Array, "batch"]:
        """V^π at observations where the policy does `acting`, within the bounds."""
        v = jax.vmap(lambda o, here: here.value(critics, o))(observation, acting)
        return jnp.clip(v, self.low, self.high)
