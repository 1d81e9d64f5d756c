"""Directories that grow, such as a run: each file is sealed once it stands.

Artifacts nested in them (checkpoints, a policy) have their own manifests and come and go
as they please. Files `*.jsonl` only ever grow, and are sealed as far as they have come.
"""

from collections.abc import Mapping
from pathlib import Path

from stitchrl.artifacts.directories import load_directory
from stitchrl.artifacts.files import (
    ArtifactError,
    explained,
    locked,
    make_directory,
    replace_file,
    save_file,
    sync_path,
)
from stitchrl.artifacts.manifest import (
    MANIFEST,
    Entry,
    entry_of,
    list_files,
    manifest_to_bytes,
    read_checked,
    read_manifest,
    require_inside,
)

GROWS = ".jsonl"


def seal(path: str | Path) -> None:
    """Write the manifest over all files that stand in `path` now."""
    path = Path(path).absolute()
    with explained(path), locked(path):
        names, _ = list_files(path, skip_nested=True)
        entries = {}
        for name in sorted(names):
            sync_path(path / name)
            entries[name] = entry_of((path / name).read_bytes())
        _write_manifest(path, entries)


def save_sealed(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write or replace files of a directory and seal them, others stay as they are sealed.

    If this is cut short, files that were about to change are found unsealed, which
    `read_sealed` refuses and `verify` returns; those before and after are whole.
    """
    path = Path(path).absolute()
    for name in files:
        require_inside(path, name)
    with explained(path):
        make_directory(path)
        with locked(path):
            entries = read_manifest(path) if (path / MANIFEST).exists() else {}
            kept = {name: entries[name] for name in entries if name not in files}
            if len(kept) < len(entries):
                _write_manifest(path, kept)
            for name, data in files.items():
                is_here = (path / name).parent == path  # Where we hold the lock already.
                (replace_file if is_here else save_file)(path / name, data)
            _write_manifest(path, kept | {n: entry_of(data) for n, data in files.items()})


def _write_manifest(path: Path, entries: Mapping[str, Entry]) -> None:
    replace_file(path / MANIFEST, manifest_to_bytes(entries))


def read_sealed(path: str | Path, name: str) -> bytes:
    """The bytes of one sealed file, and what has grown since if it is a `*.jsonl`.

    Raises `ArtifactError` if it is not sealed, not there, or not what was sealed.
    """
    path = Path(path)
    entries = read_manifest(path)
    if name not in entries:
        raise ArtifactError(
            f"'{path / name}' is not listed in {MANIFEST}: writing it was interrupted, or "
            "it was not saved by stitchrl. Repeat the command that makes it."
        )
    return read_checked(path, name, entries[name], may_grow=name.endswith(GROWS))


def sealed_size(path: str | Path, name: str) -> int:
    """Bytes of a file that are sealed; 0 if it is not."""
    entry = read_manifest(Path(path)).get(name)
    return entry.size if entry else 0


def verify(path: str | Path) -> list[str]:
    """Check every sealed file of a directory, and every artifact nested in it.

    Returns the names of files that are not sealed. Raises `ArtifactError` on the first
    file or nested artifact that is not what was saved.
    """
    path = Path(path)
    entries = read_manifest(path)
    for name, entry in entries.items():
        read_checked(path, name, entry, may_grow=name.endswith(GROWS))
    found, nested = list_files(path, skip_nested=True)
    for artifact in nested:
        load_directory(artifact)
    return sorted(found - entries.keys())
