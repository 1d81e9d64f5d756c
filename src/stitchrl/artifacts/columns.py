"""Columns of numbers of any length: appended piece by piece, read as memory maps."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stitchrl.artifacts.directories import replacing
from stitchrl.artifacts.encoding import bytes_to_json, json_to_bytes
from stitchrl.artifacts.files import ArtifactError, sync_path, write_new
from stitchrl.artifacts.manifest import (
    MANIFEST,
    WAY_OUT,
    Entry,
    entry_of,
    manifest_to_bytes,
    read_checked,
    read_manifest,
    require_inside,
)

HEADER = "columns.json"


class _Column:
    """A file under way: what it holds, its size and its digest so far."""

    def __init__(self, place: Path, first: np.ndarray):
        self.kind = first.dtype.newbyteorder("<").str
        self.shape = list(first.shape[1:])
        self.rows, self.size = 0, 0
        self._digest = hashlib.sha256()
        self.file: BinaryIO = place.open("xb")

    def append(self, name: str, piece: np.ndarray) -> None:
        kind = piece.dtype.newbyteorder("<").str
        if kind != self.kind or list(piece.shape[1:]) != self.shape:
            raise ArtifactError(
                f"Column '{name}' holds {self.kind} of shape {self.shape} for each row, "
                f"but a later piece has {kind} of shape {list(piece.shape[1:])}. Pieces of "
                "one log must have the same columns."
            )
        data = np.ascontiguousarray(piece, self.kind).data.cast("B")
        self.file.write(data)
        self._digest.update(data)
        self.rows, self.size = self.rows + len(piece), self.size + len(data)

    def close(self) -> Entry:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return Entry(self.size, self._digest.hexdigest())


def save_columns(
    path: str | Path,
    pieces: Iterable[Mapping[str, np.ndarray]],
    notes: Mapping[str, Any],
) -> None:
    """Replace the artifact at `path` by columns of numbers, one file for each.

    `pieces` hold the rows, one after the other; only one of them is in memory at a time.
    `notes` are kept beside. What stood at `path` stays until all is on the disk; nobody
    else of ours writes in the folder around it until then. Raises `ArtifactError` if pieces
    do not fit together, there is none, or the disk is full.
    """
    path = Path(os.path.realpath(path))
    with replacing(path) as folder:
        _write(folder, pieces, notes)


def _write(folder: Path, pieces: Iterable[Mapping], notes: Mapping[str, Any]) -> None:
    columns: dict[str, _Column] = {}
    try:
        for piece in pieces:
            arrays = {name: np.asarray(value) for name, value in piece.items()}
            if not columns:
                for name in arrays:
                    require_inside(folder, name)
                columns = {name: _Column(folder / name, a) for name, a in arrays.items()}
            if arrays.keys() != columns.keys() or len({*map(len, arrays.values())}) != 1:
                sizes = {name: len(array) for name, array in arrays.items()}
                raise ArtifactError(
                    f"Pieces must have the columns {sorted(columns)}, all of one length, "
                    f"but one has {sizes}."
                )
            for name, array in arrays.items():
                columns[name].append(name, array)
        if not columns:
            raise ArtifactError(f"There is nothing to save at '{folder}': no piece came.")
    finally:
        entries = {name: column.close() for name, column in columns.items()}
    said = {
        name: {"type": column.kind, "shape": [column.rows, *column.shape]}
        for name, column in columns.items()
    }
    header = json_to_bytes({"columns": said, "notes": dict(notes)})
    write_new(folder / HEADER, header)
    entries[HEADER] = entry_of(header)
    write_new(folder / MANIFEST, manifest_to_bytes(entries))
    sync_path(folder)


def open_columns(
    path: str | Path, *, check: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read-only memory maps by name, and the notes.

    `check` reads every byte once and compares it with the manifest, at the speed of the
    disk; sizes are compared in any case. Raises `ArtifactError` naming the file that is
    missing or changed.
    """
    path = Path(path)
    entries = read_manifest(path)
    if HEADER not in entries:
        raise ArtifactError(f"'{path}' does not hold columns of numbers. {WAY_OUT}")
    header = bytes_to_json(
        read_checked(path, HEADER, entries[HEADER]), source=f"{path}/{HEADER}"
    )
    columns = {}
    for name, said in header["columns"].items():
        _require_whole(path / name, entries[name], check=check)
        kind, shape = np.dtype(said["type"]), tuple(said["shape"])
        columns[name] = np.memmap(path / name, kind, mode="r", shape=shape)
    return columns, header["notes"]


def _require_whole(place: Path, entry: Entry, *, check: bool) -> None:
    size = place.stat().st_size if place.is_file() and not place.is_symlink() else -1
    if size != entry.size:
        came = "is missing" if size < 0 else f"has {size:,} bytes"
        raise ArtifactError(
            f"'{place}' {came}, but was saved with {entry.size:,} bytes. {WAY_OUT}"
        )
    if check:
        with place.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != entry.sha256:
            raise ArtifactError(
                f"'{place}' has the SHA-256 {found[:12]}…, but was saved with "
                f"{entry.sha256[:12]}…: it was edited or damaged. {WAY_OUT}"
            )
