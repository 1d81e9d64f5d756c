"""NumPy archives (.npz): one array per column, never pickled objects."""

from pathlib import Path

import numpy as np

from stitchrl.sources.columns import NONE, Column, Source, to_text
from stitchrl.sources.refusals import reading, refuse


def open_npz(path: Path) -> Source:
    """An .npz archive in our vocabulary or, by preset, OGBench's."""
    with reading(path, ".npz"), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        names = tuple(archive.files)

    def read(
        wanted: list[str], as_text: frozenset[str], coarse: frozenset[str] = NONE
    ) -> dict[str, Column]:
        with reading(path, ".npz"), path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            return {name: as_column(archive[name], name, path) for name in wanted}

    convention = {"preset": "ogbench" if "masks" in names else "plain"}
    return Source(path, names, read, convention)


def as_column(array: np.ndarray, name: str, path: Path) -> Column:
    """An array as a column; text becomes a text column."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biufU" or array.ndim == 0:
        raise refuse(
            "TYPE",
            f"Column '{name}' of '{path}' is of type {array.dtype} and shape "
            f"{array.shape}, which has no meaning here.",
            "Save numbers or text with one entry per decision, or leave it out.",
        )
    return to_text(array) if array.dtype.kind == "U" else array
