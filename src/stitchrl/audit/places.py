"""Where a log was and what it did there: its states and actions, or clusters of them."""

from dataclasses import dataclass

import numpy as np
import scipy

from stitchrl.dataset import Choices, Dataset

MOST_PLACES = 500
ROWS_OF_PLACE = 20  # At least, on average, where places are clusters.
MOST_MOVES = 16  # Clusters of continuous actions.
FITTED = 20_000  # Rows that clusters are fitted to.


@dataclass(frozen=True, eq=False)
class Places:
    """Each decision as (place, move, next place)."""

    row: np.ndarray  # int64 (size,)
    following: np.ndarray  # int64 (size,): -1 where the process ended, -2 where unknown.
    move: np.ndarray  # int64 (size,)
    count: int
    moves: int
    are_clusters: bool  # Of features; else the log names its states.

    @classmethod
    def of(cls, dataset: Dataset, *, seed: int = 0) -> "Places":
        """The log's own states where it names them, else clusters of standardized features.

        k-means from a fixed seed: equal logs give equal places.
        """
        rng = np.random.default_rng(seed)
        size = dataset.size
        if dataset.state_id is not None:
            goes_on = dataset.next_state_id >= 0
            ids = np.concatenate([dataset.state_id, dataset.next_state_id[goes_on]])
            _, index = np.unique(ids, return_inverse=True)
        else:
            goes_on = np.asarray(~np.isnan(dataset.next_observation).all(axis=1))
            points = np.concatenate(
                [dataset.observation, dataset.next_observation[goes_on]]
            )
            index = _clusters(points, min(MOST_PLACES, size // ROWS_OF_PLACE + 1), rng)
        row, following = index[:size], np.full(size, -2)
        following[goes_on] = index[size:]
        following[dataset.terminated] = -1
        if isinstance(dataset.actions, Choices):
            move, moves = dataset.action.astype(np.int64), dataset.actions.count
        else:
            move = _clusters(
                dataset.action, min(MOST_MOVES, size // ROWS_OF_PLACE + 1), rng
            )
            moves = int(move.max()) + 1
        is_fit = dataset.state_id is None
        return cls(row, following, move, int(index.max()) + 1, moves, is_fit)

    def visits(self) -> np.ndarray:
        """int64 (count, moves): how often each move was made in each place."""
        key = self.row * self.moves + self.move
        return np.bincount(key, minlength=self.count * self.moves).reshape(
            self.count, self.moves
        )


def standardized(points: np.ndarray) -> np.ndarray:
    """float64: columns with mean 0 and deviation 1; 0 where constant or missing."""
    points = np.asarray(points, np.float64)
    known = np.isfinite(points)
    count = np.maximum(known.sum(axis=0), 1)
    centered = np.where(known, points, 0.0)
    centered = np.where(known, points - centered.sum(axis=0) / count, 0.0)
    deviation = np.sqrt((centered**2).sum(axis=0) / count)
    return centered / np.where(deviation > 0, deviation, 1.0)


def _clusters(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """int64 (n,): the cluster of each point, from 0 without gaps."""
    scaled = standardized(points)
    fitted = scaled
    if len(scaled) > FITTED:
        fitted = scaled[rng.choice(len(scaled), FITTED, replace=False)]
    distinct = np.unique(fitted, axis=0)
    if len(distinct) <= count:
        centers = distinct
    else:
        centers, _ = scipy.cluster.vq.kmeans2(
            fitted, count, minit="++", rng=rng, missing="warn"
        )
    _, index = scipy.spatial.KDTree(centers).query(scaled)
    _, tight = np.unique(index, return_inverse=True)
    return tight
