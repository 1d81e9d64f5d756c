"""DQN (Mnih et al., 2015, Nature 518; before it arXiv:1312.5602): a control."""

import jax
from jaxtyping import Array, Float

from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.experience import Transition
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics
from stitchrl.tree import hyperparameters


@hyperparameters
class DQN(DoubleDQN):
    """Double DQN whose target critic both chooses the next action and values it.

    Update order: as double DQN.
    Departures: those of double DQN.
    """

    def critic_loss(
        self,
        critics: Critics,
        old_critics: Critics,
        target_critics: Critics,
        batch: Transition,
    ):
        """Regress Q(s, a) to r + γ max Q'(s', ·)."""
        del old_critics  # The target critic chooses.

        def best(observation) -> Float[Array, ""]:
            return target_critics.row(observation).mean(axis=0).max()

        target = td_target(batch, self.discount, jax.vmap(best)(batch.next_observation))
        q = critics.at_rows(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}
