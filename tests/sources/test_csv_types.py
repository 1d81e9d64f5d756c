"""What the first rows of a CSV file promise is not believed of the others."""

from pathlib import Path

import numpy as np
import pytest

from stitchrl.sources import csv_files
from stitchrl.sources.columns import Text
from stitchrl.sources.csv_files import open_csv

ROWS = 30_000  # More than DuckDB looks at before it settles on a type.
LATE = {
    "a decimal": ("1", "1.5"),
    "an exponent": ("1", "15e-1"),
    "a decimal that is whole": ("1", "2.0"),
    "leading zeros": ("1", "007"),
    "an underscore": ("1", "1_000"),
    "a word": ("1", "NA"),
    "a number beyond 64 bits": ("1", "99999999999999999999"),
    "a number among flags": ("true", "1"),
    "a flag among numbers": ("0", "true"),
    "a short flag": ("true", "t"),
    "a word among decimals": ("1.5", "broken"),
    "a comma among decimals": ("1.5", '"1,5"'),
    "nothing": ("1", ""),
    "nothing among decimals": ("1.5", ""),
    "an ordinary number": ("1", "-17"),
    "an ordinary decimal": ("1.5", "-1e-3"),
    "an ordinary flag": ("true", "False"),
    "infinity": ("1.5", "inf"),
    "a date": ("2024-01-01", "2024-01-02"),
    "text": ("a", "b"),
}


def read(path: Path) -> object:
    source = open_csv(path)
    column = source.read(["x"], frozenset())["x"]
    if isinstance(column, Text):
        known = [str(column.values[code]) for code in column.codes[column.codes >= 0]]
        return type(column), known[-2:], int((column.codes < 0).sum())
    return type(column), column.dtype, column[-2:].tolist()


@pytest.mark.parametrize("case", LATE)
def test_types_are_those_of_all_rows(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usual, late = LATE[case]
    path = tmp_path / "log.csv"
    path.write_text("x,y\n" + f"{usual},0\n" * ROWS + f"{late},0\n")
    found = read(path)
    monkeypatch.setattr(csv_files, "_foreseen", lambda *inputs: None)
    np.testing.assert_equal(found, read(path))


def test_ordinary_tables_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "log.csv"
    path.write_text("x,y,z\n" + "1,0.5,true\n" * 10)
    monkeypatch.delattr(csv_files, "_read_csv")
    columns = open_csv(path).read(["x", "y", "z"], frozenset())
    assert [column.dtype.kind for column in columns.values()] == ["i", "f", "b"]  # pyright: ignore
    coarse = open_csv(path).read(["x", "y"], frozenset(), frozenset({"y"}))
    assert [column.dtype.str for column in coarse.values()] == ["<i8", "<f4"]  # pyright: ignore
