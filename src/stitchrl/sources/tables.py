"""Parquet, decoded by Arrow, which verifies the checksums of pages; then DuckDB.

What a DuckDB table becomes is said here for CSV, too (`csv_files`).
"""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stitchrl.sources.columns import NONE, Column, Dates, Source, Text
from stitchrl.sources.refusals import reading, refuse

METADATA = b"stitchrl"  # Key of a Parquet file's metadata: the mapping that reads it.
PLAIN_TYPES = "BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER".split()
NUMBERS = {*PLAIN_TYPES, "UBIGINT", "FLOAT", "DOUBLE"}
PLAIN = (
    *(pa.bool_(), pa.float32(), pa.float64(), pa.int8(), pa.int16(), pa.int32()),
    *(pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()),
)  # Of these DuckDB makes nothing else.
WIDE = ("HUGEINT", "UHUGEINT", "DECIMAL", "BIGNUM", "VARINT")
TEMPORAL = ("TIMESTAMP", "DATE")
TEXTUAL = ("VARCHAR", "ENUM", "UUID", '"NULL"', "NULL")


def open_parquet(path: Path) -> Source:
    """A Parquet file; one that we wrote brings its own mapping along."""
    with reading(path, "Parquet"):
        schema = pq.read_schema(path)
    names = tuple(schema.names)
    require_distinct(names, path)

    def read(
        wanted: list[str], as_text: frozenset[str], coarse: frozenset[str] = NONE
    ) -> dict[str, Column]:
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
                column = column_of(table.column(name), name, path)
                found[name] = np.array(column, np.float32 if name in coarse else None)
            others = [name for name in wanted if name not in found]
            if not others:
                return found
            table = file.read(columns=others)
            table.validate(full=True)
            connection = connect()
            connection.register("log", table)
        found |= columns_of(connection, others, as_text, path)
        return {name: found[name] for name in wanted}

    convention = convention_of(names)
    if METADATA in (schema.metadata or {}):
        with reading(path, "Parquet"):
            convention = dict(json.loads(schema.metadata[METADATA]))
    return Source(path, names, read, convention)


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory that loads nothing by itself."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    return duckdb.connect(":memory:", config=config)


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as SQL writes it."""
    if isinstance(value, dict):
        items = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()


def columns_of(
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
    return {name: column_of(table.column(name), name, path) for name in wanted}


def _expression(name: str, kind: str, as_text: bool, path: Path) -> str:
    column = quoted(name)
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


def column_of(column: pa.ChunkedArray, name: str, path: Path) -> Column:
    """One column of Arrow as a column of ours."""
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


def convention_of(names: tuple[str, ...]) -> dict[str, Any]:
    """The preset that reads a table with these names."""
    has_amounts = any(name.startswith("action.") for name in names)
    is_plain = "action" in names or not has_amounts
    return {"preset": "plain" if is_plain else "plain_continuous"}


def require_distinct(names: tuple[str, ...], path: Path) -> None:
    """Raise `DataError` if two columns have one name."""
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise refuse(
            "COLUMN_TWICE",
            f"'{path}' has several columns called '{doubled[0]}': it is unclear which "
            "one is meant.",
            "Rename or remove one.",
        )
