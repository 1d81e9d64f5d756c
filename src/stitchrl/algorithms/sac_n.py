"""SAC-N (An et al., 2021; arXiv:2110.01548)."""

from typing import ClassVar

import jax
from jaxtyping import Array, Float

from stitchrl.algorithms.sac import SAC
from stitchrl.experience import Transition
from stitchrl.learner import Metrics
from stitchrl.networks import Critics
from stitchrl.tree import hyperparameters


@hyperparameters
class SACN(SAC):
    """SAC with so many critics that their minimum is pessimistic where the log is silent.

    By how much the critics disagree (`critics/spread`) says how uncertain they are.

    Update order: as SAC. The authors' code does the same.
    Departures: all layers start uniform in ±1/√inputs; the authors' last layers start near
    zero.
    """

    is_control: ClassVar = False

    ensemble: int = 10  # N. The authors: 10 to 500, by task.
    hidden: tuple[int, ...] = (256, 256, 256)

    def critic_loss(
        self,
        critics: Critics,
        next_value: Float[Array, "batch"],
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """Eq. 2: regress each Q_i(s, a) to the same r + γ V(s'); and their spread."""
        loss, metrics = super().critic_loss(critics, next_value, batch)
        q = critics.at_rows(batch.observation, batch.action)
        return loss, metrics | {"critics/spread": q.std(axis=-1).mean()}
