"""Tables: Parquet and CSV, through DuckDB.

Parquet is decoded by Arrow first, because it alone verifies the checksums of pages.
"""

import csv
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stitchrl.findings import Finding
from stitchrl.sources.columns import Column, Dates, Source, Text
from stitchrl.sources.refusals import reading, refuse, warn

METADATA = b"stitchrl"  # Key of a Parquet file's metadata: the mapping that reads it.
DELIMITERS = ",;\t|"
PLAIN_TYPES = "BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER".split()
NUMBERS = {*PLAIN_TYPES, "UBIGINT", "FLOAT", "DOUBLE"}
WIDE = ("HUGEINT", "UHUGEINT", "DECIMAL", "BIGNUM", "VARINT")
TEMPORAL = ("TIMESTAMP", "DATE")
TEXTUAL = ("VARCHAR", "ENUM", "UUID", '"NULL"', "NULL")


def open_parquet(path: Path) -> Source:
    """A Parquet file; one that we wrote brings its own mapping along."""
    with reading(path, "Parquet"):
        schema = pq.read_schema(path)
    names = tuple(schema.names)
    _require_distinct(names, path)

    def read(wanted: list[str], as_text: frozenset[str]) -> dict[str, Column]:
        with reading(path, "Parquet"):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            table = file.read(columns=wanted)
            table.validate(full=True)
            connection = _connect()
            connection.register("log", table)
        return _columns(connection, wanted, as_text, path)

    convention = _convention(names)
    if METADATA in (schema.metadata or {}):
        with reading(path, "Parquet"):
            convention = dict(json.loads(schema.metadata[METADATA]))
    return Source(path, names, read, convention)


def open_csv(path: Path) -> Source:
    """A CSV file in UTF-8 with a header; the delimiter is the commonest in the header."""
    header, delimiter = _header(path)
    names = tuple(name or f"column{index}" for index, name in enumerate(header))
    _require_distinct(names, path)

    def read(wanted: list[str], as_text: frozenset[str]) -> dict[str, Column]:
        connection = _connect()
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
        try:
            _read_csv(connection, path, wanted, options | {"sample_size": -1}, types)
        except duckdb.Error:
            # Read everything as text: this says in which line the file is broken.
            connection = _connect()
            every = dict.fromkeys(names, "VARCHAR")
            with reading(path, "CSV", _csv_fault):
                _read_csv(connection, path, wanted, options | {"auto_detect": False}, every)
        return _columns(connection, wanted, as_text, path)

    return Source(path, names, read, _convention(names), notes=_cut_short(path))


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


def _read_csv(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    wanted: list[str],
    options: dict[str, Any],
    types: dict[str, str],
) -> None:
    """Fill the table 'log'."""
    if types:
        key = "columns" if options.get("auto_detect") is False else "types"
        options = options | {key: types}
        if key == "columns":
            options.pop("names")
    arguments = ", ".join(f"{name} = {_literal(value)}" for name, value in options.items())
    connection.execute(
        f"CREATE TABLE log AS SELECT {', '.join(map(_quoted, wanted))} "
        f"FROM read_csv({_literal(str(path))}, {arguments})"
    )


def _connect() -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    return duckdb.connect(":memory:", config=config)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        items = (f"{_literal(key)}: {_literal(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()


def _columns(
    connection: duckdb.DuckDBPyConnection,
    wanted: list[str],
    as_text: frozenset[str],
    path: Path,
) -> dict[str, Column]:
    """The table 'log', after closing the door: nothing else can be opened from here."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    described = connection.execute("DESCRIBE log").fetchall()
    chosen = []
    for name, kind in ((str(row[0]), str(row[1])) for row in described):
        if name in wanted:
            chosen.append(_expression(name, kind, name in as_text, path))
    table = connection.sql(f"SELECT {', '.join(chosen)} FROM log").to_arrow_table()
    connection.close()
    return {name: _column(table.column(name), name, path) for name in wanted}


def _expression(name: str, kind: str, as_text: bool, path: Path) -> str:
    column = _quoted(name)
    if kind in NUMBERS or kind.endswith("]") and "(" not in kind:
        return column
    if kind.startswith(WIDE + TEMPORAL + TEXTUAL) and as_text:
        return f"CAST({column} AS VARCHAR) AS {column}"
    if kind.startswith(TEMPORAL):
        return column
    if kind.startswith(TEXTUAL):
        return f"CAST({column} AS VARCHAR) AS {column}"
    if kind.startswith(WIDE):
        return f"CAST({column} AS DOUBLE) AS {column}"
    raise refuse(
        "TYPE",
        f"Column '{name}' of '{path}' is of type {kind}, which has no meaning here.",
        "Export it as numbers, text or lists of numbers, or leave it out of the mapping.",
    )


def _column(column: pa.ChunkedArray, name: str, path: Path) -> Column:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.combine_chunks().dictionary_encode()
        values = np.array(coded.dictionary.to_pylist(), dtype=str)
        return Text(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), values)
    if pa.types.is_temporal(kind):
        stamps = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False)
        return (_numbers(stamps.cast(pa.int64()), pa.float64()) / 1e6).view(Dates)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _vectors(column.combine_chunks(), name, path)
    return _numbers(column, pa.float64() if column.null_count else kind)


def _numbers(column: pa.ChunkedArray, kind: pa.DataType) -> np.ndarray:
    values = column.cast(kind) if column.type != kind else column
    if pa.types.is_floating(kind):
        values = values.fill_null(np.nan)
    return values.to_numpy()


def _vectors(column: pa.Array, name: str, path: Path) -> np.ndarray:
    """(size, width): a column of lists, NaN where the whole list is missing."""
    present = np.asarray(column.is_valid())
    lists = column.drop_null()
    lengths = np.asarray(lists.value_lengths())
    width = int(lengths[0]) if len(lengths) else 0
    wrong = np.flatnonzero(lengths != width)
    inside = lists.flatten()
    if len(wrong) or not (
        pa.types.is_floating(inside.type) or pa.types.is_integer(inside.type)
    ):
        row = np.flatnonzero(present)[wrong[0]] if len(wrong) else 0
        came = f"{lengths[wrong[0]]} entries" if len(wrong) else f"{inside.type}"
        raise refuse(
            "SHAPE",
            f"Lists in column '{name}' of '{path}' must all hold {width} numbers, but row "
            f"{row:,} has {came}.",
            "Write lists of one length, or one column for each feature.",
        )
    values = inside.cast(pa.float64()).fill_null(np.nan).to_numpy().reshape(-1, width)
    if present.all():
        return values
    spread = np.full((len(column), width), np.nan)
    spread[present] = values
    return spread


def _convention(names: tuple[str, ...]) -> dict[str, Any]:
    has_amounts = any(name.startswith("action.") for name in names)
    is_plain = "action" in names or not has_amounts
    return {"preset": "plain" if is_plain else "plain_continuous"}


def _require_distinct(names: tuple[str, ...], path: Path) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise refuse(
            "COLUMN_TWICE",
            f"'{path}' has several columns called '{doubled[0]}': it is unclear which "
            "one is meant.",
            "Rename or remove one.",
        )


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
