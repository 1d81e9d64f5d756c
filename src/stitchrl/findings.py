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
        return f"{self.severity} {self.code}: {self.message}{rows} {self.remedy}"


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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known name, or with the first few if none is close."""
    spelled = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), spelled, n=1)
    if close:
        return f"Did you mean '{spelled[close[0]]}'?"
    shown = ", ".join(f"'{candidate}'" for candidate in list(spelled.values())[:12])
    return f"There are: {shown}{', …' if len(spelled) > 12 else ''}."
