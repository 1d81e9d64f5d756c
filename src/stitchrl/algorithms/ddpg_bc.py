"""DDPG+BC (Fujimoto and Gu, 2021; arXiv:2106.06860; as in Park et al., 2024).

The form is that of "Is value learning really the main bottleneck in offline RL?"
(arXiv:2406.09329) and of OGBench (arXiv:2410.20092).
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from stitchrl.algorithms.td3 import TD3
from stitchrl.experience import Transition
from stitchrl.learner import Metrics
from stitchrl.networks import Critics
from stitchrl.policies import Deterministic
from stitchrl.tree import hyperparameters


@hyperparameters
class DDPGBC(TD3):
    """Maximize Q, in units of its own size, while cloning; neither noise nor delay.

    Targets and actor take the smaller of two critics, with layer norms.

    Update order: critics, the actor on the new critics, then all targets; every step.
    Departures: the critics learn from the target actor's actions, as in DDPG (OGBench pairs
    this actor with other critics, and steps both from the old ones); the actor ends in tanh
    instead of being clipped; ReLU instead of GELU; layers start uniform in ±1/√inputs.
    """

    is_control: ClassVar = False
    has_layer_norm: ClassVar = True

    target_noise: float = 0.0  # DDPG has none.
    actor_period: int = 1
    clone_weight: float = 0.3  # α; the best one differs by task, from .001 to 10.
    batch_size: int = 1024
    hidden: tuple[int, ...] = (512, 512, 512)

    def actor_loss(
        self, actor: Deterministic, critics: Critics, batch: Transition
    ) -> tuple[jax.Array, Metrics]:
        """-Q / mean |Q| - α log N(a; π(s), 1), without the constant of the density."""
        action = jax.vmap(actor.mode)(batch.observation)
        q = critics.at_rows(batch.observation, action).min(axis=-1)
        size = jax.lax.stop_gradient(jnp.abs(q).mean() + 1e-6)
        clone = 0.5 * jnp.square(action - batch.action).sum(axis=-1).mean()
        loss = self.clone_weight * clone - q.mean() / size
        return loss, {"actor/loss": loss, "actor/clone": clone}
