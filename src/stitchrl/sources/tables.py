"""Tables: Parquet and CSV, through DuckDB.

Parquet is decoded by Arrow first, because it alone verifies the checksums of pages.
"""

import csv
import json
import re
from collections.abc import Mapping
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
PLAIN = (
    *(pa.bool_(), pa.float32(), pa.float64(), pa.int8(), pa.int16(), pa.int32()),
    *(pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()),
)  # Of these DuckDB makes nothing else.
WIDE = ("HUGEINT", "UHUGEINT", "DECIMAL", "BIGNUM", "VARINT")
STRICT = {  # Of columns read as text: what every value must look like.
    "BIGINT": "-?(0|[1-9][0-9]{0,17})",
    "BOOLEAN": "(?i)true|false",
}
TEMPORAL = ("TIMESTAMP", "DATE")
TEXTUAL = ("VARCHAR", "ENUM", "UUID", '"NULL"', "NULL")


def open_parquet(path: Path) -> Source:
    """A Parquet file; one that we wrote brings its own mapping along."""
    with reading(path, "Parquet"):
        schema = pq.read_schema(path)
    names = tuple(schema.names)
    _require_distinct(names, path)

    def read(wanted: list[str], as_text: frozenset[str]) -> dict[str, Column]:
        found: dict[str, Column] = {}
        with reading(path, "Parquet"):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            kinds = file.schema_arrow
            # Numbers come as they are, and one by one: then only one is there twice.
            plain = [n for n in wanted if kinds.field(n).type in PLAIN and n not in as_text]
            for name in plain:
                table = file.read(columns=[name])
                table.validate(full=True)
                # A copy, since Arrow keeps memory that it has let go of for itself.
                found[name] = np.array(_column(table.column(name), name, path))
            others = [name for name in wanted if name not in found]
            if not others:
                return found
            table = file.read(columns=others)
            table.validate(full=True)
            connection = _connect()
            connection.register("log", table)
        found |= _columns(connection, others, as_text, path)
        return {name: found[name] for name in wanted}

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
        foreseen = _foreseen(path, wanted, options, as_text)
        if foreseen is not None:
            every = dict.fromkeys(names, "VARCHAR") | foreseen
            found = _read_as(path, wanted, options, every, as_text)
            if found is not None:
                return found
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


def _foreseen(
    path: Path, wanted: list[str], options: dict[str, Any], as_text: frozenset[str]
) -> dict[str, str] | None:
    """Types of these columns by the first rows, if all are numbers, flags or read as text.

    What the first rows say need not be true of others: see `_read_as`. To look at all of
    them, DuckDB reads the whole file once more.
    """
    said = ", ".join(f"{name} = {_literal(value)}" for name, value in options.items())
    try:
        described = _connect().execute(
            f"DESCRIBE SELECT * FROM read_csv({_literal(str(path))}, {said})"
        )
        kinds = {str(row[0]): str(row[1]) for row in described.fetchall()}
    except duckdb.Error:
        return None
    found = {n: "VARCHAR" if n in as_text else kinds.get(n, "") for n in wanted}
    is_known = all(kind in ("VARCHAR", "DOUBLE", *STRICT) for kind in found.values())
    is_said = all(kinds.get(n) != "VARCHAR" for n in wanted if n not in as_text)
    return found if is_known and is_said else None


def _read_as(
    path: Path,
    wanted: list[str],
    options: dict[str, Any],
    types: dict[str, str],
    as_text: frozenset[str],
) -> dict[str, Column] | None:
    """The columns, if every row is of these types; else None.

    A number with decimals is an error of no column of whole numbers: DuckDB rounds it. So
    these are read as text, and every row is held against the form that it must have.
    """
    connection = _connect()
    strict = {name: types[name] for name in wanted if types[name] in STRICT}
    read = types | dict.fromkeys(strict, "VARCHAR")
    try:
        _read_csv(connection, path, wanted, options | {"auto_detect": False}, read)
        for name, kind in strict.items():
            query = (
                f"SELECT count(*) FROM log WHERE NOT regexp_full_match({_quoted(name)}, "
                f"{_literal(STRICT[kind])})"
            )
            if (connection.execute(query).fetchone() or (1,))[0]:
                return None
    except duckdb.Error:
        return None
    return _columns(connection, wanted, as_text, path, strict)


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
    casts: Mapping[str, str] | None = None,
) -> dict[str, Column]:
    """The table 'log', after closing the door: nothing else can be opened from here."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    described = connection.execute("DESCRIBE log").fetchall()
    chosen = []
    for name, kind in ((str(row[0]), str(row[1])) for row in described):
        if name in (casts or ()):
            kind = (casts or {})[name]
            chosen.append(f"CAST({_quoted(name)} AS {kind}) AS {_quoted(name)}")
        elif name in wanted:
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
    if pa.types.is_floating(kind) and values.null_count:
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
