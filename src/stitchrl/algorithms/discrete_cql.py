"""CQL(H) for discrete actions (Kumar et al., 2020; arXiv:2006.04779)."""

from typing import ClassVar

from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.experience import Transition
from stitchrl.losses import conservative_gap
from stitchrl.networks import Critics
from stitchrl.tree import hyperparameters


@hyperparameters
class DiscreteCQL(DoubleDQN):
    """Double DQN whose critic also classifies the logged action, by an exact log Σ exp.

    Update order: as double DQN.
    Departures: expected values instead of 200 quantiles (QR-DQN); the online critic, not
    the target, chooses the next action; Polyak targets; the penalty is added to the mean
    squared TD error without ½; learning rate, batch and Adam's ε as our double DQN, not
    the 5e-5, 32 and .01/32 of the authors' code for Atari.
    """

    is_control: ClassVar = False

    conservative_weight: float = 1.0  # α, Eq. 4.

    def critic_loss(
        self,
        critics: Critics,
        old_critics: Critics,
        target_critics: Critics,
        batch: Transition,
    ):
        """Eq. 4: the squared TD error plus α (log Σ exp Q - Q of the logged action)."""
        loss, metrics = super().critic_loss(critics, old_critics, target_critics, batch)
        gap = conservative_gap(critics, batch.observation, batch.action).sum(-1).mean()
        total = loss + self.conservative_weight * gap
        return total, metrics | {"critics/gap": gap}
