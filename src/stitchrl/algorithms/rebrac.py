"""ReBRAC (Tarasov, Kurenkov, Nikulin and Kolesnikov, 2023; arXiv:2305.09836)."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from stitchrl.algorithms.td3 import TD3
from stitchrl.experience import Experience, sample_with_next_action
from stitchrl.learner import Metrics
from stitchrl.losses import td_target
from stitchrl.networks import Critics
from stitchrl.policies import Deterministic
from stitchrl.tree import hyperparameters


@hyperparameters
class ReBRAC(TD3):
    """TD3 that pays for leaving the log twice: in the actor, and in the critics' target.

    Defaults are those of the authors' code for hopper-medium; both penalties differ by data
    set, the actor's from .001 to .1 and the critics' from 0 to .5.

    Update order: as TD3.
    Departures: the target actor follows the new actor, theirs the one before its step, and
    the actor moves in even updates instead of odd ones; the penalty of the target is zero
    where nobody logged the next action (their data sets lack such rows); layers start
    uniform in ±1/√inputs, without their smaller last layers.
    """

    is_control: ClassVar = False
    has_layer_norm: ClassVar = True

    actor_penalty: float = 0.01  # β1
    critic_penalty: float = 0.01  # β2
    normalize_q: bool = True  # Divide Q by mean |Q| in the actor; in the code only.
    learning_rate: float = 1e-3
    batch_size: int = 1024
    hidden: tuple[int, ...] = (256, 256, 256)

    def sample(self, data: Experience, key: Key[Array, ""]) -> Any:
        """A `TransitionWithNextAction`."""
        return sample_with_next_action(data, key, self.batch_size, self.discount)

    def critic_loss(
        self,
        critics: Critics,
        target_critics: Critics,
        target_actor: Deterministic,
        batch: Any,  # TransitionWithNextAction
        key: Key[Array, ""],
    ):
        """Regress Q(s, a) to r + γ (min Q'(s', a') - β2 |a' - logged|²)."""
        logged = batch.transition
        next_action = self.noisy_action(target_actor, logged, key)
        next_q = target_critics.at_rows(logged.next_observation, next_action)
        distance = jnp.square(next_action - batch.next_action).sum(axis=-1)
        distance = jnp.where(batch.is_known, distance, 0.0)
        next_value = next_q.min(axis=-1) - self.critic_penalty * distance
        target = td_target(logged, self.discount, next_value)
        return self.regression(critics, logged, target)

    def actor_loss(
        self, actor: Deterministic, critics: Critics, batch: Any
    ) -> tuple[jax.Array, Metrics]:
        """Maximize min Q(s, π(s)) - β1 |π(s) - a|²."""
        logged = batch.transition
        action = jax.vmap(actor.mode)(logged.observation)
        q = critics.at_rows(logged.observation, action).min(axis=-1)
        clone = jnp.square(action - logged.action).sum(axis=-1).mean()
        size = jnp.abs(q).mean() if self.normalize_q else jnp.ones(())
        loss = self.actor_penalty * clone - q.mean() / jax.lax.stop_gradient(size)
        return loss, {"actor/loss": loss, "actor/clone": clone}
