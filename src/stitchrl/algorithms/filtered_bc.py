"""Filtered behavior cloning: imitate the best episodes only.

%BC in Chen et al., 2021 (Decision Transformer; arXiv:2106.01345).
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from stitchrl.algorithms.bc import BC
from stitchrl.experience import Experience, Transition, take
from stitchrl.tree import hyperparameters


class Ranked(NamedTuple):
    """Experience with the rows of the best episode first."""

    transitions: Transition
    share: Float[Array, "size"]  # Of all episodes (or steps), up to a row's and with it.
    weight: Int[Array, "size"] | None  # Of all rows up to one, if they are weighed.


@hyperparameters
class FilteredBC(BC):
    """Behavior cloning on the best episodes: the yardstick for every other method.

    Update order: the actor, and nothing else.
    Departures: the share is of episodes; with `by_steps` it is of steps, as in Chen et al.
    An episode that fills the share exactly is kept (theirs is not, so their 100 % lacks the
    worst), and the best one always. The actor sees one observation and maximizes the
    likelihood; theirs sees 20 and minimizes a squared error.
    """

    needs: ClassVar = ("returns",)

    best_share: float = 0.1  # k %, of episodes ranked by undiscounted return.
    by_steps: bool = False

    def prepare(self, experience: Experience) -> Ranked:
        order = jnp.argsort(-experience.episode_return, stable=True)
        ends = experience.episode_end[order]
        counted = jnp.cumsum(jnp.ones_like(ends) if self.by_steps else ends)
        # A row counts as its episode does: by what has been counted when it ends.
        at_end = jnp.where(ends, counted, experience.size)
        share = jax.lax.cummin(at_end, reverse=True) / counted[-1]
        weight = None
        if experience.drawing is not None:
            # In whole numbers, whose sum is exact: their total is just below 2^30.
            unit = (2**30 - 2**10) / experience.size
            parts = jnp.floor(unit * experience.drawing.weight[order])
            weight = jnp.cumsum(parts.astype(jnp.int32))
        return Ranked(take(experience.transitions, order), share, weight)

    def sample(self, data: Any, key: Key[Array, ""]) -> Transition:
        # An episode that fills the share exactly is kept, however the division was rounded.
        share = jnp.maximum(self.best_share * (1 + 1e-6), data.share[0])
        kept = jnp.searchsorted(data.share, share, side="right")
        if data.weight is None:
            rows = jax.random.randint(key, (self.batch_size,), 0, kept)
            return take(data.transitions, rows)
        # Where all that is kept weighs nothing: the best row that weighs something.
        total = jnp.where(data.weight[kept - 1] > 0, data.weight[kept - 1], 1)
        height = jax.random.randint(key, (self.batch_size,), 0, total)
        rows = jnp.searchsorted(data.weight, height, side="right")
        return take(data.transitions, rows)
