"""Groups of similar states: by the feature along which a policy departs most unevenly."""

from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.report.format import number

PARTS = 4
SHOWN_STATES = 4


class Group(NamedTuple):
    """Some of the rows that were looked at."""

    name: str  # "SOFA 6 to 9", in the feature's own numbers.
    rows: np.ndarray  # int64: positions in what was looked at.


class Grouping(NamedTuple):
    """All groups, and by what they were made."""

    by: str  # "SOFA", "state"; "" where there is only one group.
    groups: list[Group]


def state_groups(dataset: Dataset, rows: np.ndarray, departure: np.ndarray) -> Grouping:
    """Group `rows` so that the `departure` (rows,) differs most between groups.

    Quantile groups of one feature; the most visited states where observations are no more
    than names of states; a single group where nothing varies.
    """
    observation = dataset.observation[rows]
    if _is_one_hot(observation):
        return _by_state(dataset, rows, observation)
    best, least = None, 0.0
    for feature in range(observation.shape[1]):
        parts = quantile_groups(observation[:, feature])
        between = variance_between(parts, departure)
        if between > least:
            best, least = feature, between
    if best is None:
        return Grouping("", [Group("All decisions", np.arange(len(rows)))])
    name = dataset.feature_names[best].replace("_", " ")
    values, parts = observation[:, best], quantile_groups(observation[:, best])
    found = []
    for part in np.unique(parts):
        inside = np.flatnonzero(parts == part)
        found.append(Group(f"{name} {_range(values[inside])}", inside))
    return Grouping(name, found)


def quantile_groups(values: np.ndarray, parts: int = PARTS) -> np.ndarray:
    """int64 (n,): 0 to `parts` - 1 by quantile; `parts` where the value is missing.

    Equal values share a group, so that there may be fewer.
    """
    known = ~np.isnan(values)
    found = np.full(len(values), parts)
    if known.any():
        inner = np.arange(1, parts) / parts
        edges = np.unique(np.quantile(values[known], inner, method="lower"))
        found[known] = np.searchsorted(edges, values[known], side="left")
    return found


def variance_between(group: np.ndarray, values: np.ndarray) -> float:
    """Variance of the group means of `values`, each counted by the size of its group."""
    size = np.bincount(group)
    mean = np.bincount(group, values) / np.maximum(size, 1)
    return float((size * (mean - values.mean()) ** 2).sum() / len(values))


def _is_one_hot(observation: np.ndarray) -> bool:
    is_flag = ((observation == 0) | (observation == 1)).all()
    return bool(is_flag and (observation.sum(axis=1) == 1).all())


def _by_state(dataset: Dataset, rows: np.ndarray, observation: np.ndarray) -> Grouping:
    if dataset.state_id is not None:
        state = dataset.state_id[rows]
        names = {int(one): f"State {one}" for one in np.unique(state)}
    else:
        state = observation.argmax(axis=1)
        names = dict(enumerate(dataset.feature_names))
    known, count = np.unique(state, return_counts=True)
    most = known[np.argsort(-count, kind="stable")[:SHOWN_STATES]]
    found = [Group(names[int(one)], np.flatnonzero(state == one)) for one in most]
    return Grouping("state", found)


def _range(values: np.ndarray) -> str:
    if np.isnan(values).all():
        return "not measured"
    low, high = number(float(values.min())), number(float(values.max()))
    return low if low == high else f"{low} to {high}"
