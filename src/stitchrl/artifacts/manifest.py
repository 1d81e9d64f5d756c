"""MANIFEST.json: which bytes must stand in a directory, itself included."""

import hashlib
import json
import os
import platform
import stat
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from stitchrl.artifacts.encoding import bytes_to_json
from stitchrl.artifacts.files import PREVIOUS, TEMPORARY, ArtifactError
from stitchrl.devices import versions

FORMAT = 1
MANIFEST = "MANIFEST.json"
MAX_MANIFEST = 16_000_000  # Bytes.
WAY_OUT = "Restore it from a copy, or make it again."


class Entry(NamedTuple):
    """What one file must be."""

    size: int  # Bytes.
    sha256: str


def entry_of(data: bytes) -> Entry:
    """The entry of a file with these bytes."""
    return Entry(len(data), hashlib.sha256(data).hexdigest())


def manifest_to_bytes(entries: Mapping[str, Entry]) -> bytes:
    """The manifest of these files, with the versions and the platform that made them."""
    content = {
        "format": FORMAT,
        "files": {name: entry._asdict() for name, entry in entries.items()},
        "versions": versions(),
        "platform": f"{sys.platform}-{platform.machine()}",
    }
    return _render(content | {"digest": _digest(content)})


def _digest(content: Mapping) -> str:
    return hashlib.sha256(_render(content)).hexdigest()


def _render(content: Mapping) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def read_manifest(path: Path) -> dict[str, Entry]:
    """The entries by name, slash between directories.

    Raises `ArtifactError` if it is missing, not ours, changed in any byte, or newer.
    """
    place = path / MANIFEST
    if not path.is_dir():
        raise ArtifactError(
            f"There is no directory '{path}'. Check the path; it is made by the command "
            "that saves it."
        )
    if not place.is_file():
        raise ArtifactError(
            f"'{path}' has no {MANIFEST}: it was not saved by stitchrl, or only a part of "
            f"it was copied. {WAY_OUT}"
        )
    if (size := place.stat().st_size) > MAX_MANIFEST:
        raise ArtifactError(
            f"'{place}' has {size:,} bytes, more than {MAX_MANIFEST:,}: not ours. {WAY_OUT}"
        )
    data = place.read_bytes()
    content = bytes_to_json(data, source=str(place))
    said = content.pop("digest", None) if isinstance(content, dict) else None
    # Compared as bytes too, so that a change in mere spacing is also refused.
    if said is None or (
        said != _digest(content) or data != _render(content | {"digest": said})
    ):
        raise ArtifactError(
            f"'{place}' does not agree with its own digest: it was edited or damaged after "
            f"it was saved. {WAY_OUT}"
        )
    if content.get("format") != FORMAT:
        raise ArtifactError(
            f"'{path}' has format {content.get('format')}; this version of stitchrl reads "
            f"format {FORMAT}. It was made with {content.get('versions')}; install that."
        )
    try:
        entries = {name: Entry(**entry) for name, entry in content["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"'{place}' is not a manifest of ours. {WAY_OUT}") from error
    for name in entries:
        require_inside(path, name)
    return entries


def require_inside(path: Path, name: str) -> None:
    """Raise `ArtifactError` if a file of that name would not be inside `path`."""
    parts = PurePosixPath(name).parts
    plain = name == "/".join(parts) and ".." not in parts and not name.startswith("/")
    if not plain or not parts or "\0" in name or "\\" in name or name == MANIFEST:
        raise ArtifactError(
            f"'{path}' cannot hold a file called {name!r}: names are relative, without "
            f"'..', '\\' or NUL, and {MANIFEST} is written for you. Rename it."
        )


def read_checked(path: Path, name: str, entry: Entry, *, may_grow: bool = False) -> bytes:
    """The bytes of one file, if they are what `entry` says, or start with that.

    Raises `ArtifactError` naming the file, what was expected and what is there.
    """
    place = path / name
    if not place.is_file() or place.is_symlink():
        raise ArtifactError(
            f"'{path}' lacks the file '{name}', which its {MANIFEST} lists. {WAY_OUT}"
        )
    size = place.stat().st_size
    if size < entry.size or (size > entry.size and not may_grow):
        raise ArtifactError(
            f"'{place}' has {size:,} bytes, but was saved with {entry.size:,}: it was cut "
            f"short, added to or replaced. {WAY_OUT}"
        )
    data = place.read_bytes()
    found = hashlib.sha256(data[: entry.size]).hexdigest()
    if found != entry.sha256:
        raise ArtifactError(
            f"'{place}' has the SHA-256 {found[:12]}…, but was saved with "
            f"{entry.sha256[:12]}…: it was edited or damaged. {WAY_OUT}"
        )
    return data


def list_files(path: Path, *, skip_nested: bool = False) -> tuple[set[str], list[Path]]:
    """Names of the files below `path` but for its manifest, and artifacts nested in it.

    With `skip_nested`, files of directories that have a manifest of their own are left
    out, and so are our temporaries. Raises `ArtifactError` on links, pipes and devices.
    """
    names: set[str] = set()
    nested: list[Path] = []
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        if skip_nested:
            folders[:] = [name for name in folders if not _is_ours(name)]
            files = [name for name in files if not _is_ours(name)]
            if here != path and MANIFEST in files:
                nested.append(here)
                folders.clear()
                continue
        for name in files + [name for name in folders if (here / name).is_symlink()]:
            kind = (here / name).lstat().st_mode
            if not stat.S_ISREG(kind):
                raise ArtifactError(
                    f"'{here / name}' is a link, a pipe or a device, and not a plain file: "
                    "not ours. Remove it, or put the file itself there."
                )
            names.add((here / name).relative_to(path).as_posix())
    return names - {MANIFEST}, sorted(nested)


def _is_ours(name: str) -> bool:
    return name.endswith((TEMPORARY, PREVIOUS))
