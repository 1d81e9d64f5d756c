"""TD3 (Fujimoto, van Hoof and Meger, 2018; arXiv:1802.09477): a control."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics
from stitchrl.policies import Deterministic
from stitchrl.spaces import Continuous, Spec
from stitchrl.tree import hyperparameters


class TD3State(NamedTuple):
    """What TD3 has learned, and in how many updates."""

    actor: Learner[Deterministic]
    critics: Learner[Critics]
    target_actor: Deterministic
    target_critics: Critics
    step: Int[Array, ""]


@hyperparameters
class TD3:
    """An online actor-critic run on a fixed log, to show what goes wrong there.

    Update order: critics, every step; every `actor_period` steps the actor, on the new
    critics, and then all targets. The authors' code does the same.
    Departures: none; the exploration noise has no place offline.
    """

    actions: ClassVar = (Continuous,)
    needs: ClassVar = ("rewards",)
    is_control: ClassVar = True
    has_squared_errors: ClassVar = True
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.
    has_layer_norm: ClassVar = False  # In the critics.

    target_noise: float = 0.2  # σ, on actions scaled to [-1, 1].
    target_noise_clip: float = 0.5
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    learning_rate: float = 3e-4
    actor_period: int = 2
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> TD3State:
        actor_key, critic_key = jax.random.split(key)
        actor = Deterministic.create(actor_key, spec, self.hidden)
        critics = Critics.create(
            critic_key, spec, self.hidden, layer_norm=self.has_layer_norm
        )
        return TD3State(
            actor=Learner.create(actor, self.optimizer),
            critics=Learner.create(critics, self.optimizer),
            target_actor=actor,
            target_critics=critics,
            step=jnp.array(0, jnp.int32),
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size, self.discount)

    def update(
        self, state: TD3State, batch: Any, key: Key[Array, ""]
    ) -> tuple[TD3State, Metrics]:
        step = state.step + 1
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss,
            state.target_critics,
            state.target_actor,
            batch,
            key,
            optimizer=self.optimizer,
        )
        state = state._replace(critics=critics, step=step)
        is_due = step % self.actor_period == 0
        state, actor_metrics = jax.lax.cond(is_due, self.move, self.hold, state, batch)
        return state, critic_metrics | actor_metrics

    def move(self, state: TD3State, batch: Any) -> tuple[TD3State, Metrics]:
        """Step the actor on the critics as they are, then all targets."""
        critics = state.critics.network
        actor, metrics = state.actor.minimize(
            self.actor_loss, critics, batch, optimizer=self.optimizer
        )
        moved = state._replace(
            actor=actor,
            target_actor=move_towards(
                state.target_actor, source=actor.network, rate=self.target_rate
            ),
            target_critics=move_towards(
                state.target_critics, source=critics, rate=self.target_rate
            ),
        )
        return moved, metrics

    def hold(self, state: TD3State, batch: Any) -> tuple[TD3State, Metrics]:
        """Between steps of the actor: its loss is still reported."""
        return state, self.actor_loss(state.actor.network, state.critics.network, batch)[1]

    def policy(self, state: TD3State) -> Deterministic:
        return state.actor.network

    def action_value(self, state: TD3State) -> Critics:
        return state.critics.network

    def critic_loss(
        self,
        critics: Critics,
        target_critics: Critics,
        target_actor: Deterministic,
        batch: Transition,
        key: Key[Array, ""],
    ):
        """Regress Q(s, a) to r + γ min Q'(s', π'(s') + clipped noise)."""
        next_action = self.noisy_action(target_actor, batch, key)
        next_q = target_critics.at_rows(batch.next_observation, next_action)
        target = td_target(batch, self.discount, next_q.min(axis=-1))
        return self.regression(critics, batch, target)

    def noisy_action(
        self, target_actor: Deterministic, batch: Transition, key: Key[Array, ""]
    ) -> Float[Array, "batch action"]:
        """π'(s') + clipped noise, within the bounds."""
        noise = self.target_noise * jax.random.normal(key, batch.action.shape)
        noise = jnp.clip(noise, -self.target_noise_clip, self.target_noise_clip)
        next_action = jax.vmap(target_actor.mode)(batch.next_observation) + noise
        return jnp.clip(next_action, -1.0, 1.0)

    def regression(
        self, critics: Critics, batch: Transition, target: Float[Array, "batch"]
    ) -> tuple[jax.Array, Metrics]:
        """Squared error of every critic on logged actions, summed over critics."""
        q = critics.at_rows(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def actor_loss(
        self, actor: Deterministic, critics: Critics, batch: Transition
    ) -> tuple[jax.Array, Metrics]:
        """Maximize the first critic."""
        action = jax.vmap(actor.mode)(batch.observation)
        loss = -critics.at_rows(batch.observation, action)[:, 0].mean()
        return loss, {"actor/loss": loss}
