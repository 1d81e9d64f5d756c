"""What every verb that runs a job does: say how it goes, and how to go on after Ctrl-C."""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stitchrl.cli.errors import LINE
from stitchrl.cli.interrupts import farewell
from stitchrl.cli.output import duration, remark
from stitchrl.cli.progress import Tell, telling
from stitchrl.dataset import Dataset
from stitchrl.job.directory import PLAN
from stitchrl.job.run import run_job
from stitchrl.job.stages import is_finished
from stitchrl.plan import Plan

if TYPE_CHECKING:  # Loading what shows reports takes time, and training begins without it.
    from stitchrl.job.results import Results
    from stitchrl.report.schema import Report


@contextmanager
def working(directory: Path) -> Iterator[Tell]:
    """Tell progress; Ctrl-C ends with a line that says how to go on."""

    def say() -> str:
        if not (directory / PLAN).is_file():
            return "Interrupted before anything was saved."
        return (
            "Interrupted. The last checkpoint is kept; go on from there with: stitchrl "
            f"resume {directory}"
        )

    with farewell(say), telling() as tell:
        yield tell


def run_and_show(
    ctx: typer.Context,
    plan: Plan,
    dataset: Dataset,
    directory: Path,
    *,
    as_json: bool,
    more_commands: tuple[tuple[str, str], ...] = (),
    cluster: str | None = None,
) -> "Report":
    """The whole job and its verdict; one that is finished already is only shown."""
    if is_finished(plan, dataset, directory):
        from stitchrl.cli.summary import read_report

        show_if_finished(directory, as_json=as_json)
        return read_report(directory)
    with working(directory) as tell:
        results = run_job(
            plan,
            dataset,
            directory,
            tell=tell,
            commands=[*commands_of(ctx, directory), *more_commands],
            date=today(),
            cluster=cluster,
        )
    return show_results(results, as_json=as_json)


def show_results(results: "Results", *, as_json: bool) -> "Report":
    """The verdict of a run that has just ended, and how long its parts took."""
    from stitchrl.cli.summary import read_report, show

    report = read_report(results.directory)
    show(report, results.directory, as_json=as_json)
    remark(phases_line(results.phases))
    return report


def show_if_finished(directory: Path, *, as_json: bool) -> bool:
    """Show the verdict of a run that is finished: looking again costs nothing."""
    from stitchrl.cli.summary import has_report, read_report, show

    if not has_report(directory):
        return False
    remark(
        f"'{directory}' was finished before; this is its verdict. To judge it anew: "
        f"stitchrl evaluate {directory}"
    )
    show(read_report(directory), directory, as_json=as_json)
    return True


def commands_of(ctx: typer.Context, directory: Path) -> list[tuple[str, str]]:
    """The lines that repeat a run, for its report."""
    return [
        ("This report", ctx.meta[LINE]),
        (
            "Judge it anew, with another discount",
            f"stitchrl evaluate {directory} --discount 0.95",
        ),
        ("Apply its policy to new rows", f"stitchrl decide {directory}/policy NEW.parquet"),
    ]


def today() -> str:
    """The date for a report."""
    return datetime.date.today().isoformat()


def phases_line(phases: Mapping[str, float]) -> str:
    """Took 75 s: validate 0.4 s, train 60 s, …"""
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in phases.items())
    return f"Took {duration(sum(phases.values()))}: {parts}."
