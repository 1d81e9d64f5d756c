"""The program `stitchrl`: one verb for each step from a log to a decision."""

import gc
from typing import Annotated

import typer

from stitchrl.cli.audit import advise, audit
from stitchrl.cli.decide import decide
from stitchrl.cli.demo import demo
from stitchrl.cli.doctor import doctor
from stitchrl.cli.errors import DEBUG, Verb, Verbs
from stitchrl.cli.evaluate import evaluate
from stitchrl.cli.interrupts import end_on_interrupt
from stitchrl.cli.map import map as map_verb
from stitchrl.cli.realized import realized
from stitchrl.cli.report import report
from stitchrl.cli.resume import resume
from stitchrl.cli.run import run
from stitchrl.cli.select import select
from stitchrl.cli.train import train
from stitchrl.cli.validate import validate
from stitchrl.cli.zoo import zoo

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 well, 1 refused or failed, 2 wrong usage, 3 data that cannot be "
    "used, 130 interrupted.",
)


@app.callback()
def common(
    ctx: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error was raised.")
    ] = False,
) -> None:
    """From a log of decisions to a verdict: deploy, pilot, or don't."""
    ctx.meta[DEBUG] = debug


for verb in (doctor, demo, validate, audit, advise, run, train, select):
    app.command(cls=Verb)(verb)
for verb in (evaluate, report, resume, decide, realized):
    app.command(cls=Verb)(verb)
app.command("map", cls=Verb)(map_verb)
app.add_typer(zoo, name="zoo")


def main() -> None:
    """The console script."""
    # What is made on the way to the first update stays: to look all of it through again and
    # again for garbage took a tenth of the time.
    gc.set_threshold(50_000)
    end_on_interrupt()
    app()
