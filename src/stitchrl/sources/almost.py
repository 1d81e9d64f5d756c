"""Text that was meant as numbers or dates, but for a few values."""

import datetime
from collections.abc import Callable, Iterable
from typing import NamedTuple

MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none")
MOST = 0.9  # If this part of the values can be read, all were meant so.
CLOCKS = ("", " %H:%M", " %H:%M:%S")
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d")


class Meant(NamedTuple):
    """What a text column was meant as, and the values that cannot be read so."""

    kind: str  # "numbers" or "dates"
    wrong: frozenset[str]


def meant(values: Iterable[str]) -> Meant | None:
    """Numbers or dates, if most of these distinct values are; None for mere text."""
    words = [value for value in values if value.strip().lower() not in MISSING_WORDS]
    readers: list[tuple[str, Callable[[str], object]]] = [("numbers", float)]
    readers.append(("dates", datetime.datetime.fromisoformat))
    readers += [("dates", _reader(day + clock)) for day in DAYS for clock in CLOCKS]
    for kind, read in readers:
        wrong = _unreadable(words, read)
        if wrong is not None:
            return Meant(kind, wrong)
    return None


def _reader(form: str) -> Callable[[str], object]:
    return lambda word: datetime.datetime.strptime(word, form)


def _unreadable(words: list[str], read: Callable[[str], object]) -> frozenset[str] | None:
    """The words that cannot be read; None if these are too many."""
    allowed = (1 - MOST) * len(words)
    wrong: set[str] = set()
    for word in words:
        try:
            read(word.strip())
        except ValueError:
            wrong.add(word)
            if len(wrong) > allowed:
                return None
    return frozenset(wrong) if words else None
