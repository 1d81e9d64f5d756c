"""Whole directories, written under another name and swapped in when complete."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stitchrl.artifacts.files import (
    PREVIOUS,
    ArtifactError,
    explained,
    locked,
    make_directory,
    previous_of,
    remove,
    settle,
    sync_path,
    temporary_in,
    write_new,
)
from stitchrl.artifacts.manifest import (
    MANIFEST,
    entry_of,
    list_files,
    manifest_to_bytes,
    read_checked,
    read_manifest,
    require_inside,
)


def save_directory(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Replace the artifact at `path` by these files, by relative name, and a manifest.

    `load_directory` finds the old one or the new one at any moment, also if this process
    is killed. Raises `ArtifactError` if something that is not an artifact stands there, if
    a name leads out of it, or if the disk is full; what stood there then still does.
    """
    path = Path(os.path.realpath(path))
    for name in files:
        require_inside(path, name)
    entries = {name: entry_of(data) for name, data in files.items()}
    with replacing(path) as folder:
        _write_whole(folder, {**files, MANIFEST: manifest_to_bytes(entries)})


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new directory to fill: it then replaces the artifact at `path`, or is removed."""
    with explained(path):
        make_directory(path.parent)
        with locked(path.parent):
            _require_artifact(path)
            temporary = temporary_in(path.parent)
            try:
                temporary.mkdir()
                yield temporary
                _swap(path, temporary)
            except BaseException:
                remove(temporary)
                raise


def _write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_new(target, data)
    for inside, _, _ in os.walk(folder):
        sync_path(Path(inside))


def _swap(path: Path, complete: Path) -> None:
    """Put `complete` at `path`. In between, the old one stands at `previous_of(path)`."""
    try:
        if path.exists():
            os.rename(path, previous_of(path))
        os.rename(complete, path)
        sync_path(path.parent)
    finally:
        settle(path)


def _require_artifact(path: Path) -> None:
    """Do not replace what is not ours: it may be somebody's home directory."""
    if not path.exists() or (path / MANIFEST).is_file():
        return
    if not path.is_dir() or any(path.iterdir()):
        raise ArtifactError(
            f"'{path}' exists and was not saved by stitchrl, so it is not replaced. Choose "
            "another path, or remove it yourself."
        )


def load_directory(path: str | Path) -> dict[str, bytes]:
    """All files by name, after every one was compared with the manifest.

    Raises `ArtifactError` naming the file that is missing, too many or changed, and what
    to do. One changed bit anywhere, the manifest included, is refused.
    """
    path = Path(path)
    while True:
        seen = _identity(path)
        try:
            return _load(
                path if seen or not previous_of(path).is_dir() else previous_of(path)
            )
        except (ArtifactError, FileNotFoundError):
            if _identity(path) == seen:
                raise
            # It was replaced while we read: read the new one.


def _load(path: Path) -> dict[str, bytes]:
    entries = read_manifest(path)
    found, _ = list_files(path)
    if extra := sorted(found - entries.keys()):
        raise ArtifactError(
            f"'{path}' has files that its {MANIFEST} does not list: {extra[:5]}. They were "
            "added after it was saved; move them elsewhere."
        )
    return {name: read_checked(path, name, entry) for name, entry in entries.items()}


def _identity(path: Path) -> list[tuple[int, int]] | None:
    """Differs after every swap; None while there is nothing."""
    try:
        facts = [path.stat(), (path / MANIFEST).stat()]
    except FileNotFoundError:
        return None
    # Numbers of files are soon used again, times are coarse: both, of both.
    return [(fact.st_ino, fact.st_ctime_ns) for fact in facts]


def standing(parent: str | Path) -> list[str]:
    """Names of the directories in `parent`, also those just being replaced; sorted."""
    parent = Path(parent)
    if not parent.is_dir():
        return []
    names = (entry.name for entry in os.scandir(parent) if entry.is_dir())
    ours = {name[1 : -len(PREVIOUS)] if name.endswith(PREVIOUS) else name for name in names}
    return sorted(name for name in ours if not name.startswith("."))


def remove_directory(path: str | Path) -> None:
    """Delete an artifact: gone at once, never half there. Nothing happens if it is not."""
    path = Path(os.path.realpath(path))
    if not path.is_dir():
        return
    with explained(path), locked(path.parent):
        _require_artifact(path)
        temporary = temporary_in(path.parent)
        os.rename(path, temporary)
        remove(temporary)
