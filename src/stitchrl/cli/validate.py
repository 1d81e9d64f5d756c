"""`stitchrl validate`: what is wrong with a log, and how to mend it."""

from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from stitchrl import sources
from stitchrl.cli import options
from stitchrl.cli.errors import DATA, ROWS, plain_finding
from stitchrl.cli.output import AsJson, print_json, results, say
from stitchrl.dataset import Dataset
from stitchrl.findings import Finding, Severity
from stitchrl.validation import validate as validate_log

COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


def validate(
    log: options.Log,
    mapping: options.Mapping = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Count warnings as errors.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a log, or suspicious: where, why, and how to mend it.

    Exits with 3 if there are errors, with 0 otherwise.
    """
    dataset = sources.load(log, mapping)
    findings = validate_log(dataset)
    facts = _facts(dataset)
    if as_json:
        print_json({**facts, "findings": [plain_finding(finding) for finding in findings]})
    else:
        say(", ".join(f"{value:,} {name}" for name, value in facts.items()))
        if findings:
            results().print(_table(findings))
            if any(finding.rows for finding in findings):
                say(ROWS)
        else:
            say("Nothing found.")
    grave = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in grave for finding in findings):
        raise typer.Exit(DATA)


def _facts(dataset: Dataset) -> dict[str, int]:
    return {
        "decisions": dataset.size,
        "episodes": dataset.episodes,
        "groups": dataset.groups,
        "features": len(dataset.feature_names),
    }


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_lines=True)
    table.add_column("", no_wrap=True)
    table.add_column("Code", no_wrap=True)
    table.add_column("What, and what to do")
    table.add_column("Rows", justify="right")
    for finding in findings:
        rows = f"{finding.count:,}" if finding.count else ""
        if finding.rows:
            rows += f"\nfrom {finding.rows[0]:,}"
        text = Text(finding.message)
        if finding.remedy:
            text.append(f"\n{finding.remedy}", style="italic")
        word = Text(str(finding.severity), style=COLORS[finding.severity])
        table.add_row(word, finding.code, text, rows)
    return table
