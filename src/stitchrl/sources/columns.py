"""Columns as they come out of a file, and what each role makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stitchrl.findings import Finding
from stitchrl.sources.almost import MISSING_WORDS, meant
from stitchrl.sources.gathering import at
from stitchrl.sources.refusals import refuse


class Text(NamedTuple):
    """A column of text: row i holds values[codes[i]]."""

    codes: np.ndarray  # int (size,): -1 where missing.
    values: np.ndarray  # str (count,)


class Dates(np.ndarray):
    """An array (size,) of seconds since 1970 that were dates in the file."""


NONE: frozenset[str] = frozenset()
Column = np.ndarray | Text  # Arrays are (size,) or (size, width); NaN where missing.


@dataclass(frozen=True)
class Source:
    """An opened file: what it holds, and how to get some of it."""

    path: Path
    names: tuple[str, ...]
    read: Callable[..., dict[str, Column]]  # Names; which as text; which as float32.
    convention: Mapping[str, Any]  # Entries of the mapping to use where none is given.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Entries that it states itself.
    notes: tuple[Finding, ...] = ()


def to_text(strings: np.ndarray) -> Text:
    """A text column of an array of strings."""
    values, codes = np.unique(strings.astype(str), return_inverse=True)
    return Text(codes.reshape(-1), values)


def length(column: Column) -> int:
    """Its number of rows."""
    return len(column.codes if isinstance(column, Text) else column)


def scalar(column: Column) -> Column:
    """The column itself, or the only column of an array (size, 1)."""
    if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] == 1:
        return column[:, 0]
    return column


def numbers(column: Column, name: str, path: Path) -> np.ndarray:
    """float64 (size,): a column of numbers, NaN where missing.

    Raises `DataError` naming the first row whose text is not a number.
    """
    column = scalar(column)
    if isinstance(column, Text):
        column = _parsed(column, name, path)
    if column.ndim != 1:
        raise refuse(
            "SHAPE",
            f"Column '{name}' of '{path}' must hold one number per row, but has shape "
            f"{column.shape}.",
            "Map a column with one entry per decision.",
        )
    return np.asarray(column, np.float64)


def _parsed(column: Text, name: str, path: Path) -> np.ndarray:
    used = np.unique(column.codes[column.codes >= 0])
    words = {code: str(column.values[code]).strip() for code in used.tolist()}
    parsed = np.full(len(column.values) + 1, np.nan)  # The last one serves code -1.
    for code, word in words.items():
        if word.lower() in MISSING_WORDS:
            continue
        try:
            parsed[code] = float(word)
        except ValueError:
            _require_dates(column, words, name, path)
            rows = np.flatnonzero(column.codes == code).tolist()
            raise refuse(
                "NOT_A_NUMBER",
                f"Column '{name}' of '{path}' must hold numbers, but row {rows[0]:,} has "
                f"'{word}'.",
                "Correct the value, leave it empty if missing, or map another column.",
                rows=rows,
            ) from None
    return parsed[column.codes]


def _require_dates(column: Text, words: dict[int, str], name: str, path: Path) -> None:
    """Refuse a column of dates by what spoils it, not by its first date."""
    found = meant(words.values())
    if found is None or found.kind != "dates":
        return
    wrong = [code for code, word in words.items() if word in found.wrong or not found.wrong]
    rows = np.flatnonzero(np.isin(column.codes, wrong)).tolist()
    came = words[int(column.codes[rows[0]])]
    raise refuse(
        "NOT_A_DATE",
        f"Column '{name}' of '{path}' must hold dates in one form that is read, but row "
        f"{rows[0]:,} has '{came}'.",
        "Write dates as 2024-07-14 or 2024-07-14 20:00, and leave them empty if missing.",
        rows=rows,
    )


def whole(column: Column, name: str, path: Path, *, rows: np.ndarray) -> np.ndarray:
    """int64: these rows of a column of whole numbers, all of them present."""
    plain = scalar(column)
    if isinstance(plain, np.ndarray) and plain.dtype.kind == "i" and plain.ndim == 1:
        return np.asarray(at(plain, rows), np.int64)
    values = numbers(column, name, path)[rows]
    wrong = np.flatnonzero(~np.isfinite(values) | (values != np.round(values)))
    if len(wrong):
        raise refuse(
            "NOT_WHOLE",
            f"Column '{name}' of '{path}' must hold whole numbers, but row "
            f"{rows[wrong[0]]:,} has {values[wrong[0]]:g}.",
            "Correct the value, or map another column.",
            rows=rows[wrong].tolist(),
        )
    return values.astype(np.int64)


def flags(column: Column, name: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """bool (size,): the flag, and where it is missing. Only 0, 1, true, false are flags."""
    column = scalar(column)
    if isinstance(column, np.ndarray) and column.dtype == bool and column.ndim == 1:
        return column, np.zeros(len(column), bool)
    if isinstance(column, Text):
        words = np.array([str(value).strip().lower() for value in column.values] + [""])
        spelled = np.select(
            [np.isin(words, ("true", "t", "yes", "1", "1.0"))]
            + [np.isin(words, ("false", "f", "no", "0", "0.0"))]
            + [np.isin(words, MISSING_WORDS)],
            [1.0, 0.0, np.nan],
            2.0,
        )
        values = spelled[column.codes]
    else:
        values = numbers(column, name, path)
    wrong = np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))
    if len(wrong):
        row = wrong[0]
        value = (
            column.values[column.codes[row]] if isinstance(column, Text) else values[row]
        )
        raise refuse(
            "NOT_A_FLAG",
            f"Column '{name}' of '{path}' must hold 0 or 1 (true or false), but row "
            f"{row:,} has '{value}'.",
            "Correct the value, or map the column that tells.",
            rows=wrong.tolist(),
        )
    return values == 1, np.isnan(values)


def labels(column: Column, name: str, path: Path, *, may_be_decimal: bool = False) -> Text:
    """A column as names: whole numbers are spelled without decimals and sorted as numbers.

    Raises `DataError` for numbers with decimals, which are rather amounts than names,
    unless they `may_be_decimal`.
    """
    column = scalar(column)
    if isinstance(column, np.ndarray):
        if column.ndim != 1:
            raise refuse(
                "SHAPE",
                f"Column '{name}' of '{path}' must hold one name per row, but has shape "
                f"{column.shape}.",
                "Map a column with one entry per decision.",
            )
        column = _spelled(column)
    named = _named(column)
    if may_be_decimal or not len(named.values):
        return named
    try:
        decimal = np.flatnonzero(named.values.astype(np.float64) % 1 != 0)
    except ValueError:
        return named
    if len(decimal):
        rows = np.flatnonzero(np.isin(named.codes, decimal)).tolist()
        raise refuse(
            "NOT_A_NAME",
            f"Column '{name}' of '{path}' must hold names or whole numbers, but row "
            f"{rows[0]:,} has {named.values[named.codes[rows[0]]]}.",
            f'If it is a continuous action, write action = ["{name}"], with brackets; if '
            "these are levels to choose from, list them in action_labels.",
            rows=rows,
        )
    return named


def _spelled(column: np.ndarray) -> Text:
    """Numbers or flags as text."""
    if column.dtype == bool:
        return Text(column.astype(np.int64), np.array(["false", "true"]))
    present = np.isfinite(column)
    values, codes = np.unique(column[present], return_inverse=True)
    spread = np.full(len(column), -1)
    spread[present] = codes
    return Text(spread, np.array([str(value) for value in values], dtype=str))


def _named(column: Text) -> Text:
    """Without values that do not occur; '3.0' of a column of whole numbers becomes '3'."""
    used, codes = np.unique(column.codes[column.codes >= 0], return_inverse=True)
    words = [str(column.values[code]) for code in used.tolist()]
    short = [word.removesuffix(".0") for word in words]
    if all(_is_whole(word) for word in short) and len(set(short)) == len(short):
        words = short
        order = sorted(range(len(words)), key=lambda index: int(words[index]))
    else:
        order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.empty(len(words), np.int64)
    rank[order] = np.arange(len(words))
    spread = np.full(len(column.codes), -1)
    spread[column.codes >= 0] = rank[codes]
    return Text(spread, np.array([words[index] for index in order], dtype=str))


def _is_whole(word: str) -> bool:
    try:
        return str(int(word)) == word
    except ValueError:
        return False


def identities(column: Column, name: str, path: Path) -> np.ndarray:
    """int64 or str (size,): who or what a row belongs to, as numbers where all are whole.

    Raises `DataError` naming the first row without one.
    """
    column = scalar(column)
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu" and column.ndim == 1:
        return np.asarray(column, np.int64)
    named = labels(column, name, path)
    missing = np.flatnonzero(named.codes < 0).tolist()
    if missing:
        raise refuse(
            "ID_MISSING",
            f"Column '{name}' of '{path}' must name every row's episode or group, but is "
            f"empty in {len(missing):,} rows, first in row {missing[0]:,}.",
            "Fill it, or remove these rows.",
            rows=missing,
        )
    is_small = all(_is_whole(word) and abs(int(word)) < 2**63 for word in named.values)
    values = named.values.astype(np.int64) if is_small else named.values
    return values[named.codes]
