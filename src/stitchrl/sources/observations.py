"""Observations of new rows, read as those of the log that a policy was learned from."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.findings import Finding, did_you_mean
from stitchrl.sources.actions import valid_actions
from stitchrl.sources.binding import bind_observations
from stitchrl.sources.columns import Column, Source, length, whole
from stitchrl.sources.features import (
    CANONICAL,
    Features,
    flag_gaps,
    observe,
    one_hot_states,
)
from stitchrl.sources.mapping import Mapping, mapping_of
from stitchrl.sources.opening import open_source
from stitchrl.sources.refusals import refuse

MISSING = " is missing"  # Ends the name of a feature that `flag_gaps` adds.


class Observations(NamedTuple):
    """What is known before each decision, row by row of a file."""

    observation: np.ndarray  # float32 (size, features), in the order asked for.
    valid_actions: np.ndarray | None  # bool (size, choices)
    state_id: np.ndarray | None  # int64 (size,)
    notes: tuple[Finding, ...]

    @property
    def size(self) -> int:
        return len(self.observation)


def load_observations(
    path: str | Path,
    mapping: Mapping | None,
    *,
    feature_names: tuple[str, ...],
    states: int | None = None,
    choices: tuple[int, ...] | None = None,
) -> Observations:
    """Every row of a file as these features, by the mapping of the log they come from.

    Columns are found by their names, whatever their order; categories that the log did
    not show make no feature. `states` asks for state ids below it, `choices` (as in
    `Choices.sizes`) for that many valid actions. Raises `DataError` naming every feature or
    column that is missing, and the first row with a gap that the mapping does not allow.
    """
    source = open_source(Path(path))
    wanted = _wanted(mapping, source, feature_names, states, choices)
    bound = bind_observations(wanted, source)
    mapping = bound.mapping
    names = list(bound.columns) or list(source.names[:1])
    columns = source.read(names, bound.as_text, bound.coarse)
    size = length(next(iter(columns.values())))
    state_id = None
    is_by_state = not mapping.observation and bool(feature_names)
    if is_by_state or states is not None:
        limit = len(feature_names) if states is None else states
        state_id = _states(mapping, columns, limit, source.path)
    features = Features({}, {}, {}, list(bound.notes))
    if is_by_state:
        assert state_id is not None
        features = one_hot_states(state_id, len(feature_names), source.path)
    elif mapping.observation:
        features = observe(mapping, columns, source.path, mapping.observation)
        gaps = [name for name in mapping.observation if _flag(name) in feature_names]
        flag_gaps(features, gaps)
    _require_features(features, feature_names, source.path)
    _require_allowed_gaps(features, mapping, feature_names, source.path)
    chosen = [features.columns[name] for name in feature_names]
    observation = np.stack(chosen, axis=1) if chosen else np.zeros((size, 0), np.float32)
    allowed = None
    if choices is not None:
        allowed = _allowed(mapping, columns, choices, source.path)
    return Observations(observation, allowed, state_id, tuple(features.notes))


def _wanted(
    mapping: Mapping | None,
    source: Source,
    feature_names: tuple[str, ...],
    states: int | None,
    choices: tuple[int, ...] | None,
) -> Mapping:
    """Only the roles that are read here, with categories as the features have them."""
    names = set(source.names)
    if mapping is None:
        mapping = mapping_of(dict(source.convention), f"The mapping inside '{source.path}'")
        if names.issuperset(feature_names):
            mapping = mapping.model_copy(update={"observation": list(feature_names)})
    elif mapping.preset and not mapping.conventional:
        mapping = mapping_of(mapping.model_dump(exclude_unset=True))
    changes: dict[str, object] = {}
    if mapping.categories == "auto":
        known: dict[str, list[str]] = {}
        for column, equals, value in (name.partition("=") for name in feature_names):
            if equals:
                known.setdefault(column, []).append(value)
        changes["categories"] = known
    if not feature_names:
        changes |= {"observation": [], "categories": {}}
    elif any(name.endswith("*") for name in mapping.observation):
        changes["observation"] = [
            name
            for pattern in mapping.observation
            for name in _spelled_out(pattern, source, feature_names)
        ]
    is_optional = "state_id" in mapping.conventional
    if mapping.observation and states is None and not is_optional:
        changes["state_id"] = None
    if choices is None:
        changes["valid_actions"] = []
    return mapping.model_copy(update=changes)


def _spelled_out(
    pattern: str, source: Source, feature_names: tuple[str, ...]
) -> Iterator[str]:
    """The columns that a pattern means, without those that make no wanted feature."""
    if not pattern.endswith("*"):
        yield pattern
        return
    for name in source.names:
        feature = name.removeprefix(CANONICAL)
        parts = (f"{feature}=", f"{feature}.")
        if name.startswith(pattern[:-1]) and (
            feature in feature_names or any(f.startswith(parts) for f in feature_names)
        ):
            yield name


def _flag(name: str) -> str:
    return f"{name.removeprefix(CANONICAL)}{MISSING}"


def _states(
    mapping: Mapping, columns: dict[str, Column], states: int, path: Path
) -> np.ndarray:
    name = mapping.state_id
    if name is None:
        raise refuse(
            "COLUMN_MISSING",
            f"The policy acts by state, but '{path}' has no state ids.",
            "Give the column that its log had as state_id.",
        )
    column = columns[name]
    rows = np.arange(length(column))
    found = whole(column, name, path, rows=rows)
    wrong = np.flatnonzero((found < 0) | (found >= states)).tolist()
    if wrong:
        raise refuse(
            "STATE_ID",
            f"State ids in column '{name}' of '{path}' must be whole numbers from 0 to "
            f"{states - 1}, which the policy knows, but row {wrong[0]:,} has "
            f"{found[wrong[0]]}.",
            "Number states as in the log that the policy was learned from.",
            rows=wrong,
        )
    return found


def _require_features(features: Features, wanted: tuple[str, ...], path: Path) -> None:
    missing = [name for name in wanted if name not in features.columns]
    if missing:
        shown = ", ".join(f"'{name}'" for name in missing[:8])
        hint = did_you_mean(missing[0], features.columns) if features.columns else ""
        raise refuse(
            "COLUMN_MISSING",
            f"'{path}' lacks {len(missing)} of the {len(wanted)} features that the policy "
            f"reads: {shown}{', …' if len(missing) > 8 else ''}.",
            f"Give every observation column of its log. {hint}".rstrip(),
        )


def _require_allowed_gaps(
    features: Features, mapping: Mapping, wanted: tuple[str, ...], path: Path
) -> None:
    if mapping.missing is not None:
        return
    for name in wanted:
        rows = np.flatnonzero(np.isnan(features.columns[name])).tolist()
        if rows and name not in mapping.may_be_missing:
            raise refuse(
                "MISSING",
                f"Feature '{name}' must be known in every row of '{path}', but is missing "
                f"in {len(rows):,}, first in row {rows[0]:,}.",
                'Fill it, or learn a policy with missing = "mean" in the mapping.',
                rows=rows,
            )


def _allowed(
    mapping: Mapping, columns: dict[str, Column], choices: tuple[int, ...], path: Path
) -> np.ndarray:
    found = valid_actions(mapping, columns, choices, path)
    if found is None:
        raise refuse(
            "COLUMN_MISSING",
            f"The policy was learned with valid actions, but '{path}' has no columns for "
            "them.",
            f"Give the {prod(choices)} columns of valid_actions, as in its log.",
        )
    allowed, known = found
    wrong = np.flatnonzero(~known | ~allowed.any(axis=1)).tolist()
    if wrong:
        raise refuse(
            "VALID_ACTIONS",
            f"At least one action must be valid in every row of '{path}', and for each it "
            f"must be said whether it is; this fails first in row {wrong[0]:,}.",
            "Correct the row, or leave it out.",
            rows=wrong,
        )
    return allowed
