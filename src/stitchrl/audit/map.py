"""A map of a log: where it went, how that ended, what it tried, and where ways meet."""

from dataclasses import dataclass

import numpy as np

from stitchrl.audit.places import Places
from stitchrl.audit.stitching import Meetings
from stitchrl.dataset import Dataset
from stitchrl.ope.bounds import returns_to_go

MOST_SITES = 60
MOST_PASSAGES = 120


@dataclass(frozen=True)
class Site:
    """One of the busiest places."""

    step: float  # Mean decision of the episode at which it was visited, from 0.
    to_go: float  # Mean return from there on.
    visits: int
    tried: float  # Share of moves made there at least once.
    meeting: float | None  # Share of worse episodes' visits that meet a better one.


@dataclass(frozen=True)
class Passage:
    """A way from one site to another."""

    start: int  # Positions among the sites.
    end: int
    count: int


@dataclass(frozen=True)
class Map:
    """The busiest places and the ways between them, busiest first."""

    sites: tuple[Site, ...]
    passages: tuple[Passage, ...]
    places: int  # Of the whole log.
    visits_share: float  # Of its decisions, at these sites.


def map_of(dataset: Dataset, places: Places, meetings: Meetings, *, discount: float) -> Map:
    """Means over all visits; `meetings` of the same log and discount."""
    visits = places.visits()
    total = visits.sum(axis=1)
    order = np.argsort(-total, kind="stable")[:MOST_SITES]
    order = order[total[order] > 0]
    to_go = returns_to_go(dataset, discount)
    sites = []
    for place in order:
        here = places.row == place
        worse = meetings.better[here & meetings.is_worse]
        worse = worse[~np.isnan(worse)]
        sites.append(
            Site(
                step=float(dataset.step_in_episode[here].mean()),
                to_go=float(to_go[here].mean()),
                visits=int(total[place]),
                tried=float((visits[place] > 0).mean()),
                meeting=float(worse.mean()) if len(worse) else None,
            )
        )
    return Map(
        sites=tuple(sites),
        passages=_passages(places, order),
        places=int((total > 0).sum()),
        visits_share=float(total[order].sum() / total.sum()),
    )


def _passages(places: Places, order: np.ndarray) -> tuple[Passage, ...]:
    """The busiest ways between different sites."""
    position = np.full(places.count, -1)
    position[order] = np.arange(len(order))
    goes_on = places.following >= 0
    start = position[places.row[goes_on]]
    end = position[places.following[goes_on]]
    between = (start >= 0) & (end >= 0) & (start != end)
    key = start[between] * len(order) + end[between]
    keys, counts = np.unique(key, return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[:MOST_PASSAGES]
    return tuple(
        Passage(int(keys[i] // len(order)), int(keys[i] % len(order)), int(counts[i]))
        for i in chosen
    )
