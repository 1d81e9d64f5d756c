"""Extreme Q-learning (Garg, Hejna, Geist and Ermon, 2023; arXiv:2301.02328)."""

from typing import ClassVar

from jaxtyping import Array, Float

from stitchrl.algorithms.extraction import Extracting
from stitchrl.losses import gumbel_loss, huber
from stitchrl.tree import hyperparameters


@hyperparameters
class XQL(Extracting):
    """IQL whose V is a soft maximum of Q over logged actions, by Gumbel regression.

    The minimizer is V(s) = β log E exp(Q(s, a) / β): the mean of Q for large β, its maximum
    for small. The loss is divided by its largest exponential in the batch, which is a
    learning rate that adapts: rows of one batch are not independent of each other.

    Update order: as IQL. The authors' code does the same.
    Departures: layer norm, which the code has in V only, comes after the ReLU, not before;
    layers start uniform in ±1/√inputs, not orthogonal; samples come from the truncated
    Gaussian. Options of the code for some tasks are left out: noisy and random actions in
    V's loss, several steps of V for one of Q, a gradient penalty, dropout of .1 in the
    actor (kitchen), a constant rate of it (AntMaze). Batches of 256 rows are those of the
    code's consistent settings, others have 1,024. As in the code and unlike in the paper,
    the weights of the clone have a temperature of their own. Discrete actions and the
    extraction "ac_bc" are ours.
    """

    has_normed_value: ClassVar = True
    has_squared_errors: ClassVar = False  # Huber.

    value_temperature: float = 2.0  # β; by task .55 to 10. In units of returns.
    max_exponent: float = 7.0  # Clip on z = (Q - V) / β; the code's examples also have 5.
    huber_threshold: float = 20.0  # Q's errors count linearly beyond it; in the code only.

    def value_error(self, error: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """Gumbel regression: e^z - z - 1, clipped and rescaled."""
        return gumbel_loss(error / self.value_temperature, self.max_exponent)

    def critic_error(
        self, q: Float[Array, "batch ensemble"], target: Float[Array, "batch"]
    ) -> Float[Array, "batch"]:
        return huber(q - target[:, None], self.huber_threshold).sum(axis=-1)
