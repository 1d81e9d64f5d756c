"""What was found in a log: each with a code, a severity, the rows and the way out."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SHOWN_ROWS = 5


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # Learning from this log would be wrong.
    WARNING = "warning"  # Legal, often a mistake.
    NOTE = "note"  # Something was counted: rows sorted, values imputed, ends assumed.


@dataclass(frozen=True)
class Finding:
    """One fact about a log that its owner should know."""

    code: str  # Stable, upper case: "NONFINITE".
    severity: Severity
    message: str  # What, where, the rule, and what came instead.
    remedy: str  # What to do about it.
    count: int = 0  # Rows concerned; 0 where the whole log or a column is.
    rows: tuple[int, ...] = ()  # The first few of them, counted from 0.

    def __str__(self) -> str:
        rows = ""
        if self.rows:
            shown = ", ".join(map(str, self.rows))
            more = ", …" if self.count > len(self.rows) else ""
            rows = f" ({self.count:,} rows: {shown}{more})"
        return f"{self.severity} {self.code}: {self.message}{rows} {self.remedy}".rstrip()


def at_rows(
    code: str, severity: Severity, message: str, remedy: str, *, rows: Sequence[int]
) -> Finding:
    """A finding about these rows: all are counted, the first few are shown."""
    first = tuple(int(row) for row in np.asarray(rows)[:SHOWN_ROWS])
    return Finding(code, severity, message, remedy, count=len(rows), rows=first)


class DataError(ValueError):
    """A log that cannot be used; carries every finding, not only the first."""

    def __init__(self, findings: Sequence[Finding]):
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that this one is a slip of; None if there is no such.

    Slips spare the first letter: 'ward' is none of 'reward'.
    """
    spelled = {candidate.lower(): candidate for candidate in known}
    alike = [other for other in spelled if other[:1] == name[:1].lower()]
    cutoff = (
        0.75 if len(name) > 4 else 0.6
    )  # Two letters swapped leave two thirds of three.
    close = difflib.get_close_matches(name.lower(), alike, n=1, cutoff=cutoff)
    return spelled[close[0]] if close else None


def all_there_are(known: Iterable[str]) -> str:
    """A sentence with the first few names, and whether there are more."""
    names = list(known)
    shown = ", ".join(f"'{candidate}'" for candidate in names[:12])
    return f"There are: {shown}{', …' if len(names) > 12 else ''}."


def perhaps(name: str, known: Iterable[str]) -> str:
    """Did you mean 'reward'? And a space; nothing if no name is close."""
    close = closest(name, known)
    return "" if close is None else f"Did you mean '{close}'? "


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known name, or with the first few if none is close."""
    names = list(known)
    return perhaps(name, names).rstrip() or all_there_are(names)
