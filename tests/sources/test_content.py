"""A file that is not what its name says is refused, with what it is and what to do."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stitchrl.findings import DataError
from stitchrl.sources import load
from stitchrl.sources.content import SUFFIXES, format_of


def write(path: Path, content: str) -> Path:
    if content == "parquet":
        pq.write_table(pa.table({"a": [1]}), path)
    elif content == "hdf5":
        with h5py.File(path, "w") as file:
            file["a"] = [1]
    elif content == "npz":
        with path.open("wb") as file:
            np.savez(file, a=[1])
    else:
        path.write_text("a,b\n1,2\n")
    return path


def refusal(path: Path, declared: str | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        format_of(path, declared)
    return caught.value


@pytest.mark.parametrize("content", ["parquet", "hdf5", "npz", "csv"])
@pytest.mark.parametrize("suffix", [*SUFFIXES, ".data"])
def test_every_name_with_every_content(content: str, suffix: str, tmp_path: Path):
    path = write(tmp_path / f"log{suffix}", content)
    if SUFFIXES.get(suffix, content) == content:
        assert format_of(path) == content
        return
    error = refusal(path)
    assert error.findings[0].code == "WRONG_FORMAT"
    kinds = {"csv": "text", "npz": "a zip archive", "hdf5": "an HDF5 file"}
    said = kinds.get(content, "a Parquet file")
    assert f"'{path}' is {said}, but its name ends in '{suffix}'" in str(error)
    assert "Give it the name that fits" in str(error)


def test_a_declared_format_that_does_not_fit(tmp_path: Path):
    path = write(tmp_path / "log.data", "csv")
    assert format_of(path, "csv") == "csv"
    error = refusal(path, "parquet")
    assert "is text, but the mapping has format 'parquet'" in str(error)
    with pytest.raises(DataError, match="is text, but the mapping has format"):
        (tmp_path / "map.toml").write_text('preset = "plain"\nformat = "parquet"')
        load(path, tmp_path / "map.toml")


def test_a_folder_that_is_called_like_a_file(tmp_path: Path):
    (tmp_path / "log.csv").mkdir()
    assert "is a folder, but its name ends in '.csv'" in str(refusal(tmp_path / "log.csv"))


@pytest.mark.parametrize(
    ("start", "kind", "remedy"),
    [
        (b"\x1f\x8b\x08rest", "gzip", "gunzip"),
        (b"\x80\x04\x95rest", "a pickle", "can run code"),
        (b"ARROW1\0\0", "an Arrow file", "Parquet"),
        (b"\x93NUMPY", "one NumPy array", ".npz"),
        (b"\xd0\xcf\x11\xe0old", "an old Office file", "CSV or Parquet"),
        (b"SQLite format 3\0", "a SQLite database", "Export the table"),
        (b"\0\1\2\3", "neither Parquet, HDF5 nor .npz", "CSV in UTF-8"),
    ],
)
def test_other_files(start: bytes, kind: str, remedy: str, tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_bytes(start)
    error = refusal(path)
    assert error.findings[0].code == "WRONG_FORMAT"
    assert kind in error.findings[0].message
    assert remedy in error.findings[0].remedy


@pytest.mark.parametrize("name", ["log.xlsx", "log.ods", "log.csv", "log"])
def test_spreadsheets(name: str, tmp_path: Path):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    error = refusal(path)
    assert error.findings[0].code == "WRONG_FORMAT"
    assert f"'{path}' is an Excel file or the like, which is not read." in str(error)
    assert "Save the sheet as CSV (in UTF-8) or as Parquet" in str(error)


def test_a_broken_spreadsheet_is_one_by_name(tmp_path: Path):
    (tmp_path / "log.xlsx").write_bytes(b"PK\x03\x04zzzz")
    assert "is an Excel file" in str(refusal(tmp_path / "log.xlsx"))


def test_no_far_fetched_file_is_suggested(tmp_path: Path):
    write(tmp_path / "rewout.csv", "csv")
    (tmp_path / "notes.md").touch()
    assert "There are: 'rewout.csv'." in str(refusal(tmp_path / "nosuch.csv"))


def test_an_empty_file(tmp_path: Path):
    path = tmp_path / "log.parquet"
    path.touch()
    error = refusal(path)
    assert error.findings[0].code == "EMPTY"
    assert f"'{path}' is empty (0 bytes)" in str(error)


def test_a_file_that_is_not_there(tmp_path: Path):
    write(tmp_path / "patients.csv", "csv")
    error = refusal(tmp_path / "patient.csv")
    assert error.findings[0].code == "NO_FILE"
    assert f"no file '{tmp_path / 'patient.csv'}'" in str(error)
    assert "Did you mean 'patients.csv'?" in str(error)
