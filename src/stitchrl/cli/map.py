"""`stitchrl map`: propose which column of a log is what."""

from pathlib import Path
from typing import Annotated

import typer

from stitchrl import artifacts, sources
from stitchrl.cli.output import AsJson, print_json, remark, say

REFERENCE = "docs/mapping.md"


def map(
    log: Annotated[
        Path | None, typer.Argument(help="The log to look at; none with --presets.")
    ] = None,
    guess: Annotated[
        bool, typer.Option("--guess", help="Propose a mapping, to be read and corrected.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the mapping to this file.")
    ] = None,
    presets: Annotated[
        bool, typer.Option("--presets", help="List the conventions known by name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Propose which column of a log is what, and say what the file does not tell."""
    if presets:
        _list(as_json=as_json)
        return
    if log is None:
        raise typer.BadParameter(
            "Say which log to look at: stitchrl map LOG --guess. Or list the known "
            "conventions: stitchrl map --presets."
        )
    if not guess:
        raise typer.BadParameter(
            f"What to do with '{log}' is not said: add --guess to have a mapping proposed."
        )
    if out is not None and out.exists():
        raise ValueError(
            f"'{out}' exists already, and may hold what you settled by hand: it stays as "
            "it is. Name another file with --out, or remove that one first."
        )
    found = sources.guess(log)
    if out is not None:
        artifacts.save_file(out, found.toml.encode())
    if as_json:
        print_json({"mapping": found.toml, "unknown": list(found.unknown)})
        return
    if out is None:
        say(found.toml.rstrip())
    else:
        say(f"Mapping: {out}")
    if found.unknown:
        remark("\nNot known from the file, for you to settle:")
        for sentence in found.unknown:
            remark(f"  - {sentence}")
    remark(f"What each key means, with examples: {REFERENCE}")


def _list(*, as_json: bool) -> None:
    names = sources.presets()
    if as_json:
        print_json({"presets": names})
        return
    for name in names:
        given = sources.preset(name).model_dump(exclude_unset=True, exclude={"preset"})
        say(f"{name}: {', '.join(given)}")
