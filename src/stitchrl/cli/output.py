"""What goes where: results to stdout, everything else to stderr, JSON alone."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from stitchrl.artifacts import json_to_bytes

JSON = "json"  # In a context's `meta`: whether --json was said.


def _remember(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[JSON] = value
    return value


AsJson = Annotated[
    bool,
    typer.Option("--json", callback=_remember, help="Print one JSON document to stdout."),
]


def results() -> Console:
    """Where results go."""
    return Console(highlight=False)


def aside() -> Console:
    """Where progress, remarks and errors go."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A plain line of the result, never wrapped or colored."""
    results().print(text, markup=False, soft_wrap=True)


def remark(text: str) -> None:
    """A plain line that is not part of the result."""
    aside().print(text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document, as the only thing on stdout."""
    sys.stdout.write(json_to_bytes(value).decode())


def duration(seconds: int | float) -> str:
    """45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: int | float) -> str:
    """512 B, 3.2 MB, 1.5 GB: multiples of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
