"""Returns of logged episodes from each of their rows on, as `Experience` holds them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from stitchrl.experience import (
    Experience,
    Transition,
    away_from_bounds,
    draw_rows,
    rows_inside,
    take,
    transitions_from,
)
from stitchrl.types import Scalar


def returns_to_go(
    reward: Float[Array, "size"], episode_end: Bool[Array, "size"], discount: Scalar
) -> Float[Array, "size"]:
    """Σ γ^k r_{t+k} over what was observed of the episode from row t on."""
    kept = jnp.where(episode_end, 0.0, discount)  # Of what follows a row.

    def join(later: Any, earlier: Any) -> Any:
        (kept_later, sum_later), (kept_earlier, sum_earlier) = later, earlier
        return kept_earlier * kept_later, sum_earlier + kept_earlier * sum_later

    return jax.lax.associative_scan(join, (kept, reward), reverse=True)[1]


def steps_before(episode_end: Bool[Array, "size"]) -> Int[Array, "size"]:
    """How many rows of its episode come before each row."""
    row = jnp.arange(episode_end.shape[0])
    is_first = jnp.concatenate([jnp.ones(1, bool), episode_end[:-1]])
    return row - jax.lax.cummax(jnp.where(is_first, row, 0))


class WithReturns(NamedTuple):
    """Experience, and what an algorithm makes of the return-to-go of each row."""

    experience: Experience
    of_return: Float[Array, "size"]


class TransitionWithReturn(NamedTuple):
    """A transition, and the same of its row; batches carry a leading axis."""

    transition: Transition
    of_return: Float[Array, "*batch"]


def sample_with_returns(
    data: WithReturns, key: Key[Array, ""], batch_size: int, discount: Scalar
) -> TransitionWithReturn:
    """Draw rows as `sample_transitions` does, with what followed each."""
    rows = draw_rows(data.experience, key, batch_size)
    batch = transitions_from(data.experience, rows, discount)
    return TransitionWithReturn(away_from_bounds(batch), data.of_return[rows])


class Window(NamedTuple):
    """What was logged in a row and in the rows after it, as far as its episode goes."""

    reward: Float[Array, "batch rows"]
    next_observation: Any
    terminated: Bool[Array, "batch rows"]
    is_inside: Bool[Array, "batch rows"]  # Of the same episode as the first.


def windows_from(experience: Experience, rows: Int[Array, "batch"], count: int) -> Window:
    """`count` rows from each of these on; those of other episodes are marked."""
    columns = experience.transitions
    seen = jnp.minimum(rows[:, None] + jnp.arange(count)[None], experience.size - 1)
    return Window(
        reward=columns.reward[seen],
        next_observation=take(columns.next_observation, seen),
        terminated=columns.terminated[seen],
        is_inside=rows_inside(experience, rows, count),
    )


def lambda_returns(
    window: Window,
    next_value: Float[Array, "batch rows"],
    *,
    discount: Scalar,
    trace_decay: Scalar,
) -> Float[Array, "batch"]:
    """TD(λ) of first rows: G_t = r_t + γ ((1 - λ) V(s_{t+1}) + λ G_{t+1}).

    In the last row of the window, or of an episode that was cut, G_{t+1} is V(s_{t+1});
    where the MDP terminated nothing is added.
    """
    inside = window.is_inside
    is_last = jnp.concatenate([~inside[:, 1:], jnp.ones_like(inside[:, :1])], axis=1)

    def earlier(later: Float[Array, "batch"], row: Any):
        reward, value, terminated, is_last = row
        mixed = (1 - trace_decay) * value + trace_decay * later
        following = jnp.where(is_last, value, mixed)
        return reward + discount * jnp.where(terminated, 0.0, following), None

    columns = (window.reward, next_value, window.terminated, is_last)
    by_row = jax.tree.map(jnp.transpose, columns)
    none = jnp.zeros_like(next_value[:, 0])
    return jax.lax.scan(earlier, none, by_row, reverse=True)[0]
