"""What is wrong with a log, and what is legal but often a mistake.

Every check reads whole columns at once, so that a million rows of fifty columns take
seconds. Codes are stable: reports and scripts may refer to them.
"""

from collections.abc import Iterable
from dataclasses import replace

from stitchrl.dataset import Dataset
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.validation.faults import FAULTS
from stitchrl.validation.suspicions import SUSPICIONS

__all__ = ["errors", "require_valid", "validate"]


def validate(dataset: Dataset) -> tuple[Finding, ...]:
    """Everything found in a log: errors first, then warnings, then notes.

    Includes what the reader of the file counted (`dataset.notes`). Rows are those of the
    source, whatever the order of the dataset.
    """
    found = [*dataset.notes]
    for check in (*FAULTS, *SUSPICIONS):
        for finding in check(dataset):
            rows = tuple(dataset.row[list(finding.rows)].tolist())
            found.append(replace(finding, rows=rows))
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those findings with which learning would be wrong."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


def require_valid(dataset: Dataset) -> tuple[Finding, ...]:
    """Warnings and notes of a log without errors; raises `DataError` with all errors."""
    findings = validate(dataset)
    if wrong := errors(findings):
        raise DataError(wrong)
    return findings
