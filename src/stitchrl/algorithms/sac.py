"""The soft actor-critic core of CQL (Haarnoja et al., 2018; arXiv:1812.05905).

Not registered yet: it becomes the control SAC. What is here is what both share.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from stitchrl.experience import (
    Experience,
    Transition,
    away_from_bounds,
    sample_transitions,
)
from stitchrl.learner import Learner, Metrics
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import SquashedGaussian
from stitchrl.spaces import Continuous, Spec
from stitchrl.tree import hyperparameters


class SACState(NamedTuple):
    """What a soft actor-critic has learned, and in how many updates."""

    actor: Learner[SquashedGaussian]
    critics: Learner[Critics]
    temperature: Learner[Multiplier]
    target_critics: Critics
    step: Int[Array, ""]


@hyperparameters
class SAC:
    """Networks, losses and sampling of a soft actor-critic with twin critics."""

    actions: ClassVar = (Continuous,)
    needs: ClassVar = ("rewards",)

    initial_temperature: float = 1.0
    entropy_per_action: float = -1.0  # Target entropy divided by the size of the action.
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    actor_learning_rate: float = 3e-4
    learning_rate: float = 3e-4
    ensemble: int = 2
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)
    critic_hidden: tuple[int, ...] = ()  # Empty: as the actor's.

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.actor_learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> SACState:
        actor_key, critic_key = jax.random.split(key)
        actor = SquashedGaussian.create(actor_key, spec, self.hidden)
        hidden = self.critic_hidden or self.hidden
        critics = Critics.create(critic_key, spec, hidden, self.ensemble)
        temperature = Multiplier.create(self.initial_temperature)
        return SACState(
            actor=Learner.create(actor, self.actor_optimizer),
            critics=Learner.create(critics, self.optimizer),
            temperature=Learner.create(temperature, self.actor_optimizer),
            target_critics=critics,
            step=jnp.array(0, jnp.int32),
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return away_from_bounds(
            sample_transitions(data, key, self.batch_size, self.discount)
        )

    def policy(self, state: Any) -> SquashedGaussian:
        return state.actor.network

    def action_value(self, state: Any) -> Critics:
        return state.critics.network

    def critic_loss(
        self,
        critics: Critics,
        next_value: Float[Array, "batch"],
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """Regress Q(s, a) to r + γ V(s')."""
        target = td_target(batch, self.discount, next_value)
        q = jax.vmap(critics)(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def actor_loss(
        self,
        actor: SquashedGaussian,
        critics: Critics,
        temperature: Multiplier,
        batch: Transition,
        key: Key[Array, ""],
    ) -> tuple[jax.Array, Metrics]:
        """Maximize min Q(s, a) - η log π(a|s), a from π."""
        action, log_prob = sample_actions(actor, batch.observation, key)
        q = jax.vmap(critics)(batch.observation, action).min(axis=-1)
        loss = (temperature() * log_prob - q).mean()
        return loss, {"actor/loss": loss, "actor/entropy": -log_prob.mean()}

    def temperature_loss(
        self,
        temperature: Multiplier,
        actor: SquashedGaussian,
        batch: Transition,
        key: Key[Array, ""],
    ) -> tuple[jax.Array, Metrics]:
        """Raise η while the entropy is below its target.

        Same actor and key as in `actor_loss`, so XLA computes these actions once.
        """
        action, log_prob = sample_actions(actor, batch.observation, key)
        excess = -log_prob.mean() - self.entropy_per_action * action.shape[-1]
        return temperature.log * excess, {"temperature": temperature()}


def sample_actions(actor: SquashedGaussian, observation: Any, key: Key[Array, ""]):
    """One action and its log-probability for each observation of a batch."""
    keys = jax.random.split(key, observation.shape[0])
    return jax.vmap(actor.sample_and_log_prob)(observation, keys)
