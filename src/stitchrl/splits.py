"""Train, selection and certification: disjoint parts of a log, split by group."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset

CERTIFICATION_SHARE = 0.2
SHARES = (0.6, 0.2, CERTIFICATION_SHARE)


class Splits(NamedTuple):
    """Parts of one log that share no group."""

    train: Dataset  # Algorithms and the behavior model learn here.
    selection: Dataset  # Candidates are ranked here.
    certification: Dataset  # Looked at once, for the numbers in the verdict.


def split(
    dataset: Dataset, seed: int, shares: tuple[float, float, float] = SHARES
) -> Splits:
    """Assign whole groups at random, so that no patient, user or robot is in two parts."""
    order = np.random.default_rng(seed).permutation(dataset.groups)
    part = np.empty(dataset.groups, np.int64)
    cuts = np.round(np.cumsum(shares)[:2] * dataset.groups).astype(int)
    for number, members in enumerate(np.split(order, cuts)):
        part[members] = number
    of_episode = part[dataset.episode_group]
    return Splits(*(dataset.take_episodes(of_episode == number) for number in range(3)))


def held_out_and_others(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each fold two bool (episodes,): those to apply a fit to, and those to fit.

    A single fold, as of a log with one group, is fitted to itself.
    """
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        yield held_out, held_out if held_out.all() else ~held_out


def folds(dataset: Dataset, seed: int, count: int = 2) -> np.ndarray:
    """int64 (episodes,): the fold of each episode, whole groups together."""
    order = np.random.default_rng(seed).permutation(dataset.groups)
    fold = np.empty(dataset.groups, np.int64)
    fold[order] = np.arange(dataset.groups) % count
    return fold[dataset.episode_group]
