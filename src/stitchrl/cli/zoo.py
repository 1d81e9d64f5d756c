"""`stitchrl zoo`: data sets that this machine can make, with the truth about policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group as Lines
from rich.padding import Padding
from rich.text import Text

from stitchrl import sources
from stitchrl.cli.errors import Group, Verb
from stitchrl.cli.output import AsJson, print_json, remark, results, say

if TYPE_CHECKING:
    from stitchrl.zoo import Entry

zoo = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Data sets that simulators make here, with the truth about any policy.",
)


def list_all(as_json: AsJson = False) -> None:
    """Name every data set: how large it is, what it needs, what its scores mean."""
    from stitchrl.zoo import ENTRIES
    from stitchrl.zoo.packages import PINNED, REMEDY, missing

    entries = tuple(ENTRIES.values())
    if as_json:
        print_json({"datasets": [_plain(entry) for entry in entries]})
        return
    for entry in entries:
        results().print(_described(entry))
    absent = missing(name for entry in entries for name in entry.needs)
    if absent:
        named = ", ".join(f"{name} {PINNED[name]}" for name in dict.fromkeys(absent))
        remark(f"Not installed here: {named}. {REMEDY}")


def make(
    name: Annotated[str, typer.Argument(help="One of 'stitchrl zoo list'.")],
    out: Annotated[
        Path | None, typer.Option(help="The log; NAME.parquet if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a data set, check that it is the one it must be, and write it as Parquet.

    It can be read without a mapping: stitchrl run NAME.parquet --out run
    """
    from stitchrl.zoo import find

    entry = find(name)
    place = out or Path(f"{name}.parquet")
    _require_free(place)
    log = entry.make()
    sources.write_table(log, place)
    if as_json:
        facts = {"log": str(place), "decisions": log.size, "episodes": log.episodes}
        print_json({**facts, "sha256": entry.sha256, "dataset": _plain(entry)})
    else:
        say(f"Log: {place}")
        say(f"{log.size:,} decisions, {log.episodes:,} episodes. {entry.about}")
        say(f"From {entry.source}. Score {_meaning(entry)}.")


zoo.command("list", cls=Verb)(list_all)
zoo.command("make", cls=Verb)(make)


def _require_free(place: Path) -> None:
    if place.suffix != ".parquet":
        raise ValueError(
            f"'{place}' would be read as something else than Parquet, which it will be. "
            "Let the name that --out gives end in .parquet."
        )
    if place.exists():
        raise ValueError(
            f"'{place}' exists already. Name another file with --out, or remove it."
        )
    if not place.absolute().parent.is_dir():
        raise ValueError(
            f"'{place}' cannot be written: there is no directory "
            f"'{place.absolute().parent}'. Make it first, or name another place with --out."
        )


def _meaning(entry: "Entry") -> str:
    scale = entry.scale
    return (
        f"0 is {scale.zero_is} ({scale.zero:.4g}), 100 is {scale.hundred_is} "
        f"({scale.hundred:.4g}), in {scale.unit}"
    )


def _described(entry: "Entry") -> Padding:
    """The name, and below it what fits any width of a terminal."""
    needs = ", ".join(entry.needs) or "nothing else"
    facts = f"{entry.rows:,} rows, {entry.actions} actions; needs {needs}."
    about = Padding(f"{facts} Score {_meaning(entry)}.", (0, 0, 0, 4))
    return Padding(Lines(Text(entry.name, style="bold"), about), (0, 0, 1, 0))


def _plain(entry: "Entry") -> dict[str, Any]:
    from stitchrl.zoo.packages import PINNED

    return {
        "name": entry.name,
        "recipe": entry.recipe,
        "rows": entry.rows,
        "actions": entry.actions,
        "about": entry.about,
        "source": entry.source,
        "needs": {name: PINNED[name] for name in entry.needs},
        "score": {
            "unit": entry.scale.unit,
            "0": {"value": entry.scale.zero, "is": entry.scale.zero_is},
            "100": {"value": entry.scale.hundred, "is": entry.scale.hundred_is},
        },
        "sha256": entry.sha256,
    }
