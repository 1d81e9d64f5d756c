"""Open a file with the reader that its content asks for."""

from pathlib import Path

from stitchrl.sources.columns import Source
from stitchrl.sources.content import format_of


def open_source(path: Path, declared: str | None = None) -> Source:
    """The names of a file's columns and the means to read them.

    Raises `DataError` if the file is missing, damaged, or not what its name says.
    """
    match format_of(path, declared):  # Libraries are loaded for one format, not for all.
        case "parquet":
            from stitchrl.sources.tables import open_parquet as opened
        case "csv":
            from stitchrl.sources.csv_files import open_csv as opened
        case "npz":
            from stitchrl.sources.npz import open_npz as opened
        case "hdf5":
            from stitchrl.sources.d4rl import open_hdf5 as opened
        case _:
            from stitchrl.sources.minari import open_minari as opened
    return opened(path)
