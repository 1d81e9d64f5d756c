"""What a run is worth in its own eyes, and how it does on transitions it never saw."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from stitchrl.algorithms.base import HasActionValue
from stitchrl.dataset import Dataset
from stitchrl.experience import (
    Experience,
    Transition,
    padded,
    take,
    transitions_from,
)
from stitchrl.learner import Metrics
from stitchrl.networks import Critics
from stitchrl.normalizer import Normalizer
from stitchrl.policies import action_probabilities
from stitchrl.population import drawn_from, everywhere
from stitchrl.rewards import RewardTransform
from stitchrl.rows import rounded_up
from stitchrl.spaces import Masked
from stitchrl.train import probe as losses_on

PROBE_SIZE = 2048
RANK_ROWS = 128  # Of the probe, for the rank of features, which cannot be more.
RANK_CRITICS = 2  # Of an ensemble: the others were made alike.
SWEEPS = 10  # In each, every pair of rows meets once; after ten, all are orthogonal.
RANK_REST = 0.01  # δ of Kumar et al.: what share of singular values may be left out.


class Probe(NamedTuple):
    """Fixed held-out experience on which every member is measured after each chunk."""

    batch: Transition
    rows: Int[Array, "batch"]  # Where these stand in the experience.
    experience: Experience  # All of it.
    data: Any  # What `sample` reads, for algorithms whose batches are of another kind.
    starts: Any  # First observations of held-out episodes, and then padding.
    start_count: Int[Array, ""]
    key: Key[Array, ""]


def make_probe(
    held_out: Dataset,
    normalizer: Normalizer,
    reward_transform: RewardTransform | None = None,
    *,
    seed: int,
    size: int = PROBE_SIZE,
    n_steps: int = 1,
) -> Probe:
    """Draw a probe of at most `size` transitions and starts from a held-out split.

    `normalizer`, `reward_transform` and `n_steps` are those of training: losses must be
    alike. Rows are not weighed, whatever training draws more often.
    """
    experience = Experience.of(held_out, normalizer, reward_transform, n_steps=n_steps)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(experience.size)[:size].astype(np.int32)
    first = held_out.first_row[rng.permutation(held_out.episodes)[:size]]
    seen = np.resize(first, rounded_up(len(first)))
    starts: Any = normalizer.rows(held_out.observation[seen])
    if held_out.valid_actions is not None:
        starts = Masked(starts, held_out.valid_actions[seen])
    # NumPy gathers: JAX would compile a program for each size of a log.
    batch = take(jax.tree.map(np.asarray, experience.transitions), rows)
    key = rng.integers(2**32, size=2, dtype=np.uint32)
    batch, rows, starts, count, key = jax.device_put(
        (batch, rows, starts, np.int32(len(first)), key)
    )
    return Probe(
        batch=batch,
        rows=rows,
        experience=experience,
        data=experience,
        starts=starts,
        start_count=count,
        key=jax.random.wrap_key_data(key),
    )


def ready(probe: Probe, algorithm: Any) -> Probe:
    """The probe for members of one program: prepared once, in one of few sizes."""
    data = drawn_from(algorithm, probe.experience)
    whole = data if isinstance(data, Experience) else padded(probe.experience)
    return everywhere(probe._replace(experience=whole, data=data))


def measure(member: tuple[Any, Any], probe: Probe) -> Metrics:
    """Metrics of one member, given as (algorithm, state).

    `held_out/...`: what training reports, on held-out transitions. Where the algorithm
    learns Q: `q/logged` and `q/policy`, Q at held-out observations for the logged and the
    policy's actions, `own_estimate`, the value it promises from held-out starts
    (discounted, in rewards as learning sees them), and `q/rank`, how many directions the
    last hidden layers of two critics use, on average.
    """
    algorithm, state = member
    metrics = losses_on(algorithm, state, held_out_batch(algorithm, probe), probe.key)
    metrics = {f"held_out/{name}": value for name, value in metrics.items()}
    if isinstance(algorithm, HasActionValue):
        critics, policy = algorithm.action_value(state), algorithm.policy(state)
        batch = probe.batch
        logged = critics.at_rows(batch.observation, batch.action).min(axis=-1)
        metrics["q/logged"] = logged.mean()
        observation, key = batch.observation, probe.key
        metrics["q/policy"] = value_of(critics, policy, observation, key).mean()
        values = value_of(critics, policy, probe.starts, key)
        is_start = jnp.arange(values.shape[0]) < probe.start_count
        count = jnp.asarray(probe.start_count, values.dtype)
        metrics["own_estimate"] = jnp.where(is_start, values, 0.0).sum() / count
        some = take(batch, jnp.arange(min(RANK_ROWS, batch.reward.shape[0])))
        seen = jax.vmap(critics.last_hidden, out_axes=1)(some.observation, some.action)
        metrics["q/rank"] = jax.vmap(effective_rank)(seen[:RANK_CRITICS]).mean()
    return metrics


def held_out_batch(algorithm: Any, probe: Probe) -> Any:
    """The probe's transitions, over as many steps as the algorithm's own.

    Where its batches are of another kind: what it samples from all of the experience.
    """
    drawn = algorithm.sample(probe.data, probe.key)
    if not isinstance(drawn, Transition):
        return drawn
    if drawn.steps is None:
        return probe.batch
    return transitions_from(probe.experience, probe.rows, algorithm.discount)


def value_of(
    critics: Critics, policy: Any, observation: Any, key: Key[Array, ""]
) -> Float[Array, "batch"]:
    """E min_i Q_i(s, a), a from the policy: exact for discrete actions, else one sample."""

    def discrete(observation: Any) -> Float[Array, ""]:
        q = critics.row(observation).min(axis=0)
        probability = action_probabilities(policy, observation, q.shape[0])
        return jnp.where(probability > 0, probability * q, 0.0).sum()

    def continuous(observation: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        return critics(observation, policy.sample(observation, key)).min()

    if hasattr(critics.members, "row"):
        return jax.vmap(discrete)(observation)
    size = jax.tree.leaves(observation)[0].shape[0]
    return jax.vmap(continuous)(observation, jax.random.split(key, size))


def effective_rank(features: Float[Array, "rows features"]) -> Float[Array, ""]:
    """srank (Kumar et al. 2020; arXiv:2010.14498): singular values that sum to 99 %."""
    values = singular_values(features)
    reached = jnp.cumsum(values) >= (1 - RANK_REST) * values.sum()
    return 1.0 + (~reached).sum(dtype=jnp.float32)


def singular_values(matrix: Float[Array, "rows columns"]) -> Float[Array, "least"]:
    """The largest first, by turning pairs of rows until all are orthogonal (Hestenes 1958).

    LAPACK's threads and those of JAX wait for each other: on busy cores it took seconds.
    In float32 the small eigenvalues of a Gram matrix are noise, whose roots add up.
    """
    matrix = matrix if matrix.shape[0] < matrix.shape[1] else matrix.T
    count = matrix.shape[0]
    scale = jnp.maximum(jnp.abs(matrix).max(), 1e-30)  # No fourth power may overflow.
    padded = jnp.pad(matrix / scale, ((0, count % 2), (0, 0)))
    half = padded.shape[0] // 2
    # A tournament: the first stays, the others move on by one seat.
    seats = jnp.concatenate([jnp.arange(half), jnp.arange(half, 2 * half)[::-1]])
    moved = jnp.concatenate([seats[:1], jnp.roll(seats[1:], 1)])
    order = jnp.zeros_like(seats).at[seats].set(moved)

    def rotate(rows: Any, _: Any) -> tuple[Any, None]:
        left, right = rows[:half], rows[half:]
        across = (left * right).sum(axis=1)
        apart = jnp.square(right).sum(axis=1) - jnp.square(left).sum(axis=1)
        # The smaller root: tan of the angle that makes the two orthogonal.
        size = jnp.abs(apart) + jnp.sqrt(jnp.square(apart) + 4 * jnp.square(across))
        sign = jnp.where(apart < 0, -1.0, 1.0)
        tangent = sign * 2 * across / jnp.maximum(size, 1e-30)
        cosine = jax.lax.rsqrt(1 + jnp.square(tangent))[:, None]
        sine = cosine * tangent[:, None]
        turned = [cosine * left - sine * right, sine * left + cosine * right]
        return jnp.concatenate(turned)[order], None

    rounds = SWEEPS * (2 * half - 1)
    rows, _ = jax.lax.scan(rotate, padded, length=rounds)
    norms = jnp.linalg.norm(rows, axis=1)
    return scale * jnp.sort(norms, descending=True)[:count]
