"""What the first rows of a CSV file promise is not believed of the others."""

from pathlib import Path

import numpy as np
import pytest

from stitchrl.findings import DataError
from stitchrl.sources import Mapping, csv_files
from stitchrl.sources.binding import bind
from stitchrl.sources.columns import Text
from stitchrl.sources.csv_files import open_csv

ROWS = 30_000  # More than DuckDB looks at before it settles on a type.
LATE = {
    "a decimal": ("1", "1.5"),
    "an exponent": ("1", "15e-1"),
    "a decimal that is whole": ("1", "2.0"),
    "leading zeros": ("1", "007"),
    "leading zeros among decimals": ("1.5", "007.5"),
    "a sign": ("1", "+7"),
    "a sign among decimals": ("1.5", "+7.5"),
    "hexadecimal": ("1", "0x10"),
    "hexadecimal among decimals": ("1.5", "0x10"),
    "spaces": ("1", " 7 "),
    "spaces among decimals": ("1.5", " 7.5 "),
    "spaces around a flag": ("true", " true "),
    "the largest of 64 bits": ("1", "9223372036854775807"),
    "a decimal too large": ("1.5", "1e400"),
    "a decimal too small": ("1.5", "1e-400"),
    "no number": ("1.5", "nan"),
    "an exponent without digits": ("1.5", "1e"),
    "a bare point": ("1.5", "."),
    "digits on one side": ("1.5", ".5"),
    "digits on the other": ("1.5", "5."),
    "digits in quotes": ("1", '"7"'),
    "nothing in quotes": ("1.5", '""'),
    "a mixed flag": ("true", "tRuE"),
    "an underscore among decimals": ("1.5", "1_000.5"),
    "a percentage": ("1.5", "15%"),
    "a null": ("1.5", "NULL"),
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


@pytest.mark.parametrize("late", ['2.5,"n\n3.5,n\n', '"2"5,n\n'])
def test_a_stray_quotation_mark_far_down_is_refused(tmp_path, late):
    path = tmp_path / "log.csv"
    path.write_text("x,note\n" + "1.5,n\n" * ROWS + late)
    with pytest.raises(DataError, match="quotation mark that is not closed, or text after"):
        open_csv(path).read(["x"], frozenset())


def test_quotes_around_names_of_columns_cost_nothing(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text('"x","note"\n1.5,n\n')
    monkeypatch.setattr(csv_files, "_read_csv", None)  # Not by DuckDB, that is.
    assert open_csv(path).read(["x"], frozenset())["x"].tolist() == [1.5]


def test_quotes_are_found_whatever_ends_a_line(tmp_path):
    path = tmp_path / "log.csv"
    for end in ("\n", "\r\n", "\r"):
        path.write_text(end.join(["x,note", '1.5,"a, b"', ""]), newline="")
        assert open_csv(path).read(["x"], frozenset())["x"].tolist() == [1.5]
        note = open_csv(path).read(["note"], frozenset({"note"}))["note"]
        assert list(note.values if isinstance(note, Text) else note) == ["a, b"], end


@pytest.mark.parametrize("where", ["1.5,n\n\n2.5,n\n", "1.5,n\n2.5,n\n\n"])
def test_an_empty_line_is_no_row(tmp_path, where):
    path = tmp_path / "log.csv"
    path.write_text("x,note\n" + "0.5,n\n" * ROWS + where)
    found = open_csv(path).read(["x"], frozenset())["x"]
    assert found[ROWS:].tolist() == [1.5, 2.5]


# Decimals that DuckDB, looking at all of them, leaves as text: they are numbers alike.
SPELLED = {
    "leading zeros among decimals": 7.5,
    "a sign among decimals": 7.5,
    "spaces among decimals": 7.5,
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
    if case in SPELLED:
        assert found == (np.ndarray, np.dtype(float), [1.5, SPELLED[case]])
        return
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


def test_numbers_of_observations_and_amounts_are_read_as_they_are_kept(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text("episode,x,dose,reward,end\n" + "1,0.5,0.25,1.0,true\n" * 10)
    mapping = Mapping(
        episode="episode",
        observation=["x"],
        action=["dose"],
        action_low=0.0,
        action_high=1.0,
        reward="reward",
        terminated="end",
    )
    assert bind(mapping, open_csv(path)).coarse == {"x", "dose"}
