"""What a log can teach, before anything is learned from it."""

from dataclasses import dataclass

from stitchrl.audit.behavior import Behavior, behavior_of
from stitchrl.audit.coverage import Coverage, coverage_of
from stitchrl.audit.map import Map, map_of
from stitchrl.audit.places import Places
from stitchrl.audit.returns import Returns, returns_of
from stitchrl.audit.stitching import Stitching, meetings_of, stitching_of
from stitchrl.dataset import Dataset

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """All numbers that advice rests on."""

    decisions: int
    episodes: int
    groups: int
    discount: float
    are_clusters: bool  # Places are clusters of features, for the log names no states.
    has_propensities: bool
    returns: Returns
    coverage: Coverage
    stitching: Stitching
    behavior: Behavior
    map: Map


def audit(dataset: Dataset, *, discount: float, seed: int = 0) -> Audit:
    """Look at a log that `stitchrl.validation` found no errors in.

    `discount` is that of returns-to-go: below 1 where episodes were cut and go on.
    """
    places = Places.of(dataset, seed=seed)
    meetings = meetings_of(dataset, discount=discount)
    return Audit(
        decisions=dataset.size,
        episodes=dataset.episodes,
        groups=dataset.groups,
        discount=discount,
        are_clusters=places.are_clusters,
        has_propensities=dataset.propensity is not None,
        returns=returns_of(dataset, discount=discount),
        coverage=coverage_of(places),
        stitching=stitching_of(dataset, places, meetings, discount=discount),
        behavior=behavior_of(dataset, places, seed=seed),
        map=map_of(dataset, places, meetings, discount=discount),
    )
