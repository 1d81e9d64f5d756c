"""CSV files: types through DuckDB, numbers through Arrow."""

import csv
import re
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from stitchrl.findings import Finding
from stitchrl.sources.columns import NONE, Column, Source
from stitchrl.sources.growing import Growing
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

BLOCK, TOGETHER = 2**19, 8  # Bytes that Arrow reads at a time; blocks converted at once.
DELIMITERS = ",;\t|"
KINDS = {  # Of DuckDB, and what Arrow reads as such.
    "BIGINT": pa.string(),  # See `_whole`.
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
}
TRUE, FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]


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
        if kinds is not None and not _has_quotes(path):
            found = _streamed(path, names, kinds, delimiter, coarse)
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
    is_known = all(kind in KINDS for kind in found.values())
    is_said = all(kinds.get(n) != "VARCHAR" for n in wanted if n not in as_text)
    return found if is_known and is_said else None


def _has_quotes(path: Path) -> bool:
    """Whether one is below the header: Arrow takes those that nobody closed, too."""
    # Any bytes are Latin-1; lines end with \r, too, as they do for `_header`.
    with path.open(encoding="latin-1", newline="") as file:
        file.readline()
        return any('"' in block for block in iter(lambda: file.read(BLOCK), ""))


def _streamed(
    path: Path,
    names: tuple[str, ...],
    kinds: dict[str, str],
    delimiter: str,
    coarse: frozenset[str],
) -> dict[str, Column] | None:
    """Columns of these kinds, if every row is of them; else None. Block by block.

    By Arrow, in less time than DuckDB and without its buffers. DuckDB, told that a column
    holds whole numbers, also rounds one with decimals without a word.
    """
    numbers: dict[str, Growing] = {}
    texts: dict[str, list[Any]] = {
        name: [] for name, kind in kinds.items() if kind == "VARCHAR"
    }
    blocks = path.stat().st_size / (BLOCK * TOGETHER) + 1
    try:
        reader = pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=names, skip_rows=1
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, quote_char=False, ignore_empty_lines=len(names) > 1
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: KINDS[kind] for name, kind in kinds.items()},
                include_columns=[*kinds],
                true_values=TRUE,
                false_values=FALSE,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        while batches := [*islice(reader, TOGETHER)]:
            table = pa.Table.from_batches(batches)
            for name, kind in kinds.items():
                column = table[name]
                if kind == "VARCHAR":
                    texts[name] += column.chunks
                    continue
                if kind == "BIGINT":
                    column = _whole(column)
                dtype = np.float32 if name in coarse else None
                expected = int(1.05 * blocks * len(column))
                growing = numbers.setdefault(name, Growing(expected))
                growing.add(np.asarray(column_of(column, name, path), dtype))
    except (pa.ArrowException, OSError):
        return None  # DuckDB says what is wrong, and where.
    found: dict[str, Column] = {name: one.taken() for name, one in numbers.items()}
    for name, chunks in texts.items():
        found[name] = column_of(pa.chunked_array(chunks, pa.string()), name, path)
    pa.default_memory_pool().release_unused()
    is_empty = any(len(column) == 0 for column in found.values())
    return None if is_empty else {name: found[name] for name in kinds}


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers, written as such. Raises `pa.ArrowInvalid` if one is not.

    Arrow itself would take 007 for 7, which a name need not be.
    """
    is_whole = pc.match_substring_regex(column, "^-?(0|[1-9][0-9]{0,17})$")  # pyright: ignore[reportAttributeAccessIssue]
    if not pc.all(is_whole, min_count=0).as_py():  # pyright: ignore[reportAttributeAccessIssue]
        raise pa.ArrowInvalid("not all are whole numbers")
    return column.cast(pa.int64())


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
