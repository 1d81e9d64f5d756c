"""`stitchrl resume`: go on with an interrupted run."""

from typing import Annotated

import typer

from stitchrl.cli import machine, options
from stitchrl.cli.output import AsJson


def resume(
    ctx: typer.Context,
    run: options.Run,
    allow_different_threads: Annotated[
        bool,
        typer.Option(
            "--allow-different-threads",
            help="Go on with the CPUs of this machine, though not bit for bit.",
        ),
    ] = False,
    cluster: options.Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Go on with an interrupted run, from its directory and the log it names.

    The result is the same, bit for bit, as if it had never been interrupted. A finished
    run is not repeated: its verdict is shown.
    """
    from stitchrl.cli import working
    from stitchrl.job.directory import read_machine
    from stitchrl.job.run import resume_job

    begun_on = read_machine(run)
    if working.show_if_finished(run, as_json=as_json):
        return
    threads = None if allow_different_threads else int(begun_on["threads"])
    machine.prepare(threads, begun_on.get("precision"))
    with working.working(run) as tell:
        results = resume_job(
            run,
            tell=tell,
            commands=working.commands_of(ctx, run),
            date=working.today(),
            allow_different_threads=allow_different_threads,
            cluster=cluster,
        )
    working.show_results(results, as_json=as_json)
