"""How readers refuse a file: every refusal is a finding, and names the file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stitchrl.findings import DataError, Finding, Severity, at_rows


def refuse(code: str, message: str, remedy: str, *, rows: Sequence[int] = ()) -> DataError:
    """An error to raise; `rows` are rows of the file, counted from 0 after any header."""
    return DataError([at_rows(code, Severity.ERROR, message, remedy, rows=rows)])


def warn(code: str, message: str, remedy: str, *, rows: Sequence[int] = ()) -> Finding:
    """A warning that the dataset carries along."""
    return at_rows(code, Severity.WARNING, message, remedy, rows=rows)


def note(code: str, message: str, remedy: str = "", *, rows: Sequence[int] = ()) -> Finding:
    """Something counted that the dataset carries along."""
    return at_rows(code, Severity.NOTE, message, remedy, rows=rows)


def _beginning(said: str) -> str:
    return said.split("\n\n")[0]


@contextmanager
def reading(
    path: Path, kind: str, reason: Callable[[str], str] = _beginning
) -> Iterator[None]:
    """Turn whatever a library says about a broken file into a refusal that names it.

    `reason` makes our words of the library's.
    """
    try:
        yield
    except (DataError, MemoryError):
        raise
    except RecursionError as error:
        raise _unreadable(path, kind, "it is nested too deeply") from error
    except Exception as error:
        raise _unreadable(path, kind, reason(str(error))) from error


def _unreadable(path: Path, kind: str, reason: str) -> DataError:
    return refuse(
        "UNREADABLE",
        f"'{path}' cannot be read as {kind}: it is damaged or was cut short ({reason}).",
        "Copy or export the file again, and compare its size with the original.",
    )
