"""Actions: one column of choices, or columns of amounts with bounds."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import MAX_ACTIONS, Bounds, Choices
from stitchrl.findings import Finding, did_you_mean
from stitchrl.sources.columns import Column, Text, flags, labels, numbers, scalar
from stitchrl.sources.episodes import is_missing
from stitchrl.sources.gathering import stacked
from stitchrl.sources.joint import CANONICAL, counted, joint_of, part_columns, spread
from stitchrl.sources.mapping import Mapping
from stitchrl.sources.refusals import note, refuse, warn

SHOWN_LABELS = 12


class Actions(NamedTuple):
    """What was done in each decision."""

    action: np.ndarray  # int32 (size,) or float32 (size, dims)
    actions: Choices | Bounds
    notes: list[Finding]


def act(
    mapping: Mapping, columns: dict[str, Column], decision: np.ndarray, path: Path
) -> Actions:
    """Actions in these rows of the file.

    Raises `DataError` naming the first row without an action or with one that is not in
    `action_labels`.
    """
    if mapping.actions:
        return _together(mapping, columns, decision, path)
    if isinstance(mapping.action, list):
        return _amounts(mapping, columns, mapping.action, decision, path)
    assert mapping.action is not None
    column = scalar(columns[mapping.action])
    is_array = isinstance(column, np.ndarray)
    if is_array and (column.ndim > 1 or _is_float_array(columns[mapping.action])):
        return _amounts(mapping, columns, [mapping.action], decision, path)
    return _choices(_labels_of(mapping, None, path), column, mapping.action, decision, path)


def _labels_of(mapping: Mapping, part: str | None, path: Path) -> list[str] | None:
    """The declared labels of one part of joint actions; of plain ones for None."""
    declared = mapping.action_labels
    if declared is None or isinstance(declared, dict) == (part is not None):
        return declared.get(part or "") if isinstance(declared, dict) else declared
    meant = "a table, column -> list of labels" if part else "a list of labels"
    raise refuse(
        "MAPPING",
        f"action_labels in the mapping of '{path}' must be {meant}.",
        'With actions write action_labels = { COLUMN = ["a", "b"] }, with action a list.',
    )


def _together(
    mapping: Mapping, columns: dict[str, Column], decision: np.ndarray, path: Path
) -> Actions:
    """Several choices: one joint action for every combination."""
    parts = part_columns(mapping, columns)
    declared = mapping.action_labels
    unknown = [name for name in declared or () if name not in parts]
    if isinstance(declared, dict) and unknown:
        raise refuse(
            "MAPPING",
            f"action_labels in the mapping of '{path}' names '{unknown[0]}', which is none "
            "of actions.",
            did_you_mean(unknown[0], parts),
        )
    found: dict[str, Actions] = {}
    for name, column in parts.items():
        labels_of = _labels_of(mapping, name, path)
        found[name] = _choices(labels_of, scalar(column), name, decision, path)
    spaces = {
        n: one.actions for n, one in found.items() if isinstance(one.actions, Choices)
    }
    actions = joint_of(spaces, path)
    chosen = np.stack([one.action for one in found.values()], axis=-1)
    action = actions.combined(chosen)
    notes = [finding for one in found.values() for finding in one.notes]
    return Actions(action, actions, [*notes, counted(actions, action)])


def _is_float_array(column: Column) -> bool:
    """Whether this is an array (size, 1) of floats: written by a continuous recorder."""
    return isinstance(column, np.ndarray) and column.ndim > 1 and column.dtype.kind == "f"


def _require_present(
    missing: np.ndarray, name: str, decision: np.ndarray, path: Path
) -> None:
    rows = decision[missing[decision]].tolist()
    if rows:
        raise refuse(
            "ACTION_MISSING",
            f"Column '{name}' of '{path}' must hold an action in every row, but is "
            f"empty in {len(rows):,}, first in row {rows[0]:,}.",
            "Where such a row is the last of its episode and only holds what was observed "
            "then, write final_rows = true in the mapping; remove others.",
            rows=rows,
        )


def _choices(
    given: list[str] | None, column: Column, name: str, decision: np.ndarray, path: Path
) -> Actions:
    is_declared = given is not None
    text = labels(column, name, path, may_be_decimal=is_declared)
    _require_present(text.codes < 0, name, decision, path)
    codes = text.codes[decision]
    present = [str(value) for value in text.values]
    declared = given or present
    if len(declared) > MAX_ACTIONS:
        raise refuse(
            "TOO_MANY_ACTIONS",
            f"At most {MAX_ACTIONS:,} discrete actions can be learned, but column '{name}' "
            f"of '{path}' has {len(declared):,}.",
            f'Group rare actions; if these are amounts, write action = ["{name}"], with '
            "brackets.",
        )
    if len(set(declared)) < len(declared):
        raise refuse(
            "MAPPING",
            f"action_labels in the mapping of '{path}' has an entry twice.",
            "Name every action once.",
        )
    notes: list[Finding] = []
    if not is_declared:
        notes.append(
            note(
                "ACTIONS_FROM_LOG",
                f"The {len(present)} actions are the values found in column '{name}': "
                f"{_counted(present, codes)}.",
                "List all that are possible in action_labels, if there are more.",
            )
        )
    index = {label: number for number, label in enumerate(declared)}
    number = np.array([index.get(label, -1) for label in present], np.int32)
    action = number[codes]
    if (action < 0).any():
        rows = decision[action < 0]
        label = present[codes[(action < 0).argmax()]]
        raise refuse(
            "ACTION_SET",
            f"Actions in column '{name}' of '{path}' must be among the {len(declared)} in "
            f"action_labels, but row {rows[0]:,} has '{label}'.",
            f"Add it to action_labels, or correct the row. {did_you_mean(label, declared)}",
            rows=rows.tolist(),
        )
    return Actions(action, Choices(tuple(declared)), notes)


def _counted(labels: list[str], codes: np.ndarray) -> str:
    """Each label with its number of rows; of many, the commonest."""
    counts = np.bincount(codes, minlength=len(labels))
    shown = range(len(labels))
    if len(labels) > SHOWN_LABELS:
        shown = np.argsort(-counts, kind="stable")[:SHOWN_LABELS].tolist()
    words = ", ".join(f"'{labels[index]}' {counts[index]:,}" for index in shown)
    return words + (", …" if len(labels) > SHOWN_LABELS else "")


def _amounts(
    mapping: Mapping,
    columns: dict[str, Column],
    names: list[str],
    decision: np.ndarray,
    path: Path,
) -> Actions:
    found: dict[str, np.ndarray] = {}
    for name in names:
        column = columns[name]
        _require_present(is_missing(column), name, decision, path)
        if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] > 1:
            if column.dtype.kind in "iub" and not isinstance(mapping.action, list):
                raise refuse(
                    "ACTION_TYPE",
                    f"Column '{name}' of '{path}' holds {column.shape[1]} whole numbers "
                    "per row: amounts, or several choices at once?",
                    f'If they are amounts, write action = ["{name}"], with brackets; if '
                    f'they are choices made together, write actions = ["{name}"].',
                )
            prefix = "a" if len(names) == 1 else f"{name}."
            for index in range(column.shape[1]):
                found[f"{prefix}{index}"] = column[:, index]
        else:
            single = scalar(column)
            if isinstance(single, Text) or single.ndim != 1:
                single = numbers(single, name, path)
            found[name.removeprefix(CANONICAL)] = single
    action = stacked(list(found.values()), decision)
    low, notes = _limits(mapping.action_low, "low", action, path)
    high, more = _limits(mapping.action_high, "high", action, path)
    return Actions(action, Bounds(tuple(found), low, high), [*notes, *more])


def _limits(
    declared: float | list[float] | None, side: str, action: np.ndarray, path: Path
) -> tuple[tuple[float, ...], list[Finding]]:
    """The bound of each column: declared, or read off the data and counted."""
    dims = action.shape[1]
    if declared is None:
        extreme = np.fmin.reduce(action) if side == "low" else np.fmax.reduce(action)
        shown = ", ".join(f"{value:g}" for value in extreme[:5])
        found = warn(
            "BOUNDS_FROM_LOG",
            f"action_{side} is not declared: taken from the log ({shown}"
            f"{', …' if dims > 5 else ''}).",
            f"Write action_{side} in the mapping: the limits of what can be done.",
        )
        return tuple(float(value) for value in extreme), [found]
    values = declared if isinstance(declared, list) else [declared] * dims
    if len(values) != dims:
        raise refuse(
            "MAPPING",
            f"action_{side} in the mapping of '{path}' has {len(values)} entries, but "
            f"there are {dims} action columns.",
            "Write one number for all, or one for each column.",
        )
    return tuple(float(value) for value in values), []


def valid_actions(
    mapping: Mapping, columns: dict[str, Column], sizes: Sequence[int], path: Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """bool (rows of the file, count): which actions were possible, and where that is known.

    Of joint actions, `sizes` are those of the parts: where there is one column for each
    choice of each part, a joint action is possible if all its parts are. Raises `DataError`
    if there is not one column for each action, or each choice.
    """
    count = prod(sizes)
    if not mapping.valid_actions:
        return None
    parts = [columns[name] for name in mapping.valid_actions]
    if len(parts) == 1 and isinstance(parts[0], np.ndarray) and parts[0].ndim == 2:
        parts = list(parts[0].T)
    is_by_part = len(parts) == sum(sizes) != count
    if len(parts) != count and not is_by_part:
        raise refuse(
            "LENGTHS",
            f"valid_actions of '{path}' must have one column for each of the {count} "
            f"actions, but has {len(parts)}.",
            "Write them in the order of action_labels (without that: in sorted order)."
            + (f" Or one for each of {sum(sizes)} choices." if len(sizes) > 1 else ""),
        )
    is_whole = len(mapping.valid_actions) == len(parts)
    names = mapping.valid_actions * (1 if is_whole else len(parts))
    read = [flags(part, name, path) for part, name in zip(parts, names)]
    allowed = np.stack([flag for flag, _ in read], axis=1)
    missing = np.stack([missing for _, missing in read], axis=1)
    allowed = spread(allowed, sizes) if is_by_part else allowed
    return allowed, missing.sum(axis=1) == 0
