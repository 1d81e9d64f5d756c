"""Whether bad episodes meet better ones, and what could be won by going over.

This is what separates learning from values from imitation: where nobody meets, nothing
better than the best episode can be put together.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from stitchrl.audit.places import Places, standardized
from stitchrl.dataset import Dataset
from stitchrl.ope.bounds import returns_to_go
from stitchrl.value_iteration import TriedMoves

BETTER = 0.1  # Of the interquartile range of returns: how much more counts as better.
MOST_ROWS = 5_000  # Compared with each other where states are features.
LEAST_COUNTS = (1, 5, 20)
STRETCH = 2


@dataclass(frozen=True)
class Stitching:
    """What joining parts of episodes could win, as far as a model of the log can tell."""

    stitchability: float  # Share of below-median episodes that meet a better one.
    joints: float  # Share of their decisions at which they do.
    radius: float | None  # How near counts as meeting, in deviations; None: same state.
    gains: tuple[float, ...]  # Best policy over the mean return, by LEAST_COUNTS.
    gain_over_best: float  # … over the best logged return from the same start, count 1.
    compared: int  # Decisions that were compared.


@dataclass(frozen=True, eq=False)
class Meetings:
    """Where an episode was at the same state as another one that went on to earn more."""

    better: np.ndarray  # float64 (size,): 1 at such decisions, else 0; NaN: not compared.
    is_worse: np.ndarray  # bool (size,): decisions of episodes below the median return.
    radius: float | None  # How near is the same state, in deviations; None: equal ids.
    compared: int  # Decisions.


def meetings_of(dataset: Dataset, *, discount: float) -> Meetings:
    """Of all decisions where states have ids, else of at most `MOST_ROWS` of them."""
    better, radius, compared = _meetings(dataset, discount)
    returns = dataset.returns(discount)
    low = returns < np.median(returns)
    low = low if low.any() else returns <= np.median(returns)  # Most return the least.
    return Meetings(better, low[dataset.episode], radius, compared)


def stitching_of(
    dataset: Dataset, places: Places, meetings: Meetings, *, discount: float
) -> Stitching:
    """Meetings of episodes, and the best policy made of moves that the log has tried.

    The model's best policy believes rare luck: with moves tried 1, 5 and 20 times at least
    it is shown how much of the gain rests on few.
    """
    returns = dataset.returns(discount)
    is_low, better = meetings.is_worse, meetings.better
    low_rows = better[is_low & ~np.isnan(better)]
    episodes = np.unique(dataset.episode[is_low & ~np.isnan(better)])
    joined = np.unique(dataset.episode[is_low & (better == 1)])
    start = places.row[dataset.first_row]
    values = [
        planned(dataset, places, discount=discount, least_count=least)[start]
        for least in LEAST_COUNTS
    ]
    best = np.full(places.count, -np.inf)
    np.maximum.at(best, start, returns)
    return Stitching(
        stitchability=len(joined) / len(episodes) if len(episodes) else 0.0,
        joints=float(low_rows.mean()) if len(low_rows) else 0.0,
        radius=meetings.radius,
        gains=tuple(float(value.mean() - returns.mean()) for value in values),
        gain_over_best=float((values[0] - best[start]).mean()),
        compared=meetings.compared,
    )


def planned(
    dataset: Dataset, places: Places, *, discount: float, least_count: int
) -> np.ndarray:
    """float64 (count,): value of each place under the best policy of tried moves.

    In the model of the log, with the declared horizon left, or else twice the longest
    episode, for what is put together may be longer than its parts. Where no move was made
    `least_count` times, moves are as in the log.
    """
    horizon = dataset.horizon or STRETCH * int(dataset.lengths.max())
    known = places.following > -2
    tried = TriedMoves.counted(
        places.row[known],
        places.move[known],
        places.following[known],
        dataset.reward[known],
        shape=(places.count, places.moves),
    )
    logged = tried.count / np.maximum(tried.count.sum(axis=1, keepdims=True), 1)
    values = np.zeros(places.count)
    for _ in range(horizon):
        values = tried.best(tried.backup(values, discount), least_count, logged)
    return values


def _meetings(dataset: Dataset, discount: float) -> tuple[np.ndarray, float | None, int]:
    """Per row: 1 where another episode at the same state went on to earn more, else 0.

    NaN for rows that were left out of the comparison, and how near the same state is.
    """
    to_go = returns_to_go(dataset, discount)
    low, high = np.quantile(dataset.returns(discount), [0.25, 0.75])
    scale = high - low if high > low else np.ptp(dataset.returns(discount))
    margin = BETTER * scale if scale > 0 else np.inf
    episode = dataset.episode
    if dataset.state_id is not None:
        found = _best_of_others(dataset.state_id, episode, to_go) >= to_go + margin
        return found.astype(float), None, dataset.size
    rows = np.arange(dataset.size)
    if dataset.size > MOST_ROWS:
        step = int(np.ceil(dataset.size / MOST_ROWS))
        rows = rows[::step]
    points = standardized(dataset.observation)
    has_before = dataset.step_in_episode > 0
    moved = np.linalg.norm(
        points[has_before] - np.roll(points, 1, axis=0)[has_before], axis=1
    )
    radius = float(np.median(moved)) if len(moved) else 0.0
    tree = scipy.spatial.KDTree(points[rows])
    found = np.full(dataset.size, np.nan)
    for number, near in enumerate(tree.query_ball_point(points[rows], radius)):
        row, others = rows[number], rows[near]
        others = others[episode[others] != episode[row]]
        found[row] = bool((to_go[others] >= to_go[row] + margin).any())
    return found, radius, len(rows)


def _best_of_others(
    state: np.ndarray, episode: np.ndarray, to_go: np.ndarray
) -> np.ndarray:
    """float64 (size,): the largest return-to-go at the same state in another episode."""
    count = int(state.max()) + 1
    order = np.argsort(to_go, kind="stable")
    best, owner, second = (
        np.full(count, -np.inf),
        np.full(count, -1),
        np.full(count, -np.inf),
    )
    best[state[order]], owner[state[order]] = to_go[order], episode[order]  # Last counts.
    others = order[episode[order] != owner[state[order]]]
    second[state[others]] = to_go[others]
    return np.where(owner[state] == episode, second[state], best[state])
