"""What the report of a finished run promised of its policies."""

from pathlib import Path

from stitchrl import artifacts
from stitchrl.artifacts import ArtifactError
from stitchrl.findings import all_there_are, perhaps
from stitchrl.job.directory import REPORT, is_saved
from stitchrl.ope.base import Estimate, Family, Interval, Label
from stitchrl.report import numbers
from stitchrl.report.closeup import Closeup
from stitchrl.report.schema import Report

GUARANTEED = "WIS, guaranteed"
FAMILIES = {"data": Family.DATA, "WIS": Family.WEIGHTS, "FQE": Family.VALUES}


def read_promises(directory: str | Path) -> Report:
    """The report of a run. Raises `ArtifactError` if it has no verdict yet."""
    if not is_saved(directory, REPORT):
        raise ArtifactError(
            f"'{directory}' has no verdict yet, and so has promised nothing. Finish it "
            f"first: stitchrl resume {directory}"
        )
    return Report.model_validate_json(artifacts.read_sealed(directory, REPORT))


def named(report: Report, policy: str | None) -> str:
    """This policy; without a name, the recommended one, else the best.

    Raises `ValueError` if the report does not know it, says no value of it, or names none.
    """
    known = [one.name for one in report.policies]
    name = policy or report.decide.recommended or report.decide.best
    if name is None:
        raise ValueError(
            "The report neither recommends a policy nor names a best one: say with "
            f"--policy which one made the log. {all_there_are(known)}"
        )
    if name not in known:
        raise ValueError(
            f"--policy: the report knows no '{name}'. {perhaps(name, known)}"
            f"{all_there_are(known)}"
        )
    if not promises_of(report, name):
        promised = [one for one in known if promises_of(report, one)]
        raise ValueError(
            f"The report says no value of '{name}', so that there is nothing to hold a log "
            f"against. Name another policy with --policy. {all_there_are(promised)}"
        )
    return name


def promises_of(report: Report, name: str) -> list[Estimate]:
    """What estimators say of a policy: WIS and FQE, the guaranteed bound, all others.

    Those without an interval come last. Of FQE, the middle completion: the others are ends
    of what its value could be.
    """
    decide, found = report.decide, dict[str, Estimate]()
    for row in decide.estimates.rows if decide.estimates else ():
        if row.policy == name and row.completion in (None, "behavior"):
            family = FAMILIES.get(row.estimator, Family.COMBINED)
            found[row.estimator] = _read(row.estimator, family, row.estimate)
    for verdict in decide.verdicts:
        said = verdict.estimate
        if verdict.policy == name and said and said.interval is Label.GUARANTEED:
            found[GUARANTEED] = _read(GUARANTEED, Family.WEIGHTS, said)
    closeup = closeup_of(report, name)
    for row in closeup.estimators if closeup else ():
        if row.estimate is not None and row.estimator not in found:
            found[row.estimator] = _read(row.estimator, row.family, row.estimate)
    return sorted(found.values(), key=lambda one: one.interval is None)


def closeup_of(report: Report, name: str) -> Closeup | None:
    """The closer look at this policy, if it is the one that the report took."""
    found = report.trust.closeup if report.trust else None
    return found if found is not None and found.policy == name else None


def _read(name: str, family: Family, said: numbers.Estimate) -> Estimate:
    interval = None
    if said.low is not None and said.high is not None and said.interval is not None:
        interval = Interval(said.low, said.high, said.level, said.interval, name)
    return Estimate(name, family, said.value, interval, said.n or 0)
