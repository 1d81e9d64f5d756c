"""Logs of Hopper by a ladder of linear policies, with known densities of what they did.

The policies were searched once, by benchmarks/hopper_ladder.py, and are shipped. Names and
mixtures follow D4RL's in spirit; the data are other data, so the names say zoo.
"""

import functools
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Bounds, Dataset
from stitchrl.rollout import Played, play
from stitchrl.zoo.hopper import ACTIONS, FEATURES, MAX_STEPS, Hopper
from stitchrl.zoo.linear import Linear
from stitchrl.zoo.uniform import Uniform

FILE = Path(__file__).parent / "ladder.npz"
SIZE, SEED = 100_000, 0
SIDE_BY_SIDE = 25  # Episodes; more are played until the log is full.


class Ladder(NamedTuple):
    """Linear policies, the worst first."""

    weights: np.ndarray  # float32 (rungs, 3, 11)
    bias: np.ndarray  # float32 (rungs, 3)
    mean_return: np.ndarray  # float64 (rungs,): without noise, of 100 episodes each.
    standard_error: np.ndarray  # float64 (rungs,)


@functools.cache
def ladder() -> Ladder:
    """Read the shipped policies, once per process."""
    with np.load(io.BytesIO(FILE.read_bytes())) as file:
        return Ladder(*(file[name] for name in Ladder._fields))


def of_rungs(rungs: tuple[int, ...], noise: float) -> Dataset:
    """A log in which each of these rungs makes the same number of decisions, or one more.

    Propensities are densities of the noisy policy that acted.
    """
    found = ladder()
    parts, densities = [], []
    shares = np.diff(np.arange(len(rungs) + 1) * SIZE // len(rungs)).tolist()
    for rung, share in zip(rungs, shares):
        std = np.array([noise])
        acting = Linear(found.weights[rung][None], found.bias[rung][None], std)
        rows = _filled(acting, share, seed=SEED + 1000 * rung)
        policy = np.zeros(rows.steps, np.int64)
        parts.append(rows)
        densities.append(acting.density(rows.observation, rows.action, policy))
    return as_log(_joined(parts), np.concatenate(densities))


def of_chance() -> Dataset:
    """A log of uniform actions."""
    rows = _filled(Uniform(len(ACTIONS)), SIZE, seed=SEED)
    return as_log(rows, np.full(rows.steps, 0.5 ** len(ACTIONS)))


def as_log(rows: Played, density: np.ndarray) -> Dataset:
    """A fall terminates, a time limit truncates: there the last observation is kept."""
    ends = rows.terminated | rows.truncated
    final = rows.next_observation[ends].copy()
    final[rows.terminated[ends]] = np.nan
    return Dataset.create(
        observation=rows.observation,
        feature_names=FEATURES,
        action=rows.action,
        actions=Bounds(ACTIONS, (-1.0,) * 3, (1.0,) * 3),
        reward=rows.reward,
        terminated=rows.terminated,
        truncated=rows.truncated,
        episode=rows.episode,
        final_observation=final,
        propensity=density,
        horizon=MAX_STEPS,
    )


def _filled(players, size: int, seed: int) -> Played:
    """Episodes until there are `size` rows; the last one is cut there."""
    hopper, parts, count = Hopper(), [], 0
    while count < size:
        parts.append(
            play(
                players,
                hopper,
                episodes=SIDE_BY_SIDE,
                max_steps=MAX_STEPS,
                seed=seed + len(parts),
            )
        )
        count += parts[-1].steps
    return _joined(parts).head(size)


def _joined(parts: list[Played]) -> Played:
    first = np.cumsum([0] + [part.episode[-1] + 1 for part in parts])
    renumbered = [part._replace(episode=part.episode + k) for part, k in zip(parts, first)]
    return Played(*map(np.concatenate, zip(*renumbered)))
