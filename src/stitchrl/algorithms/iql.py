"""Implicit Q-learning (Kostrikov, Nair and Levine, 2021; arXiv:2110.06169)."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

from stitchrl.experience import (
    Experience,
    Transition,
    away_from_bounds,
    sample_transitions,
)
from stitchrl.learner import Learner, Metrics, cosine_decay, move_towards
from stitchrl.losses import ensemble_error, expectile_loss, td_target
from stitchrl.networks import Critics, Value
from stitchrl.policies import Categorical, Gaussian, likelihood_policy
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class IQLState(NamedTuple):
    """What IQL has learned."""

    actor: Learner[Gaussian | Categorical]
    critics: Learner[Critics]
    value: Learner[Value]
    target_critics: Critics


@hyperparameters
class IQL:
    """Learn V as an upper expectile of Q over logged actions, then clone by advantage.

    Update order: V; then Q and the policy, which both use the new V and not each other;
    then the target critics. The authors' code does the same.
    Departures: layers start uniform in ±1/√inputs, not orthogonal; samples come from the
    truncated Gaussian instead of being clipped; no dropout. Discrete actions are ours.
    """

    actions: ClassVar = (Continuous, Discrete)
    needs: ClassVar = ("rewards",)

    expectile: float = 0.7  # τ, Eq. 5.
    inverse_temperature: float = 3.0  # β, Eq. 7.
    max_weight: float = 100.0  # Clip on exp(β A); in the authors' code, not the paper.
    discount: float = 0.99  # γ
    target_rate: float = 0.005  # Polyak step of the target critics.
    learning_rate: float = 3e-4
    total_updates: float = 1e6  # The actor's learning rate falls to 0 by then, as a cosine.
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(cosine_decay(self.learning_rate, self.total_updates))

    def init(self, key: Key[Array, ""], spec: Spec) -> IQLState:
        actor_key, critic_key, value_key = jax.random.split(key, 3)
        critics = Critics.create(critic_key, spec, self.hidden)
        actor = likelihood_policy(actor_key, spec, self.hidden)
        value = Value.create(value_key, spec, self.hidden)
        return IQLState(
            actor=Learner.create(actor, self.actor_optimizer),
            critics=Learner.create(critics, self.optimizer),
            value=Learner.create(value, self.optimizer),
            target_critics=critics,
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return away_from_bounds(
            sample_transitions(data, key, self.batch_size, self.discount)
        )

    def update(
        self, state: IQLState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[IQLState, Metrics]:
        del key  # Every target is deterministic.
        adam, targets = self.optimizer, state.target_critics

        value, value_metrics = state.value.minimize(
            self.value_loss, targets, batch, optimizer=adam
        )
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, value.network, batch, optimizer=adam
        )
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, targets, value.network, batch, optimizer=self.actor_optimizer
        )
        targets = move_towards(targets, source=critics.network, rate=self.target_rate)

        metrics = value_metrics | critic_metrics | actor_metrics
        return IQLState(actor, critics, value, targets), metrics

    def policy(self, state: IQLState) -> Gaussian | Categorical:
        return state.actor.network

    def action_value(self, state: IQLState) -> Critics:
        return state.critics.network

    def value_loss(self, value: Value, target_critics: Critics, batch: Transition):
        """Eq. 5: regress V(s) to the τ-expectile of Q(s, a)."""
        q = jax.vmap(target_critics)(batch.observation, batch.action).min(axis=-1)
        v = jax.vmap(value)(batch.observation)
        loss = expectile_loss(q - v, self.expectile).mean()
        return loss, {"value/loss": loss, "value/mean": v.mean()}

    def critic_loss(self, critics: Critics, value: Value, batch: Transition):
        """Eq. 6: regress Q(s, a) to r + γ V(s')."""
        next_v = jax.vmap(value)(batch.next_observation)
        target = td_target(batch, self.discount, next_v)
        q = jax.vmap(critics)(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def actor_loss(
        self,
        actor: Gaussian | Categorical,
        target_critics: Critics,
        value: Value,
        batch: Transition,
    ):
        """Eq. 7: log-likelihood of logged actions weighted by exp(β advantage)."""
        q = jax.vmap(target_critics)(batch.observation, batch.action).min(axis=-1)
        advantage = q - jax.vmap(value)(batch.observation)
        weight = jnp.exp(self.inverse_temperature * advantage)
        weight = jnp.minimum(weight, self.max_weight)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        loss = -(weight * likelihood).mean()
        return loss, {"actor/loss": loss, "actor/advantage": advantage.mean()}
