"""What training sees of a log, and how minibatches are drawn from it.

Samplers index columns with `column[rows]` only, so the same function runs inside `jit` on
device arrays and eagerly on NumPy arrays or memory maps larger than the device.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.normalizer import Normalizer
from stitchrl.rewards import RewardTransform
from stitchrl.rows import lengthened, rounded_up
from stitchrl.spaces import Continuous, Discrete, Masked, Spec, features
from stitchrl.tree import assemble, pytree
from stitchrl.types import Scalar


class Transition(NamedTuple):
    """One step of experience. Batches carry a leading `batch` axis on every field."""

    observation: Any  # Float[Array, "*batch observation"], or `Masked`.
    action: Any  # Float[Array, "*batch action"] in [-1, 1], or Int[Array, "*batch"].
    reward: Float[Array, "*batch"]
    next_observation: Any
    terminated: Bool[Array, "*batch"]  # The MDP ended here: do not bootstrap.
    steps: Any = None  # Int[Array, "*batch"]: to the next observation. None: one.


class TransitionWithNextAction(NamedTuple):
    """A transition and what was logged after it."""

    transition: Transition
    next_action: Any
    is_known: Bool[Array, "*batch"]  # False where nothing was logged after it.


@pytree
class Drawing:
    """Draws rows with unequal probabilities, by Walker's method of aliases."""

    weight: Float[Array, "size"]  # Of each row; 1 on average.
    threshold: Float[Array, "size"]
    alias: Int[Array, "size"]

    @classmethod
    def of(cls, weight: np.ndarray) -> "Drawing":
        """Row i is drawn in proportion to weight[i] >= 0, exactly to float32 rounding.

        Raises `ValueError` for a weight that is negative or not finite, or if all are 0.
        """
        weight = np.asarray(weight, np.float64)
        if not np.isfinite(weight).all():
            raise ValueError("Every weight of a row must be a finite number.")
        if (weight < 0).any():
            raise ValueError(
                "A row cannot be drawn with a negative weight; 0 leaves it out."
            )
        if not weight.any():
            raise ValueError("Weights leave out every row that can be learned from.")
        weight = weight / weight.max()  # So that the sum of finite weights is finite.
        weight *= len(weight) / weight.sum()
        level = weight.tolist()
        alias = list(range(len(level)))
        poor = [i for i, share in enumerate(level) if share < 1]
        rich = [i for i, share in enumerate(level) if share >= 1]
        while poor and rich:
            taker, giver = poor.pop(), rich[-1]
            alias[taker] = giver
            level[giver] -= 1 - level[taker]
            if level[giver] < 1:
                poor.append(rich.pop())
        for row in (*poor, *rich):  # What rounding left.
            level[row] = 1.0
        return cls(
            *jax.device_put(
                (
                    weight.astype(np.float32),
                    np.asarray(level, np.float32),
                    np.asarray(alias, np.int32),
                )
            )
        )

    def draw(self, key: Key[Array, ""], batch_size: int, size: Any) -> Int[Array, "batch"]:
        """Of the first `size` rows, which are all but padding."""
        row_key, side_key = jax.random.split(key)
        rows = jax.random.randint(row_key, (batch_size,), 0, size)
        stays = jax.random.uniform(side_key, (batch_size,)) < self.threshold[rows]
        return jnp.where(stays, rows, self.alias[rows])


