"""In-sample temporal differences (after Kostrikov et al., 2021; arXiv:2110.06169).

What IQL, XQL and the hybrid of BCQ and IQL share: Q is learned from V, and V from the Q of
logged actions alone, so that no critic is ever asked about an action nobody took.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, Key

from stitchrl.experience import (
    Experience,
    Transition,
    away_from_bounds,
    sample_transitions,
)
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics, Value
from stitchrl.policies import Categorical, Gaussian, likelihood_policy
from stitchrl.spaces import Spec
from stitchrl.tree import hyperparameters


class InSampleState(NamedTuple):
    """What an in-sample method has learned."""

    actor: Learner[Gaussian | Categorical]
    critics: Learner[Critics]
    value: Learner[Value]
    target_critics: Critics


@hyperparameters
class InSample:
    """Networks, sampling and update; the error of V and the actor's loss are left open."""

    has_normed_value: ClassVar = False  # Layer norm in V.
    has_squared_errors: ClassVar = True

    discount: float = 0.99  # γ
    target_rate: float = 0.005  # Polyak step of the target critics.
    learning_rate: float = 3e-4
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return self.optimizer

    def init(self, key: Key[Array, ""], spec: Spec) -> InSampleState:
        actor_key, critic_key, value_key = jax.random.split(key, 3)
        critics = Critics.create(critic_key, spec, self.hidden)
        actor = likelihood_policy(actor_key, spec, self.hidden)
        value = Value.create(value_key, spec, self.hidden, layer_norm=self.has_normed_value)
        return InSampleState(
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
        self, state: InSampleState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[InSampleState, Metrics]:
        del key  # Every target is deterministic.
        adam, targets = self.optimizer, state.target_critics
        old_critics = state.critics.network

        value, value_metrics = state.value.minimize(
            self.value_loss, targets, batch, optimizer=adam
        )
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, value.network, batch, optimizer=adam
        )
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, old_critics, targets, value.network, batch,
            optimizer=self.actor_optimizer,
        )  # fmt: skip
        targets = move_towards(targets, source=critics.network, rate=self.target_rate)

        metrics = value_metrics | critic_metrics | actor_metrics
        return InSampleState(actor, critics, value, targets), metrics

    def policy(self, state: InSampleState) -> Any:
        return state.actor.network

    def action_value(self, state: InSampleState) -> Critics:
        return state.critics.network

    def value_loss(self, value: Value, target_critics: Critics, batch: Transition):
        """Regress V(s) to min Q'(s, a), where errors upwards and downwards differ."""
        q = target_critics.at_rows(batch.observation, batch.action).min(axis=-1)
        v = jax.vmap(value)(batch.observation)
        loss = self.value_error(q - v).mean()
        return loss, {"value/loss": loss, "value/mean": v.mean()}

    def critic_loss(self, critics: Critics, value: Value, batch: Transition):
        """Regress Q(s, a) to r + γ V(s')."""
        next_v = jax.vmap(value)(batch.next_observation)
        target = td_target(batch, self.discount, next_v)
        q = critics.at_rows(batch.observation, batch.action)
        loss = self.critic_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def actor_loss(
        self,
        actor: Any,
        critics: Critics,
        target_critics: Critics,
        value: Value,
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """What the policy learns from the old critics, the old targets and the new V."""
        raise NotImplementedError

    def value_error(self, error: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """How much Q'(s, a) - V(s) counts, row by row."""
        raise NotImplementedError

    def critic_error(
        self, q: Float[Array, "batch ensemble"], target: Float[Array, "batch"]
    ) -> Float[Array, "batch"]:
        """How much Q_i(s, a) - target counts, row by row, summed over critics."""
        return ensemble_error(q, target)
