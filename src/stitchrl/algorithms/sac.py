"""Soft actor-critic (Haarnoja et al., 2018; arXiv:1812.05905): a control."""

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
from stitchrl.learner import Learner, Metrics, move_towards
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
    """An online actor-critic with an entropy bonus, run on a fixed log to show its failure.

    Update order: temperature, actor and critics, all on the old networks and the old
    temperature, none seeing another's step; then the target critics. So does the first code
    of the authors, in which they are one graph.
    Departures: squared errors without ½ and summed over critics, which Adam does not feel;
    log-std within [-5, 2] instead of [-20, 2].
    """

    actions: ClassVar = (Continuous,)
    needs: ClassVar = ("rewards",)
    is_control: ClassVar = True
    has_squared_errors: ClassVar = True
    has_entropy_in_values: ClassVar = True
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.

    initial_temperature: float = 1.0  # η, the authors' α, Eq. 18.
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

    def update(
        self, state: Any, batch: Transition, key: Key[Array, ""]
    ) -> tuple[Any, Metrics]:
        actor, critics = state.actor.network, state.critics.network
        heat, (actor_key, next_key) = state.temperature.network, jax.random.split(key)

        temperature, metrics = state.temperature.minimize(
            self.temperature_loss, actor, batch, actor_key, optimizer=self.actor_optimizer
        )
        new_actor, actor_metrics = state.actor.minimize(
            self.actor_loss, critics, heat, batch, actor_key, optimizer=self.actor_optimizer
        )
        next_value = self.soft_value(actor, state.target_critics, heat, batch, next_key)
        new_critics, critic_metrics = state.critics.minimize(
            self.critic_loss, next_value, batch, optimizer=self.optimizer
        )
        targets = move_towards(
            state.target_critics, source=new_critics.network, rate=self.target_rate
        )
        metrics = metrics | actor_metrics | critic_metrics
        step = state.step + 1
        return SACState(new_actor, new_critics, temperature, targets, step), metrics

    def policy(self, state: Any) -> SquashedGaussian:
        return state.actor.network

    def action_value(self, state: Any) -> Critics:
        return state.critics.network

    def soft_value(
        self, actor, target_critics, temperature, batch, key
    ) -> Float[Array, "batch"]:
        """Eq. 3: min Q'(s', a') - η log π(a'|s'), a' from π."""
        action, log_prob = sample_actions(actor, batch.next_observation, key)
        q = target_critics.at_rows(batch.next_observation, action).min(axis=-1)
        return q - temperature() * log_prob

    def critic_loss(
        self,
        critics: Critics,
        next_value: Float[Array, "batch"],
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """Eq. 5: regress Q(s, a) to r + γ V(s')."""
        target = td_target(batch, self.discount, next_value)
        q = critics.at_rows(batch.observation, batch.action)
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
        """Eq. 7: maximize min Q(s, a) - η log π(a|s), a from π."""
        action, log_prob = sample_actions(actor, batch.observation, key)
        q = critics.at_rows(batch.observation, action).min(axis=-1)
        loss = (temperature() * log_prob - q).mean()
        return loss, {"actor/loss": loss, "actor/entropy": -log_prob.mean()}

    def temperature_loss(
        self,
        temperature: Multiplier,
        actor: SquashedGaussian,
        batch: Transition,
        key: Key[Array, ""],
    ) -> tuple[jax.Array, Metrics]:
        """Eq. 18: raise η while the entropy is below its target.

        Same actor and key as in `actor_loss`, so XLA computes these actions once.
        """
        action, log_prob = sample_actions(actor, batch.observation, key)
        excess = -log_prob.mean() - self.entropy_per_action * action.shape[-1]
        return temperature.log * excess, {"temperature": temperature()}


def sample_actions(actor: SquashedGaussian, observation: Any, key: Key[Array, ""]):
    """One action and its log-probability for each observation of a batch."""
    keys = jax.random.split(key, observation.shape[0])
    return jax.vmap(actor.sample_and_log_prob)(observation, keys)
