"""EDAC, ensemble-diversified actor-critic (An et al., 2021; arXiv:2110.01548)."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stitchrl.algorithms.sac_n import SACN
from stitchrl.experience import Transition
from stitchrl.learner import Metrics
from stitchrl.networks import Critics
from stitchrl.tree import hyperparameters


@hyperparameters
class EDAC(SACN):
    """SAC-N whose critics must slope differently in the action, so that fewer suffice.

    Update order: as SAC.
    Departures: the directions of all critics are compared, as in the paper; the authors'
    code compares a random few, as many as an action has numbers, and needs two; its term is
    smaller by that share of the critics, at the same η.
    """

    diversity_weight: float = 1.0  # η, Eq. 4. The authors: 0.1 to 1000, by task.

    def critic_loss(
        self,
        critics: Critics,
        next_value: Float[Array, "batch"],
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """The squared TD errors plus η times the similarity of the slopes."""
        loss, metrics = super().critic_loss(critics, next_value, batch)
        similar = jax.vmap(self.similarity, (None, 0, 0))(
            critics, batch.observation, batch.action
        ).mean()
        total = loss + self.diversity_weight * similar
        return total, metrics | {"critics/similarity": similar}

    def similarity(self, critics: Critics, observation: Any, action: Any):
        """Eq. 4: Σ over i ≠ j of the cosine between ∇Q_i and ∇Q_j, over N - 1."""
        slopes = critics.each(
            lambda critic: jax.grad(critic, argnums=1)(observation, action)
        )
        directions = jax.vmap(direction)(slopes)
        cosines = directions @ directions.T
        others = cosines.sum() - jnp.trace(cosines)
        return others / max(self.ensemble - 1, 1)


def direction(slope: Float[Array, "action"]) -> Float[Array, "action"]:
    """Of length 1; zero, and still, where the slope is zero: a norm has no slope there."""
    squared = jnp.square(slope).sum()
    is_zero = squared < 1e-20
    return jnp.where(is_zero, 0.0, slope * jax.lax.rsqrt(jnp.where(is_zero, 1.0, squared)))
