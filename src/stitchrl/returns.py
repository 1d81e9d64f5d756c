"""What followed each row of a log: rewards summed to the end of its episode."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stitchrl.types import Scalar


def returns_to_go(
    reward: Float[Array, "size"], episode_end: Bool[Array, "size"], discount: Scalar
) -> Float[Array, "size"]:
    """R_t = r_t + γ R_{t+1}, of rows in time order; nothing is added after an end."""

    def step(following: jax.Array, row: tuple[jax.Array, jax.Array]):
        reward, is_last = row
        total = reward + discount * jnp.where(is_last, 0.0, following)
        return total, total

    rows = (reward, episode_end)
    return jax.lax.scan(step, jnp.zeros_like(reward[0]), rows, reverse=True)[1]
