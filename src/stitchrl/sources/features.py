"""Observations: numbers, categories and gaps become one array of features."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.findings import Finding
from stitchrl.sources.almost import meant
from stitchrl.sources.columns import Column, Dates, Text, labels, scalar
from stitchrl.sources.episodes import is_missing
from stitchrl.sources.gathering import has_nan
from stitchrl.sources.mapping import MAX_CATEGORIES, Mapping
from stitchrl.sources.refusals import note, refuse, warn

CANONICAL = "observation."  # Prefix of our own columns; features go without it.
MAX_STATES = 1_000  # More are not turned into one-hot observations.


class Features(NamedTuple):
    """Float32 columns of equal length, and what was done to make them."""

    columns: dict[str, np.ndarray]  # By feature name.
    gaps: dict[str, np.ndarray]  # Source column -> bool (size,), where any is missing.
    sources: dict[str, str]  # Feature -> source column.
    notes: list[Finding]


def observe(
    mapping: Mapping, columns: dict[str, Column], path: Path, names: list[str]
) -> Features:
    """The features in these columns, which stand in for `mapping.observation`.

    Text becomes one-hot by the declared categories. Raises `DataError` naming a column
    that is neither numbers nor declared categories.
    """
    found = Features({}, {}, {}, [])
    for name, declared in zip(names, mapping.observation):
        column = scalar(columns[name])
        feature = declared.removeprefix(CANONICAL)
        if isinstance(column, Text) or declared in mapping.categories:
            values = _categories(mapping, column, declared, name, path, found.notes)
            text = labels(column, name, path, may_be_decimal=True)
            code = {str(value): index for index, value in enumerate(text.values)}
            for value in values:
                hot = (text.codes == code.get(value, -2)).astype(np.float32)
                hot[text.codes < 0] = np.nan
                _add(found, f"{feature}={value}", hot, declared)
        elif column.ndim == 1:
            if isinstance(column, Dates):
                found.notes.append(_date_feature(name, path))
            _add(found, feature, np.asarray(column, np.float32), declared)
        elif column.ndim == 2:
            prefix = "x" if len(names) == 1 else f"{feature}."
            whole = np.asarray(column, np.float32)
            for index in range(column.shape[1]):
                _add(found, f"{prefix}{index}", whole[:, index], declared)
        else:
            raise refuse(
                "SHAPE",
                f"Observation '{name}' of '{path}' has shape {column.shape}: images and "
                "stacks are not read.",
                "Write one vector of features for each decision.",
            )
        if isinstance(column, Text) or has_nan(column):
            gap = is_missing(column)
            if gap.any() or not isinstance(column, Text):
                found.gaps[declared] = gap
    return found


def _date_feature(name: str, path: Path) -> Finding:
    return warn(
        "DATE_FEATURE",
        f"Observation '{name}' of '{path}' is a date, read as seconds since 1970: no later "
        "decision will be taken at a time that the log shows.",
        "Leave it out, or give the time since something: since admission, since the last "
        "visit.",
    )


def _add(found: Features, feature: str, column: np.ndarray, source: str) -> None:
    if feature in found.columns:
        raise refuse(
            "COLUMN_TWICE",
            f"Columns '{found.sources[feature]}' and '{source}' both make an observation "
            f"called '{feature}'.",
            "Rename one, or leave it out of the mapping.",
        )
    found.columns[feature] = column
    found.sources[feature] = source


def _categories(
    mapping: Mapping,
    column: Column,
    declared: str,
    name: str,
    path: Path,
    notes: list[Finding],
) -> list[str]:
    """The values that become one-hot features; text that nobody declared is refused."""
    text = labels(column, name, path, may_be_decimal=True)
    present = [str(value) for value in text.values]
    if mapping.categories == "auto":
        if len(present) > MAX_CATEGORIES:
            _require_text(text, name, path)
            raise _too_many(name, path, len(present))
        notes.append(
            note(
                "CATEGORIES",
                f"Text column '{name}' became one-hot by the {len(present)} values in the "
                "log.",
            )
        )
        return present
    if declared not in mapping.categories:
        _require_text(text, name, path)
        if len(present) > MAX_CATEGORIES:
            raise _too_many(name, path, len(present))
        listed = ", ".join(f'"{value}"' for value in present)
        raise refuse(
            "TEXT",
            f"Observation '{name}' of '{path}' is text with {len(present)} values, which "
            "the mapping does not declare.",
            f"Write [categories] '{declared}' = [{listed}], correct values that were meant "
            "as numbers, or leave the column out.",
        )
    values = mapping.categories[declared]
    if len(values) > MAX_CATEGORIES:
        raise _too_many(name, path, len(values))
    unknown = [index for index, value in enumerate(present) if value not in values]
    if unknown:
        notes.append(
            warn(
                "UNKNOWN_CATEGORY",
                f"'{name}' of '{path}' has values that the mapping does not list, such as "
                f"'{present[unknown[0]]}': all its one-hot features are 0 there.",
                "Add them to categories.",
                rows=np.flatnonzero(np.isin(text.codes, unknown)).tolist(),
            )
        )
    return values


def _require_text(text: Text, name: str, path: Path) -> None:
    """Refuse text that was meant as numbers or dates, naming what spoils it."""
    found = meant(map(str, text.values))
    if found is None or not found.wrong:
        return
    wrong = [index for index, value in enumerate(text.values) if value in found.wrong]
    rows = np.flatnonzero(np.isin(text.codes, wrong)).tolist()
    value = text.values[text.codes[rows[0]]]
    if found.kind == "numbers":
        code, remedy = "NOT_A_NUMBER", "Correct the value (decimals stand after a point), "
        remedy += "leave it empty if missing, or leave out the column."
    else:
        code, remedy = "NOT_A_DATE", "Leave out the column: a date says little about later "
        remedy += "decisions. Where it has another role, correct the value."
    raise refuse(
        code,
        f"Column '{name}' of '{path}' must hold {found.kind}, as most of its values are, "
        f"but row {rows[0]:,} has '{value}'.",
        remedy,
        rows=rows,
    )


def _too_many(name: str, path: Path, count: int) -> Exception:
    return refuse(
        "TOO_MANY_CATEGORIES",
        f"Observation '{name}' of '{path}' is text with {count:,} values; at most "
        f"{MAX_CATEGORIES} can become one-hot features.",
        "Group rare values, describe them by numbers, or leave the column out.",
    )


def flag_gaps(found: Features, sources: list[str]) -> None:
    """Add a feature 'NAME is missing' for each of these source columns."""
    for source in sources:
        parts = [name for name, origin in found.sources.items() if origin == source]
        name = f"{source.removeprefix(CANONICAL)} is missing"
        missing = np.isnan(np.stack([found.columns[part] for part in parts]))
        _add(found, name, missing.max(axis=0).astype(np.float32), name)


def one_hot_states(states: np.ndarray, count: int, path: Path) -> Features:
    """Features for a log that has only state ids; all NaN where the id is negative."""
    if count > MAX_STATES:
        raise refuse(
            "TOO_MANY_STATES",
            f"'{path}' has {count:,} states and no observation columns; at most "
            f"{MAX_STATES:,} states can become one-hot observations.",
            "Map columns that describe a state as observation.",
        )
    columns = {
        f"state={state}": np.where(states < 0, np.nan, states == state).astype(np.float32)
        for state in range(count)
    }
    return Features(columns, {}, {}, [])
