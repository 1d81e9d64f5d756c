"""TD3+BC (Fujimoto and Gu, 2021; arXiv:2106.06860)."""

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
class TD3BC(TD3):
    """TD3 whose actor also regresses to the logged action.

    Update order: as TD3. The authors' code does the same.
    Departures: mean |Q| is of the policy's actions, as in the authors' code, where Eq. 5
    has logged ones; observations are normalized by the run, for every algorithm alike.
    """

    is_control: ClassVar = False

    q_weight: float = 2.5  # α, Eq. 5

    def actor_loss(
        self, actor: Deterministic, critics: Critics, batch: Transition
    ) -> tuple[jax.Array, Metrics]:
        """Eqs. 3 and 5: maximize α Q / mean |Q| while regressing to the logged action."""
        action = jax.vmap(actor.mode)(batch.observation)
        q = critics.at_rows(batch.observation, action)[:, 0]
        scale = jax.lax.stop_gradient(self.q_weight / jnp.abs(q).mean())
        clone = jnp.square(action - batch.action).mean()
        loss = clone - scale * q.mean()
        return loss, {"actor/loss": loss, "actor/clone": clone}
