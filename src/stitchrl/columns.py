"""What columns must be before they can become a dataset."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stitchrl.findings import DataError, Finding, Severity, at_rows


def whole_numbers(action: Any) -> np.ndarray:
    """int32 (size,): refuses what is no whole number instead of rounding it."""
    given = np.asarray(action).ravel()
    is_whole = np.zeros(given.shape, bool)  # As text is not.
    if given.dtype.kind in "biuf":
        number = given.astype(np.float64)
        is_whole = (number % 1 == 0) & (np.abs(number) <= np.iinfo(np.int32).max)
    wrong = np.flatnonzero(~is_whole)
    if len(wrong):
        finding = at_rows(
            "ACTION_TYPE",
            Severity.ERROR,
            "Discrete actions must be whole numbers that count the labels from 0, but row "
            f"{wrong[0]:,} has {given[wrong[0]]}.",
            "Number the actions, or declare them as continuous with `Bounds`.",
            rows=wrong.tolist(),
        )
        raise DataError([finding])
    return np.asarray(action).astype(np.int32)


def require_same_length(columns: Mapping[str, np.ndarray], size: int) -> None:
    """Raise `DataError` if there are no rows, or naming columns of another length."""
    wrong = {name: len(value) for name, value in columns.items() if len(value) != size}
    if size == 0:
        finding = Finding(
            "EMPTY",
            Severity.ERROR,
            "The log has no rows: nothing can be learned or evaluated.",
            "Check the file, and any filter in the query that made it.",
        )
        raise DataError([finding])
    if wrong:
        came = ", ".join(f"'{name}' has {length:,}" for name, length in wrong.items())
        finding = Finding(
            "LENGTHS",
            Severity.ERROR,
            "All columns must have one entry per decision: "
            f"'observation' has {size:,}, but {came}.",
            "Write every column for every decision; what follows the last decision of an "
            "episode belongs in final_observation.",
        )
        raise DataError([finding])


def require_shape(name: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise `DataError` if this column has another shape."""
    if value.shape != shape:
        finding = Finding(
            "LENGTHS",
            Severity.ERROR,
            f"'{name}' must have shape {shape}, but has {value.shape}.",
            "Give one row per episode for final values, one column per feature or action.",
        )
        raise DataError([finding])


def in_order_of_appearance(
    labels: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number episodes by their first row; refuse one whose rows are interrupted."""
    changes = np.concatenate([[True], labels[1:] != labels[:-1]])
    block = np.cumsum(changes) - 1
    names = labels[changes]
    known, first = np.unique(names, return_index=True)
    if len(known) < len(names):
        again = np.setdiff1d(np.arange(len(names)), first)
        rows = np.flatnonzero(np.isin(block, again))
        label = labels[rows[0]]
        finding = Finding(
            "EPISODE_SPLIT",
            Severity.ERROR,
            f"Rows of one episode must stand together, but episode '{label}' starts "
            f"again at row {rows[0]:,}.",
            "Sort the log by episode and step, or give each visit its own episode id.",
            count=len(rows),
            rows=tuple(int(row) for row in rows[:5]),
        )
        raise DataError([finding])
    return block, names
