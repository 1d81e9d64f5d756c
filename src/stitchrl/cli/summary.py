"""The verdict on a terminal and as JSON: read from the report, nothing is computed."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stitchrl import artifacts
from stitchrl.cli.output import print_json, results, say
from stitchrl.report.format import Values, common_level, level
from stitchrl.report.numbers import Estimate
from stitchrl.report.schema import Report
from stitchrl.verdict import Decision

REPORT, PAGE, POLICY = "report.json", "report.html", "policy"
WORDS = {
    Decision.DEPLOY: ("Deploy", "green"),
    Decision.PILOT: ("Pilot", "cyan"),
    Decision.COLLECT_MORE_DATA: ("Collect more data", "yellow"),
    Decision.DO_NOT_DEPLOY: ("Do not deploy", "red"),
    Decision.CANNOT_SAY: ("Cannot say", "magenta"),
    Decision.EVALUATED: ("evaluated only", "white"),
}
# Decisions whose headline says everything that there is to do.
SAY_ALL = (Decision.DEPLOY, Decision.COLLECT_MORE_DATA, Decision.DO_NOT_DEPLOY)


def read_report(directory: str | Path) -> Report:
    """The sealed report of a run. Raises `ArtifactError` if there is none yet."""
    place = Path(directory)
    if not has_report(place):
        raise artifacts.ArtifactError(
            f"'{directory}' has no report yet. If a run was interrupted there, finish it: "
            f"stitchrl resume {directory}"
        )
    return Report.model_validate_json(artifacts.read_sealed(place, REPORT))


def has_report(directory: Path) -> bool:
    """Whether a run was finished here."""
    is_sealed = (directory / artifacts.MANIFEST).is_file()
    return is_sealed and artifacts.sealed_size(directory, REPORT) > 0


def show(report: Report, directory: Path, *, as_json: bool) -> None:
    """Print the verdict and where the rest is."""
    if as_json:
        print_json(summary(report, directory))
        return
    results().print(_box(report))
    if report.certification_uses > 1:
        say(
            f"The certification split has now been used {report.certification_uses} times: "
            "intervals hold for the first use only."
        )
    say(f"Report: {directory / PAGE}")
    if (directory / POLICY).is_dir():
        say(f"Policy: {directory / POLICY}")


def summary(report: Report, directory: Path) -> dict[str, Any]:
    """The section `decide` of the report, and where everything lies."""
    has_policy = (directory / POLICY).is_dir()
    decide = report.decide.model_dump_json().encode()  # Infinity as text.
    return {
        **artifacts.bytes_to_json(decide, source=REPORT),
        "certification_uses": report.certification_uses,
        "directory": str(directory),
        "report": str(directory / PAGE),
        "policy": str(directory / POLICY) if has_policy else None,
        "phases": {p.name: p.seconds for p in report.reproduce.phases},
    }


def _box(report: Report) -> Panel:
    decide = report.decide
    word, color = WORDS[decide.decision]
    lines: list[Any] = [Text(decide.headline)]
    main = next((v for v in decide.verdicts if v.policy == _subject(report)), None)
    if main is not None and main.remedy and decide.decision not in SAY_ALL:
        lines += [Text(""), Text(f"Next: {main.remedy}")]
    lines += [Text(""), _table(report)]
    title = Text(f" {word} ", style=f"bold {color}")
    return Panel(Group(*lines), title=title, border_style=color, padding=(1, 2))


def _subject(report: Report) -> str | None:
    """The policy that the report's decision is about."""
    decide = report.decide
    if decide.recommended is not None:
        return decide.recommended
    same = [v.policy for v in decide.verdicts if v.decision is decide.decision]
    return decide.best if decide.best in same else next(iter(same), None)


def _table(report: Report) -> Table:
    values, estimates = Values(report), report.decide.estimates
    verdicts = [
        verdict
        for verdict in report.decide.verdicts
        if verdict.decision is not Decision.EVALUATED
    ]
    shown = [verdict.estimate for verdict in verdicts]
    shared = common_level([*shown, estimates.behavior if estimates else None])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), expand=True)
    table.add_column("Policy", ratio=1)
    table.add_column("Verdict", no_wrap=True)
    table.add_column(
        f"{report.estimand.outcome}, {shared or 'interval'}", justify="right", max_width=24
    )
    exact = {one.policy: one.value for one in report.truth.values} if report.truth else {}
    if exact:
        table.add_column("In truth", justify="right")

    def add(name: str, label: str, word: Text, estimate: Estimate | None) -> None:
        known = [values.value(exact.get(name))] if exact else []
        table.add_row(label, word, _interval(values, estimate, shared), *known)

    if estimates is not None:
        add("behavior", report.behavior_label, Text(""), estimates.behavior)
    for verdict in verdicts:
        word, color = WORDS[verdict.decision]
        label = report.policy(verdict.policy).label
        add(verdict.policy, label, Text(word, style=color), verdict.estimate)
    return table


def _interval(values: Values, estimate: Estimate | None, shared: str) -> str:
    """0.782 [0.771, 0.796], with its own level where intervals do not share one."""
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return values.value(estimate.value)
    low, high = values.value(estimate.low), values.value(estimate.high)
    own = "" if shared else f" {level(estimate.level)}"
    return f"{values.value(estimate.value)} [{low}, {high}]{own}"
