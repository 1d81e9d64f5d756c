"""How much of what could be done a log has tried."""

from dataclasses import dataclass

import numpy as np

from stitchrl.audit.places import Places
from stitchrl.behavior.calibration import entropy


@dataclass(frozen=True)
class Coverage:
    """Over places: the log's states, or clusters of them."""

    places: int
    effective_places: float  # 2^entropy of visits.
    busiest_share: float  # Of decisions, in the busiest 1 % of places.
    moves: int
    tried_share: float  # Of (visited place, move): made at least once.
    often_share: float  # Made at least OFTEN times.
    entropy: float  # Bits per decision, given the place: 0 for one move everywhere.
    rarest_share: float  # Of decisions: the least frequent move of the log.


OFTEN = 10


def coverage_of(places: Places) -> Coverage:
    """Count visits and moves."""
    visits = places.visits()
    of_place = visits.sum(axis=1)
    visited = visits[of_place > 0]
    busiest = np.sort(of_place)[::-1][: max(round(0.01 * len(visited)), 1)]
    within = visited / visited.sum(axis=1, keepdims=True)
    bits = np.array([entropy(share) for share in within])
    total = visits.sum()
    return Coverage(
        places=len(visited),
        effective_places=float(2 ** entropy(of_place / total)),
        busiest_share=float(busiest.sum() / total),
        moves=places.moves,
        tried_share=float((visited > 0).mean()),
        often_share=float((visited >= OFTEN).mean()),
        entropy=float(bits @ visited.sum(axis=1) / total),
        rarest_share=float(visits.sum(axis=0).min() / total),
    )
