"""What a file really is, by its first bytes; its name must not say otherwise."""

import zipfile
from pathlib import Path

from stitchrl.findings import did_you_mean
from stitchrl.sources.refusals import refuse

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".npz": "npz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
}
MAGIC = {b"PAR1": "parquet", b"\x89HDF\r\n\x1a\n": "hdf5", b"PK\x03\x04": "npz"}
OTHERS = {  # What people hand over by mistake, and what to do about it.
    b"\x1f\x8b": ("gzip", "Unpack it first (gunzip)."),
    b"\x28\xb5\x2f\xfd": ("zstd", "Unpack it first (unzstd)."),
    b"BZh": ("bzip2", "Unpack it first (bunzip2)."),
    b"\x80\x04": ("a pickle", "Pickles can run code: export a Parquet file instead."),
    b"\x80\x05": ("a pickle", "Pickles can run code: export a Parquet file instead."),
    b"ARROW1": ("an Arrow file", "Export a Parquet file instead."),
    b"\x93NUMPY": ("one NumPy array", "Save all columns in one .npz file."),
    b"\xd0\xcf\x11\xe0": ("an old Office file", "Save the sheet as CSV or Parquet."),
    b"SQLite format 3": ("a SQLite database", "Export the table as Parquet or CSV."),
}

SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def format_of(path: Path, declared: str | None = None) -> str:
    """'parquet', 'csv', 'npz', 'hdf5' or 'minari', by content.

    Raises `DataError` if there is nothing to read, or if the content is not what the
    file's extension or `declared` (the mapping's `format`) says.
    """
    if not path.exists():
        siblings = sorted(other.name for other in path.parent.glob("*"))[:1000]
        logs = [name for name in siblings if Path(name).suffix.lower() in SUFFIXES]
        siblings = logs or siblings
        hint = did_you_mean(path.name, siblings) if siblings else "The folder is empty."
        raise refuse("NO_FILE", f"There is no file '{path}'.", hint)
    content = _content(path)
    named = SUFFIXES.get(path.suffix.lower())
    for claim, said in ((named, "its name ends in"), (declared, "the mapping has format")):
        if claim is not None and content != claim:
            value = path.suffix if claim is named else declared
            raise refuse(
                "WRONG_FORMAT",
                f"'{path}' is {_article(content)}, but {said} '{value}'.",
                "Give it the name that fits, or export it again in the format you meant.",
            )
    return content


def _article(content: str) -> str:
    return {
        "parquet": "a Parquet file",
        "csv": "text",
        "npz": "a zip archive",
        "hdf5": "an HDF5 file",
        "minari": "a folder",
    }[content]


def _is_sheet(path: Path) -> bool:
    """Whether it is a spreadsheet, by its name or by what is in the archive."""
    if path.suffix.lower() in SHEETS:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _content(path: Path) -> str:
    if path.is_dir():
        return "minari"
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise refuse(
            "EMPTY",
            f"'{path}' is empty (0 bytes).",
            "Export it again, and check the query.",
        )
    if _is_sheet(path):
        raise refuse(
            "WRONG_FORMAT",
            f"'{path}' is an Excel file or the like, which is not read.",
            "Save the sheet as CSV (in UTF-8) or as Parquet: one row per decision, the "
            "names of columns in the first line.",
        )
    for magic, content in MAGIC.items():
        if start.startswith(magic):
            return content
    for magic, (kind, remedy) in OTHERS.items():
        if start.startswith(magic):
            raise refuse("WRONG_FORMAT", f"'{path}' is {kind}, which is not read.", remedy)
    if b"\0" in start:
        raise refuse(
            "WRONG_FORMAT",
            f"'{path}' is neither Parquet, HDF5 nor .npz, and not text in UTF-8 either.",
            "Export it as Parquet, or as CSV in UTF-8.",
        )
    return "csv"