@pytree
class Experience:
    """Transitions in time order, as arrays that can live on a device."""

    transitions: Transition
    episode_end: Bool[Array, "size"]  # The last row here of each episode.
    episode_return: Float[Array, "size"]  # Of the whole episode, on each of its rows.
    row: Int[Array, "size"]  # Where each transition stands in the source.
    drawing: Drawing | None = None  # None: every row is as likely as any other.
    actions: int = 0  # How many, if discrete. Static: a shape cannot tell it.
    n_steps: int = 1  # Rewards summed before the bootstrap, where an algorithm learns Q.
    count: Int[Array, ""] | None = None  # Rows beyond it are padding. None: there is none.

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        normalizer: Normalizer | None = None,
        reward_transform: RewardTransform | None = None,
        *,
        weight: np.ndarray | None = None,
        n_steps: int = 1,
        on_device: bool = True,
    ) -> "Experience":
        """Scale a log for learning.

        `weight` (size,) says how often each row is drawn compared with the others: in
        expectation the same as weighing its loss. `n_steps` rewards are summed before a
        bootstrap. Rows whose next observation nobody knows cannot be learned from and are
        left out (`validate` counts them). With `on_device` false columns stay NumPy arrays,
        but for the ends of episodes and what `weight` needs (`stitchrl.stream`). Raises
        `DataError` if no row is left, and `ValueError` for weights that cannot be drawn by.
        """
        if n_steps < 1:
            raise ValueError(f"n_steps must be at least 1, but is {n_steps}.")
        if weight is not None and np.shape(weight) != (dataset.size,):
            raise ValueError(
                f"weight must have one number for each of the {dataset.size:,} rows of the "
                f"log, but has shape {np.shape(weight)}."
            )
        kept = dataset.has_next
        if not kept.any():
            finding = Finding(
                "NEXT_UNKNOWN",
                Severity.ERROR,
                "No row has a known next observation or ends by termination.",
                "Keep the observation after the last decision (final_observation), or log "
                "more than one decision per episode.",
            )
            raise DataError([finding])
        transform = reward_transform or RewardTransform()
        observation, following = dataset.observation[kept], dataset.next_observation[kept]
        following = np.where(dataset.terminated[kept, None], observation, following)
        normalizer = normalizer or Normalizer.identity(observation.shape[1])
        seen, next_seen = normalizer.rows(observation), normalizer.rows(following)
        valid = dataset.valid_actions
        if valid is not None:
            final = dataset.final_valid_actions
            final = np.ones_like(valid[: dataset.episodes]) if final is None else final
            next_valid = dataset.next_column(valid, final)
            next_valid |= ~next_valid.any(axis=1, keepdims=True)  # After the end: any.
            seen = Masked(seen, valid[kept])
            next_seen = Masked(next_seen, next_valid[kept])
        action, space = dataset.action[kept], dataset.actions
        if isinstance(space, Bounds):
            action = space.to_unit(action).astype(np.float32)
        returns = dataset.returns()[dataset.episode][kept]
        transitions = {
            "observation": seen,
            "action": action,
            "reward": transform(dataset.reward[kept]).astype(np.float32),
            "next_observation": next_seen,
            "terminated": dataset.terminated[kept],
        }
        columns = {
            "episode_return": returns.astype(np.float32),
            "row": dataset.row[kept].astype(np.int32),
        }
        if on_device:
            transitions, columns = jax.device_put((transitions, columns))
        ends = np.diff(dataset.episode[kept], append=-1) != 0
        values = columns | {
            "transitions": Transition(**transitions),
            "episode_end": jax.device_put(ends),
            "drawing": None if weight is None else Drawing.of(weight[kept]),
            "actions": space.count if isinstance(space, Choices) else 0,
            "n_steps": n_steps,
        }
        return cls(**values) if on_device else assemble(cls, values | {"count": None})

    @property
    def size(self) -> Any:
        """Rows that can be drawn: an int, or traced where there is padding."""
        return self.episode_end.shape[0] if self.count is None else self.count

    @property
    def spec(self) -> Spec:
        observation, action = self.transitions.observation, self.transitions.action
        space = Discrete(self.actions) if self.actions else Continuous(action.shape[-1])
        return Spec(features(observation).shape[-1], space)


def is_elsewhere(tree: Any) -> bool:
    """Whether columns are NumPy arrays: then training gathers its rows on the host."""
    return any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(tree))


def padded(experience: Experience) -> Experience:
    """The same rows and then copies of the last one: logs of many sizes share a program.

    What is drawn stays the same: the last row ends its episode, and nothing is drawn beyond
    it. Padded again, it stays as it is.
    """
    if experience.count is not None:
        return experience
    size = np.int32(experience.episode_end.shape[0])
    columns, count = jax.device_put((lengthened(experience), size))
    return replace(columns, count=count)


def take(columns: Any, rows: Any) -> Any:
    """Rows of every column, whether the columns are on the device or on the host."""
    return jax.tree.map(lambda column: column[rows], columns)


def draw_rows(
    experience: Experience, key: Key[Array, ""], batch_size: int
) -> Int[Array, "batch"]:
    """Rows with replacement: uniformly, unless the experience weighs them."""
    if experience.drawing is not None:
        return experience.drawing.draw(key, batch_size, experience.size)
    return jax.random.randint(key, (batch_size,), 0, experience.size)


