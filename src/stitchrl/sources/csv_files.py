"""CSV files, through DuckDB."""

import csv
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stitchrl.findings import Finding
from stitchrl.sources.columns import NONE, Column, Source
from stitchrl.sources.refusals import reading, refuse, warn
from stitchrl.sources.tables import (
    column_of,
    columns_of,
    connect,
    convention_of,
    literal,
    quoted,
    require_distinct,
)

BATCH = 65_536  # Rows.
DELIMITERS = ",;\t|"
STRICT = {  # Of columns read as text: what every value must look like.
    "BIGINT": "-?(0|[1-9][0-9]{0,17})",
    "BOOLEAN": "(?i)true|false",
}
CASTS = {"BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


def open_csv(path: Path) -> Source:
    """A CSV file in UTF-8 with a header; the delimiter is the commonest in the header."""
    header, delimiter = _header(path)
    names = tuple(name or f"column{index}" for index, name in enumerate(header))
    require_distinct(names, path)

    def read(
        wanted: list[str], as_text: frozenset[str], coarse: frozenset[str] = NONE
    ) -> dict[str, Column]:
        options = {
            "header": True,
            "delim": delimiter,
            "quote": '"',
            "escape": '"',
            "comment": "",
            "skip": 0,
            "names": list(names),
        }
        types = {name: "VARCHAR" for name in wanted if name in as_text}
        kinds = _foreseen(path, wanted, options, as_text)
        found = None
        if kinds is not None:
            found = _streamed(path, names, kinds, options, coarse)
        if found is not None:
            return found
        connection = connect()
        try:
            _read_csv(connection, path, wanted, options | {"sample_size": -1}, types)
        except duckdb.Error:
            # Read everything as text: this says in which line the file is broken.
            connection = connect()
            every = dict.fromkeys(names, "VARCHAR")
            with reading(path, "CSV", _csv_fault):
                _read_csv(connection, path, wanted, options | {"auto_detect": False}, every)
        return columns_of(connection, wanted, as_text, path)

    return Source(path, names, read, convention_of(names), notes=_cut_short(path))


def _csv_fault(said: str) -> str:
    """Where a CSV file is broken and how, in our words: the library's advice is no help."""
    line = re.search(r"Line: (\d+)", said)
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    if counts:
        wrong = f"has {counts[2]} fields instead of {counts[1]}"
    elif "quote" in said:
        wrong = "has a quotation mark that is not closed, or text after a closed one"
    elif "unicode" in said.lower() or "utf-8" in said.lower():
        wrong = "is not text in UTF-8"
    else:
        wrong = f"cannot be read: {said.split('Possible')[0].split(chr(10))[0]}"
    return f"line {line[1]} {wrong}" if line else f"it {wrong}"


def _foreseen(
    path: Path, wanted: list[str], options: dict[str, Any], as_text: frozenset[str]
) -> dict[str, str] | None:
    """Types of these columns by the first rows, if all are numbers, flags or read as text.

    What the first rows say need not be true of others: see `_streamed`. To look at all of
    them, DuckDB reads the whole file once more.
    """
    said = ", ".join(f"{name} = {literal(value)}" for name, value in options.items())
    try:
        described = connect().execute(
            f"DESCRIBE SELECT * FROM read_csv({literal(str(path))}, {said})"
        )
        kinds = {str(row[0]): str(row[1]) for row in described.fetchall()}
    except duckdb.Error:
        return None
    found = {n: "VARCHAR" if n in as_text else kinds.get(n, "") for n in wanted}
    is_known = all(kind in ("VARCHAR", "DOUBLE", *STRICT) for kind in found.values())
    is_said = all(kinds.get(n) != "VARCHAR" for n in wanted if n not in as_text)
    return found if is_known and is_said else None


def _streamed(
    path: Path,
    names: tuple[str, ...],
    kinds: dict[str, str],
    options: dict[str, Any],
    coarse: frozenset[str],
) -> dict[str, Column] | None:
    """Columns of these kinds, if every row is of them; else None. Batch by batch.

    A number with decimals is an error of no column of whole numbers: DuckDB rounds it. So
    these are read as text, and every row is held against the form that it must have.
    """
    types = dict.fromkeys(names, "VARCHAR")
    types |= {name: kind for name, kind in kinds.items() if kind not in STRICT}
    query = _select(path, [*kinds], options | {"auto_detect": False}, types)
    parts: dict[str, list[Any]] = {name: [] for name in kinds}
    try:
        for batch in connect().sql(query).to_arrow_reader(BATCH):
            for (name, kind), column in zip(kinds.items(), batch.columns):
                if kind in STRICT:
                    if not _is_all_like(column, STRICT[kind]):
                        return None
                    column = column.cast(CASTS[kind])
                part: Any = column
                if kind != "VARCHAR":
                    read = column_of(pa.chunked_array([column]), name, path)
                    part = np.array(read, np.float32 if name in coarse else None)
                parts[name].append(part)
    except (
        duckdb.Error,
        pa.ArrowException,
        OSError,
    ):  # OSError: Arrow's word for DuckDB's.
        return None
    if not all(parts.values()):
        return None  # No rows.
    return {name: _joined(parts, name, path) for name in kinds}


def _is_all_like(column: Any, form: str) -> bool:
    """Whether every text that is there has this form."""
    is_right = pc.match_substring_regex(column, f"^(?:{form})$")  # pyright: ignore[reportAttributeAccessIssue]
    return bool(pc.all(is_right, min_count=0).as_py())  # pyright: ignore[reportAttributeAccessIssue]


def _joined(parts: dict[str, list[Any]], name: str, path: Path) -> Column:
    """One column of its parts, which are let go of."""
    found = parts.pop(name)
    if isinstance(found[0], np.ndarray):
        return np.concatenate(found)
    return column_of(pa.chunked_array(found, pa.string()), name, path)


def _read_csv(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    wanted: list[str],
    options: dict[str, Any],
    types: dict[str, str],
) -> None:
    """Fill the table 'log'."""
    connection.execute(f"CREATE TABLE log AS {_select(path, wanted, options, types)}")


def _select(
    path: Path, wanted: list[str], options: dict[str, Any], types: dict[str, str]
) -> str:
    if types:
        key = "columns" if options.get("auto_detect") is False else "types"
        options = options | {key: types}
        if key == "columns":
            options.pop("names")
    arguments = ", ".join(f"{name} = {literal(value)}" for name, value in options.items())
    chosen = ", ".join(map(quoted, wanted))
    return f"SELECT {chosen} FROM read_csv({literal(str(path))}, {arguments})"


def _header(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(10_000_000)
    except UnicodeDecodeError as error:
        raise refuse(
            "WRONG_FORMAT",
            f"'{path}' is not text in UTF-8 ({error}).",
            "Export it as CSV in UTF-8, or as Parquet.",
        ) from error
    delimiter = max(DELIMITERS, key=line.count)
    return next(csv.reader([line], delimiter=delimiter)), delimiter


def _cut_short(path: Path) -> tuple[Finding, ...]:
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read(1) in (b"\n", b"\r"):
            return ()
    return (
        warn(
            "NO_FINAL_NEWLINE",
            f"'{path}' does not end with a line break: its last line may be cut short.",
            "Compare the last row with the source.",
        ),
    )
