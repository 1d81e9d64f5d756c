"""`stitchrl audit` and `stitchrl advise`: what a log can teach, and what to do with it."""

from typing import Annotated

import typer

from stitchrl.cli import options
from stitchrl.cli.output import AsJson


def audit(
    log: options.Log,
    mapping: options.Mapping = None,
    discount: options.Discount = None,
    seed: options.Seed = None,
    as_json: AsJson = False,
) -> None:
    """Say what a log can teach: returns, coverage, stitching, who acted, and changes.

    Refuses logs with errors, as `stitchrl validate` lists them. Learns nothing.
    """
    from stitchrl.cli import auditing

    found, _ = auditing.audited(log, mapping, discount, seed)
    auditing.show_audit(found, auditing.typed(log, mapping), as_json=as_json)


def advise(
    log: options.Log,
    mapping: options.Mapping = None,
    collect: Annotated[
        bool | None,
        typer.Option("--collect/--no-collect", help="More decisions can be collected."),
    ] = None,
    dear: Annotated[
        bool | None, typer.Option("--dear/--cheap", help="Collecting them is dear.")
    ] = None,
    dangerous: Annotated[
        bool | None,
        typer.Option("--dangerous/--safe", help="Trying new things is dangerous."),
    ] = None,
    simulator: Annotated[
        bool | None,
        typer.Option("--simulator/--no-simulator", help="There is a trusted simulator."),
    ] = None,
    discount: options.Discount = None,
    seed: options.Seed = None,
    as_json: AsJson = False,
) -> None:
    """Say whether to learn from this log at all, by which algorithms, and what to mind.

    Rules of thumb with the numbers that led to them; the verdict of a run is what counts.
    """
    from stitchrl.audit.advice import Situation
    from stitchrl.cli import auditing

    found, dataset = auditing.audited(log, mapping, discount, seed)
    situation = Situation(collect, dear, dangerous, simulator)
    named = auditing.typed(log, mapping)
    auditing.show_advice(found, dataset, named, situation, as_json=as_json)
