"""Rows and columns put together, a block at a time, without copies that nobody needs."""

from collections.abc import Sequence

import numpy as np

BLOCK = 16_384  # Rows whose columns lie in a cache together.


def at(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`column[rows]`; the column itself where these are all of its rows, in order."""
    return column if is_everything(rows, len(column)) else column[rows]


def is_everything(rows: np.ndarray, size: int) -> bool:
    """Whether `rows` are 0, 1, ..., size - 1."""
    if len(rows) != size or (size and (rows[0] != 0 or rows[-1] != size - 1)):
        return False
    return bool((rows[1:] > rows[:-1]).all())


def stacked(columns: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """float32 (rows, columns): these rows of the columns, side by side."""
    whole = _whole(columns)
    if whole is not None:
        return at(whole, rows)
    found = np.empty((len(rows), len(columns)), np.float32)
    for first in range(0, len(rows), BLOCK):
        here = rows[first : first + BLOCK]
        for index, column in enumerate(columns):
            found[first : first + BLOCK, index] = column[here]
    return found


def _whole(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """The array of float32 whose columns these are, all of them in order; or None."""
    array = columns[0].base
    is_like = (
        isinstance(array, np.ndarray)
        and array.dtype == np.float32
        and array.shape == (len(columns[0]), len(columns))
        and array.flags.c_contiguous
    )
    if not is_like:
        return None
    assert array is not None
    start, width = array.ctypes.data, array.itemsize
    for index, column in enumerate(columns):
        is_next = column.base is array and column.ctypes.data == start + width * index
        if not is_next or column.strides != array.strides[:1]:
            return None
    return array


def has_nan(column: np.ndarray) -> bool:
    """Whether any number is missing: the smallest of some is NaN if one of them is."""
    return column.dtype.kind == "f" and bool(np.isnan(column.min(initial=np.inf)))


def first_differences(left: np.ndarray, right: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` in which `left[row]` is not close to `right[row + 1]`.

    NaN equals NaN; rows of `left` that are all NaN differ from nothing.
    """
    found = []
    for first in range(0, len(rows), BLOCK):
        here = rows[first : first + BLOCK]
        a, b = left[here], right[here + 1]
        doubtful = np.flatnonzero((a != b).any(axis=1))
        a, b = a[doubtful], b[doubtful]
        close = np.isclose(a, b, rtol=1e-5, equal_nan=True).all(axis=1)
        found.append(here[doubtful[~close & ~np.isnan(a).all(axis=1)]])
    return np.concatenate(found) if found else rows
