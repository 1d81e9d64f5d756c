"""`stitchrl report`: make the page of a finished run again."""

from pathlib import Path
from typing import Annotated

import typer

from stitchrl import artifacts
from stitchrl.cli import options
from stitchrl.cli.output import AsJson, print_json, say


def report(
    run: options.Run,
    html: Annotated[
        Path | None,
        typer.Option(help="Where to write it; the run's own report.html if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the page of a finished run again, from its report.json."""
    from stitchrl.cli.summary import PAGE, read_report, summary
    from stitchrl.report.render import render

    if html is not None and not html.absolute().parent.is_dir():
        raise ValueError(
            f"'{html}' cannot be written: there is no directory "
            f"'{html.absolute().parent}'. Make it first, or name another place with --html."
        )
    found = read_report(run)
    page = render(found).encode()
    if html is None:
        artifacts.save_sealed(run, {PAGE: page})
    else:
        artifacts.save_file(html, page)
    place = html or run / PAGE
    if as_json:
        print_json({**summary(found, run), "report": str(place)})
    else:
        say(f"Report: {place}")