def sample_transitions(
    experience: Experience,
    key: Key[Array, ""],
    batch_size: int,
    discount: Scalar | None = None,
) -> Transition:
    """Draw `batch_size` transitions, with replacement.

    With a `discount`, over as many steps as the experience says (`n_steps`); without, over
    one.
    """
    rows = draw_rows(experience, key, batch_size)
    return transitions_from(experience, rows, discount)


def transitions_from(
    experience: Experience, rows: Any, discount: Scalar | None = None
) -> Transition:
    """Transitions that start in these rows, over `n_steps` steps or one.

    Several steps end with their episode, terminated or truncated: the next observation is
    then that after its last row.
    """
    columns, count = experience.transitions, experience.n_steps
    if count == 1 or discount is None:
        return take(columns, rows)
    is_inside = rows_inside(experience, rows, count)
    seen = jnp.minimum(rows[:, None] + jnp.arange(count)[None], experience.size - 1)
    decay = discount ** jnp.arange(count, dtype=jnp.float32)
    rewards = columns.reward[seen] * decay[None]
    steps = is_inside.sum(axis=1)
    last = rows + steps - 1
    return Transition(
        observation=take(columns.observation, rows),
        action=columns.action[rows],
        reward=jnp.where(is_inside, rewards, 0.0).sum(axis=1),
        next_observation=take(columns.next_observation, last),
        terminated=columns.terminated[last],
        steps=steps,
    )


def rows_inside(
    experience: Experience, rows: Any, count: int
) -> Bool[Array, "batch count"]:
    """Which of the `count` rows from each of `rows` on belong to the same episode."""
    seen = rows[:, None] + jnp.arange(count)[None]
    ended = experience.episode_end[jnp.minimum(seen, experience.size - 1)]
    ended = jnp.asarray(ended, jnp.int32)
    return (jnp.cumsum(ended, axis=1) - ended == 0) & (seen < experience.size)


def sample_with_next_action(
    experience: Experience,
    key: Key[Array, ""],
    batch_size: int,
    discount: Scalar | None = None,
) -> TransitionWithNextAction:
    """Draw transitions as `sample_transitions` does, with the action logged after each.

    Unknown where the episode was terminated (nothing followed) or cut (nobody logged it),
    and before a last row that cannot be learned from. What stands there is the action of
    another row: leave it out of every loss.
    """
    rows = draw_rows(experience, key, batch_size)
    batch = transitions_from(experience, rows, discount)
    last = rows if batch.steps is None else rows + batch.steps - 1
    following = jnp.minimum(last + 1, experience.size - 1)
    action = experience.transitions.action[following]
    return TransitionWithNextAction(batch, action, ~experience.episode_end[last])


def away_from_bounds(batch: Transition, margin: float = 1e-5) -> Transition:
    """The batch with continuous actions `margin` inside ±1; discrete ones as they are."""
    if jnp.issubdtype(batch.action.dtype, jnp.integer):
        return batch
    return batch._replace(action=jnp.clip(batch.action, -1 + margin, 1 - margin))


@pytree
class Fold:
    """Some rows of an experience; padded, so that folds of one log share a program."""

    rows: Int[Array, "padded"]
    count: Int[Array, ""]  # Those beyond it are padding.

    @classmethod
    def of(cls, is_in: list[np.ndarray]) -> "list[Fold]":
        """One fold for each mask bool (size,). Raises `ValueError` if one is empty."""
        chosen = [np.flatnonzero(mask) for mask in is_in]
        longest = rounded_up(max(map(len, chosen)))
        if min(map(len, chosen)) == 0:
            raise ValueError("A fold of the log has no rows: it is too small to be split.")
        padded = [np.resize(rows, longest) for rows in chosen]
        return [
            cls(jnp.asarray(rows, jnp.int32), jnp.asarray(len(some), jnp.int32))
            for rows, some in zip(padded, chosen)
        ]

    def draw(self, key: Key[Array, ""], batch_size: int) -> Int[Array, "batch"]:
        """Rows drawn uniformly, with replacement."""
        return self.rows[jax.random.randint(key, (batch_size,), 0, self.count)]
