"""SAC+BC (Park et al., 2025; arXiv:2506.04168): a soft actor-critic that also clones."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.algorithms.sac import SAC, SACState, sample_actions
from stitchrl.experience import Transition
from stitchrl.learner import Metrics, move_towards
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import SquashedGaussian
from stitchrl.tree import hyperparameters


@hyperparameters
class SACBC(SAC):
    """SAC whose actor also maximizes the likelihood of logged actions, in units of Q.

    Update order: temperature, actor and critics, all on the old networks; then the target
    critics. The authors' code does the same.
    Departures: the clone term is a log-likelihood; theirs is the squared distance between
    drawn and logged action. As in their code, targets carry no entropy and take the smaller
    critic, and the actor climbs the mean of both. Sizes, rates and the target entropy of -1
    per action are SAC's (theirs: 4 layers of 1024 with layer norms, -.5).
    """

    is_control: ClassVar = False
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.

    clone_weight: float = 0.3  # α, on log-likelihood times mean |Q|.

    def update(
        self, state: SACState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[SACState, Metrics]:
        actor, critics = state.actor.network, state.critics.network
        actor_key, next_key = jax.random.split(key)

        temperature, metrics = state.temperature.minimize(
            self.temperature_loss, actor, batch, actor_key, optimizer=self.actor_optimizer
        )
        new_actor, actor_metrics = state.actor.minimize(
            self.actor_loss, critics, state.temperature.network, batch, actor_key,
            optimizer=self.actor_optimizer,
        )  # fmt: skip
        next_value = self.next_value(actor, state.target_critics, batch, next_key)
        new_critics, critic_metrics = state.critics.minimize(
            self.critic_loss, next_value, batch, optimizer=self.optimizer
        )
        targets = move_towards(
            state.target_critics, source=new_critics.network, rate=self.target_rate
        )
        metrics = metrics | actor_metrics | critic_metrics
        step = state.step + 1
        return SACState(new_actor, new_critics, temperature, targets, step), metrics

    def next_value(
        self, actor: SquashedGaussian, target_critics: Critics, batch: Any, key: Any
    ) -> Float[Array, "batch"]:
        """min Q'(s', a'), a' from π."""
        action, _ = sample_actions(actor, batch.next_observation, key)
        return jax.vmap(target_critics)(batch.next_observation, action).min(axis=-1)

    def actor_loss(
        self,
        actor: SquashedGaussian,
        critics: Critics,
        temperature: Multiplier,
        batch: Transition,
        key: Key[Array, ""],
    ) -> tuple[jax.Array, Metrics]:
        """Maximize Q(s, a) - η log π(a|s), a from π, plus α mean |Q| log π(logged|s)."""
        action, log_prob = sample_actions(actor, batch.observation, key)
        q = jax.vmap(critics)(batch.observation, action).mean(axis=-1)
        size = jax.lax.stop_gradient(jnp.abs(q).mean())
        clone = -jax.vmap(actor.log_likelihood)(batch.observation, batch.action).mean()
        loss = (temperature() * log_prob - q).mean() + self.clone_weight * size * clone
        return loss, {
            "actor/loss": loss,
            "actor/entropy": -log_prob.mean(),
            "actor/clone": clone,
        }
