"""Whether a policy is judged on episodes that it was learned from or chosen by.

A policy looks better there than it is. What it carries along is enough to recognize such
episodes, in the same log or one that has grown, and tells nothing else of them.
"""

import hashlib
from collections import Counter

import numpy as np

from stitchrl.dataset import Dataset

KEPT = 10_000  # Fingerprints of so many episodes suffice.
NOTHING = np.empty((0, 2), np.uint64)


def fingerprints(*parts: Dataset) -> np.ndarray:
    """uint64 (episodes, 2): hashes of the name and of the content of episodes, by name.

    Content is observations and actions: a reward may be counted otherwise. Of more than
    `KEPT` episodes, those whose names have the smallest hashes.
    """
    every = [_of(part, rows) for part in parts for rows in _rows(part)]
    found = np.array(every, np.uint64).reshape(-1, 2)
    return found[np.argsort(found[:, 0], kind="stable")][:KEPT]


def reused(dataset: Dataset, used: np.ndarray) -> int:
    """About how many episodes of `dataset` are among those whose fingerprints are `used`.

    Logs that number their episodes share names by chance, and short episodes are often
    equal by chance: only if episodes of equal name are equal more often than half way from
    that to always are they the same.
    """
    if not len(used):
        return 0
    here = np.array([_of(dataset, rows) for rows in _rows(dataset)], np.uint64)
    if len(used) == KEPT:
        here = here[here[:, 0] <= used[-1, 0]]
    content = dict(used.tolist())
    pairs = [(content[name], own) for name, own in here.tolist() if name in content]
    if not pairs:
        return 0
    same = sum(known == own for known, own in pairs)
    often = [Counter(side) for side in zip(*pairs)]
    by_chance = sum(often[0][own] * count for own, count in often[1].items()) / len(pairs)
    if same < len(pairs) and same * 2 <= by_chance + len(pairs):
        return 0
    return round(same / len(here) * dataset.episodes)


def _rows(dataset: Dataset) -> list[tuple[int, slice]]:
    first, last = dataset.first_row.tolist(), dataset.last_row.tolist()
    return [(i, slice(a, b + 1)) for i, (a, b) in enumerate(zip(first, last))]


def _of(dataset: Dataset, episode: tuple[int, slice]) -> tuple[int, int]:
    number, rows = episode
    name = str(dataset.episode_id[number]).encode()
    content = dataset.observation[rows].tobytes() + dataset.action[rows].tobytes()
    return _hash(name), _hash(content)


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
