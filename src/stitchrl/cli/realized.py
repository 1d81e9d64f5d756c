"""`stitchrl realized`: whether what a run promised came true."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from stitchrl.cli import options
from stitchrl.cli.output import AsJson, print_json, remark, results, say

if TYPE_CHECKING:
    from stitchrl.report.numbers import Estimate
    from stitchrl.report.realized import Realized
    from stitchrl.report.schema import Report

COLORS = {"held": "green", "fell short": "red", "exceeded": "cyan"}


def realized(
    run: options.Run,
    log: Annotated[
        Path, typer.Argument(help="Episodes made by the policy, in the run's format.")
    ],
    policy: Annotated[
        str | None,
        typer.Option(help="Which made them; the recommended one, else the best."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a policy that has been used did what the run promised of it.

    The log is read by the run's mapping. What is found is kept in the run's realized.json;
    the same log again replaces what was found before.
    """
    from stitchrl import artifacts
    from stitchrl.cli.summary import read_report
    from stitchrl.cli.working import today
    from stitchrl.job.directory import REALIZED
    from stitchrl.job.realized import realize_job

    found = realize_job(run, log, policy=policy, date=today())
    if as_json:
        said = artifacts.bytes_to_json(found.model_dump_json().encode(), source=REALIZED)
        print_json({**said, "record": str(run / REALIZED)})
        return
    results().print(_table(found, read_report(run)))
    say(found.sentence)
    for note in found.notes:
        remark(note)
    say(f"Record: {run / REALIZED}")


def _table(found: "Realized", report: "Report") -> Table:
    from stitchrl.report.format import Values, common_level

    values = Values(report)
    parts = [(one.promised, one.realized, one.gap) for one in found.promises]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), expand=True)
    table.add_column("Estimator", ratio=1, min_width=9)
    titles = ("Promised", "Realized", "Gap")
    shared = [common_level(column) for column in zip(*parts)]
    for title, level in zip(titles, shared):
        table.add_column(f"{title}\n{level}", justify="right")
    table.add_column("Promise", no_wrap=True)
    for one, row in zip(found.promises, parts):
        shows = (values.value, values.value, values.gain)
        cells = [
            _cell(show, estimate, level)
            for show, estimate, level in zip(shows, row, shared)
        ]
        word = Text(one.kept, style=COLORS.get(one.kept, ""))
        table.add_row(one.estimator, *cells, word)
    return table


def _cell(show: Callable[[float], str], estimate: "Estimate", shared: str) -> str:
    """0.782 above 0.771 to 0.796, with its own level where the column shares none."""
    from stitchrl.report.format import level

    if estimate.low is None or estimate.high is None:
        return show(estimate.value)
    own = "" if shared else f" {level(estimate.level)}"
    return f"{show(estimate.value)}\n{show(estimate.low)} to {show(estimate.high)}{own}"
