"""Search linear policies for Hopper once; the zoo ships what is kept of them.

Augmented random search, version V2-t (H. Mania, A. Guy, B. Recht, 2018, arXiv:1803.07055,
Algorithm 2), with its published settings for Hopper. One core, some minutes:

    python benchmarks/hopper_ladder.py src/stitchrl/zoo/ladder.npz

Needs the simulators: pip install 'stitchrl[zoo]'. What was met on the way is kept where its
mean return comes closest to a rung, and measured on episodes that did not choose it. Seed 0
stays below 2600; seed 1 was the second that was tried.
"""

import argparse
import io
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.artifacts import save_file
from stitchrl.rollout import Played, play
from stitchrl.zoo.hopper import MAX_STEPS, Hopper
from stitchrl.zoo.linear import Linear

RUNGS = (350, 800, 1250, 2250, 2900, 3400)
DIRECTIONS, BEST, STEP_SIZE, SPREAD = 8, 4, 0.01, 0.025  # N, b, α, ν of the paper.
SURVIVAL = 1.0  # Taken off each reward while searching, as in the paper.
PROBES, FINALS, MEASURED = (
    4,
    3,
    100,
)  # Episodes of all, of how many per rung, of those kept.
ACTIONS, FEATURES = 3, 11


class Moments:
    """Running mean and variance of observations (Algorithm 2, lines 8 and 9)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, np.zeros(FEATURES), np.zeros(FEATURES)

    def add(self, rows: np.ndarray) -> None:
        rows = rows.astype(np.float64)
        count, shift = self.count + len(rows), rows.mean(axis=0) - self.mean
        self.squares += ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
        self.squares += shift**2 * self.count * len(rows) / count
        self.mean += shift * len(rows) / count
        self.count = count

    def folded(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases of `matrix` (..., 3, 11) on observations as they come."""
        std = np.sqrt(self.squares / self.count) if self.count else np.ones(FEATURES)
        weights = matrix / std
        return weights, -(weights * self.mean).sum(axis=-1)


class Met(NamedTuple):
    """A policy on the way, as float32, which is how it is shipped."""

    weights: np.ndarray
    bias: np.ndarray
    mean_return: float

    def played(self, hopper: Hopper, episodes: int, seed: int) -> Played:
        players = Linear(self.weights[None], self.bias[None])
        return play(players, hopper, episodes=episodes, max_steps=MAX_STEPS, seed=seed)


def search(hopper: Hopper, steps: int, seed: int) -> list[Met]:
    """Every policy that the search passed through."""
    rng, moments = np.random.default_rng(seed), Moments()
    matrix, met, used = np.zeros((ACTIONS, FEATURES)), [], 0
    while used < steps:
        weights, bias = (part.astype(np.float32) for part in moments.folded(matrix))
        probe = Met(weights, bias, 0.0).played(hopper, PROBES, seed + len(met))
        met.append(Met(weights, bias, float(probe.returns.mean())))
        print(f"{len(met):5d} {used:9,d} {met[-1].mean_return:8.1f}", flush=True)
        directions = rng.standard_normal((DIRECTIONS, ACTIONS, FEATURES))
        both = np.concatenate([matrix + SPREAD * directions, matrix - SPREAD * directions])
        rows = play(
            Linear(*moments.folded(both)),
            hopper,
            episodes=2 * DIRECTIONS,
            max_steps=MAX_STEPS,
            seed=seed + 10**6 + len(met),
        )
        used += rows.steps
        moments.add(rows.observation)
        plus, minus = np.split(rows.returns - SURVIVAL * rows.lengths, 2)
        kept = np.argsort(-np.maximum(plus, minus), kind="stable")[:BEST]
        spread = np.concatenate([plus[kept], minus[kept]]).std()
        slope = ((plus - minus)[kept, None, None] * directions[kept]).sum(axis=0)
        matrix = matrix + STEP_SIZE / (BEST * spread) * slope
    return met


def nearest(met: list[Met], hopper: Hopper, rung: float) -> tuple[Met, float, float]:
    """The policy of this rung, with the mean of its returns and its standard error."""
    near = sorted(met, key=lambda policy: abs(policy.mean_return - rung))[:FINALS]
    means = [policy.played(hopper, 5 * PROBES, 1).returns.mean() for policy in near]
    best = near[int(abs(np.array(means) - rung).argmin())]
    returns = best.played(hopper, MEASURED, 2).returns
    return best, returns.mean(), returns.std(ddof=1) / MEASURED**0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1_200_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began, hopper = time.perf_counter(), Hopper()
    met = search(hopper, arguments.steps, arguments.seed)
    policies, means, errors = zip(*(nearest(met, hopper, rung) for rung in RUNGS))
    for rung, mean, error in zip(RUNGS, means, errors):
        print(f"rung {rung}: {mean:.1f} +- {error:.1f}")
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        weights=np.stack([policy.weights for policy in policies]),
        bias=np.stack([policy.bias for policy in policies]),
        mean_return=np.array(means),
        standard_error=np.array(errors),
    )
    save_file(arguments.out, buffer.getvalue())
    print(f"{len(met)} policies, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
