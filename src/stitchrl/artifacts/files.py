"""Single files: replaced atomically, on the disk when the call returns."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".stitchrl-tmp"
PREVIOUS = ".stitchrl-old"


class ArtifactError(RuntimeError):
    """Something of ours could not be saved, or what was read is not what was saved."""


def save_file(path: str | Path, data: bytes) -> None:
    """Replace the file at `path`: a reader finds the old bytes or the new, never a mix.

    Makes missing parent directories. Raises `ArtifactError` if the disk is full or the
    directory cannot be written to; the old file is then still there.
    """
    path = Path(path).absolute()
    with explained(path):
        make_directory(path.parent)
        with locked(path.parent):
            replace_file(path, data)


def append(path: str | Path, data: bytes) -> None:
    """Add `data` to the end of a file, or nothing: for logs whose lines check themselves.

    Survives a killed process; call `sync` for what must survive a power cut. Raises
    `ArtifactError` if the disk is full, and leaves the file as it was.
    """
    path = Path(path).absolute()
    with explained(path):
        make_directory(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def truncate(path: str | Path, size: int) -> None:
    """Keep the first `size` bytes of a file."""
    with explained(Path(path)):
        os.truncate(path, size)
        sync_path(Path(path))


def sync(path: str | Path) -> None:
    """Have the system write this file, or directory of names, to the disk now."""
    with explained(Path(path)):
        sync_path(Path(path))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's errors in saving `path` into ours."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"Cannot save '{path}': {error.strerror or error}. What was there before is "
            "untouched. Free some space, or choose a directory that you may write to."
        ) from error


@contextmanager
def locked(parent: Path) -> Iterator[None]:
    """Be the only one of us who writes in this directory, and tidy up after the killed.

    Under the lock every temporary is an orphan. The system drops the lock of a process
    that is killed. File systems that cannot lock are written to without, and untidied.
    """
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass
        else:
            _sweep(parent)
        yield
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    for entry in list(os.scandir(parent)):
        if entry.name.endswith(TEMPORARY):
            remove(parent / entry.name)
        elif entry.name.endswith(PREVIOUS):
            settle(parent / entry.name[1 : -len(PREVIOUS)])


def settle(path: Path) -> None:
    """After a swap that may have been cut short: bring the old back, or let it go."""
    old = previous_of(path)
    if not old.exists():
        return
    if path.exists():
        remove(old)
    else:
        os.rename(old, path)
        sync_path(path.parent)


def previous_of(path: Path) -> Path:
    """Where the old directory stands while the new one takes its place."""
    return path.with_name(f".{path.name}{PREVIOUS}")


def temporary_in(parent: Path) -> Path:
    """A name that nobody else uses, and that `locked` knows as a temporary."""
    return parent / f".{secrets.token_hex(8)}{TEMPORARY}"


def replace_file(path: Path, data: bytes) -> None:
    """`save_file` for one who already holds the lock."""
    temporary = temporary_in(path.parent)
    try:
        write_new(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_path(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, through to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def make_private_directory(path: Path) -> None:
    """Make it with its parents, if it is not there; a new one is for this user alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, through to the disk."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(exist_ok=True)
        sync_path(path.parent)


def sync_path(path: Path) -> None:
    """fsync of a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
