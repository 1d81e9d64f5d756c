"""Errors of ours become a readable block and an exit code; all others are bugs."""

import shlex
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from stitchrl.artifacts import ArtifactError
from stitchrl.cli.output import JSON, print_json, remark
from stitchrl.findings import DataError, Finding

OK, REFUSED, USAGE, DATA, INTERRUPTED = 0, 1, 2, 3, 130
# In a context's `meta`: whether --debug was said, and the command line.
DEBUG, LINE = "debug", "line"
ROWS = "Rows are counted from 0, after the header: row 0 is line 2 of a CSV file."
PACKAGE = str(Path(__file__).parents[1])


class Verb(TyperCommand):
    """One verb; its context is of the type that it says in its signature."""

    context_class = typer.Context


class Group(TyperGroup):
    """Several verbs under one; their contexts are of the type that they say."""

    context_class = typer.Context


class Verbs(Group):
    """The verbs; whatever one of them raises is explained here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ever, and keep the command line for the report."""
        ctx.meta[LINE] = shlex.join(["stitchrl", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb. Ends with an exit code of ours if it raises an error of ours."""
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise  # Which is a RuntimeError, but none to explain.
        except (ValueError, RuntimeError) as error:
            if ctx.meta.get(DEBUG) or not _is_ours(error):
                raise
            _explain(error, as_json=bool(ctx.meta.get(JSON)))
            raise typer.Exit(_code(error)) from None


def _is_ours(error: BaseException) -> bool:
    """Whether our code raised it, knowing what to say, and not a library below it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(PACKAGE)


def _code(error: Exception) -> int:
    if isinstance(error, DataError | ArtifactError):
        return DATA  # What was read cannot be used: a log, or something we saved.
    return USAGE if isinstance(error, ValueError) else REFUSED


def _explain(error: Exception, *, as_json: bool) -> None:
    findings = error.findings if isinstance(error, DataError) else ()
    if as_json:
        message = findings[0].message if findings else str(error)
        entries = [plain_finding(finding) for finding in findings]
        print_json({"error": {"message": message, "findings": entries}})
    if findings:
        remark("\n".join(map(str, findings)))
        if any(finding.rows for finding in findings):
            remark(ROWS)
    else:
        remark(f"error: {error}")


def plain_finding(finding: Finding) -> dict[str, Any]:
    """A finding as JSON holds it."""
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "message": finding.message,
        "remedy": finding.remedy,
        "count": finding.count,
        "rows": list(finding.rows),
    }
