"""Open a file with the reader that its content asks for."""

from collections.abc import Callable
from pathlib import Path

from stitchrl.sources.columns import Source
from stitchrl.sources.content import format_of
from stitchrl.sources.csv_files import open_csv
from stitchrl.sources.d4rl import open_hdf5
from stitchrl.sources.minari import open_minari
from stitchrl.sources.npz import open_npz
from stitchrl.sources.tables import open_parquet

OPENERS: dict[str, Callable[[Path], Source]] = {
    "parquet": open_parquet,
    "csv": open_csv,
    "npz": open_npz,
    "hdf5": open_hdf5,
    "minari": open_minari,
}


def open_source(path: Path, declared: str | None = None) -> Source:
    """The names of a file's columns and the means to read them.

    Raises `DataError` if the file is missing, damaged, or not what its name says.
    """
    return OPENERS[format_of(path, declared)](path)
